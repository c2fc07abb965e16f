"""Everything that can go wrong: one class each, its exit code, and the fix in the hint of every raise.

Codes 0, 1 and 2 are the gates' (clean, findings, could not run) and 3 is a plan's (changes). A test holds that the
codes are unique. `ci/cli/faults.py` alone catches and exits.
"""

from collections.abc import Sequence


class LockstepError(Exception):
    """A fault with a message, a hint with the fix, and lines of detail such as a log's end.

    `output` is text for stdout that another program may read, such as SQL for an administrator.
    """

    code = 70

    def __init__(self, message: str, hint: str, detail: Sequence[str] = (), output: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.detail = tuple(detail)
        self.output = output


class UsageError(LockstepError):
    """The command line asks for something that does not exist."""

    code = 64


class GateError(LockstepError):
    """A gate could not run; that never counts as clean."""

    code = 2


class ToolMissingError(LockstepError):
    """A program is not installed, or cannot be."""

    code = 10


class ToolMismatchError(LockstepError):
    """A program has the wrong version or its file the wrong checksum."""

    code = 11


class CommandError(LockstepError):
    """A program failed for a reason that is not known."""

    code = 12


class ConfigurationError(LockstepError):
    """schema.yaml, environments.yaml or a plain file is wrong."""

    code = 13


class PackagesError(LockstepError):
    """The packages of the product cannot be installed."""

    code = 14


class MachineError(LockstepError):
    """This machine lacks what every program needs: a folder to write to, memory, a home, an open stdout."""

    code = 15


class TrackedError(LockstepError):
    """Git tracks files in a folder that belongs to this machine alone, such as .tools."""

    code = 16


class NoIdentityError(LockstepError):
    """There is no identity for the environment here."""

    code = 20


class WrongIdentityError(LockstepError):
    """The identity at hand is not among the file's recipients."""

    code = 21


class TamperedError(LockstepError):
    """A sealed file was changed by something other than sops."""

    code = 22


class NotSealedError(LockstepError):
    """A sealed file is missing or is not sops' format."""

    code = 23


class DirtyValueError(LockstepError):
    """A value holds something that does not survive an env file."""

    code = 24


class BadValueError(LockstepError):
    """A value does not fit the schema, or its key does not exist."""

    code = 25


class IdentityExistsError(LockstepError):
    """An identity would be overwritten, or the repository has a team's name already."""

    code = 26


class EditError(LockstepError):
    """An edit could not be made without risk, or the editor failed."""

    code = 27


class RecipientError(LockstepError):
    """The recipients of an environment would be wrong: none, an unknown one, or one that is not allowed."""

    code = 28


class MergeError(LockstepError):
    """A sealed file was merged except for what people must decide."""

    code = 29


class LockedError(LockstepError):
    """Another person or process is deploying this environment, or changing its sealed values."""

    code = 40


class PortInUseError(LockstepError):
    """A port that the environment needs is used by another process."""

    code = 41


class StartError(LockstepError):
    """A server or a service did not start or did not become healthy."""

    code = 42


class MigrationError(LockstepError):
    """The database's schema could not be brought to the release's revision."""

    code = 43


class SmokeError(LockstepError):
    """The release runs, but a message did not arrive."""

    code = 44


class NotRunningError(LockstepError):
    """The environment is not running here."""

    code = 45


class JobError(LockstepError):
    """A job of the product failed, another than the migration; the hint says what runs now."""

    code = 39


class RefusedError(LockstepError):
    """A release may not be deployed there: not promoted, not compatible, not committed."""

    code = 46


class NotConfirmedError(LockstepError):
    """A change of a protected environment was not confirmed."""

    code = 47


class EngineError(LockstepError):
    """The Docker engine cannot be reached, is not a swarm manager, or has lost what it should keep."""

    code = 48


class FormatError(LockstepError):
    """What an engine keeps was recorded by another version of Lockstep, which this one cannot read."""

    code = 49


class BuildError(LockstepError):
    """An image could not be built."""

    code = 50


class BaseImageError(LockstepError):
    """The base image is neither here nor available."""

    code = 51


class DiskFullError(LockstepError):
    """The engine's disk or this machine's is full."""

    code = 52


class OtherImageError(LockstepError):
    """A commit's tag names an image of something else."""

    code = 53


class UncleanImageError(LockstepError):
    """An image holds what no image may hold."""

    code = 54


class PushError(LockstepError):
    """A registry did not accept or provide an image."""

    code = 55


class ProviderError(LockstepError):
    """A provider did not do what a rotation asked of it."""

    code = 60


class KeyRefusedError(ProviderError):
    """A provider does not know the key that it was asked with, or does not let it do this."""

    code = 62


class RotationError(LockstepError):
    """A rotation cannot continue this way, or did not have its effect."""

    code = 61
