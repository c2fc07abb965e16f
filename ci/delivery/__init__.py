"""From a commit to a running release: deploy, releases, and the engines that run them."""

import importlib
import sys
from types import ModuleType


def _lazily(name: str) -> None:
    """Have a module loaded when something of it is asked for, not when it is imported (PEP 562)."""
    if name in sys.modules:
        return

    def load(attribute: str) -> object:
        if attribute.startswith("__"):  # such as those that inspect asks of every module
            raise AttributeError(attribute)
        sys.modules.pop(name, None)
        return getattr(importlib.import_module(name), attribute)

    sys.modules[name] = ModuleType(name)
    sys.modules[name].__dict__["__getattr__"] = load


# The docker SDK imports it for ssh://, which takes longer than all its other imports; we use the ssh program.
_lazily("paramiko")
