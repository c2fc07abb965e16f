"""The delivery system: ground, sealing, gates, delivery, rotation; each imports only from those before it."""

import importlib
import sys


def unhandled(_kind: object, error: BaseException, _trace: object) -> None:
    """Report what ends a program outside of its tasks, such as a package that is missing or a full disk."""
    # By name: it costs time, and this is rare; and who checks the types of one module need not read all of ci.
    faults, errors = (importlib.import_module(f"ci.{name}") for name in ("cli.faults", "ground.errors"))

    gate = any(word.startswith("ci.gates.") for word in sys.orig_argv)
    with faults.reported(errors.GateError.code if gate else None):
        raise error


if sys.argv[:1] == ["-m"]:  # a module of ours is about to run, of which this package is imported first
    sys.excepthook = unhandled
