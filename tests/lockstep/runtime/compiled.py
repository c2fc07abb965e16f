"""The runtime package as it is in the project that Lockstep's tests use: compiled for the keys of its schema."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from ci.ground import generate
from tests import checkouts


@cache
def folder() -> Path:
    """Return a folder that has the package and nothing else, for processes to import it from."""
    made = Path(tempfile.mkdtemp(prefix="lockstep-runtime-"))
    atexit.register(shutil.rmtree, made)
    skipped = shutil.ignore_patterns("__pycache__", "keys.py")
    shutil.copytree(checkouts.ROOT / "runtime", made / "runtime", ignore=skipped)
    (made / "runtime/keys.py").write_text(generate.keys_module(checkouts.schema()))
    return made


@cache
def keys() -> ModuleType:
    """Return the module of its keys."""
    module = ModuleType("runtime.keys")
    exec(compile(generate.keys_module(checkouts.schema()), "keys.py", "exec"), vars(module))
    return module
