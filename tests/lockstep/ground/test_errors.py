import importlib
import pkgutil
from collections.abc import Iterator

import ci
from ci.ground import errors


def every(kind: type[errors.LockstepError]) -> Iterator[type[errors.LockstepError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from every(one)


def test_exit_codes_are_unique() -> None:
    """A script can tell every fault apart, and none looks like clean, findings or a plan's changes."""
    for module in pkgutil.walk_packages(ci.__path__, "ci."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    codes = [kind.code for kind in every(errors.LockstepError)]

    assert len(codes) == len(set(codes))
    assert not {0, 1, 3} & set(codes)
    assert max(codes) < 126
