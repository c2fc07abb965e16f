"""The matrix as a person sees it: `inv parity`."""

from contextlib import suppress
from datetime import UTC, datetime

from ci.gates import exceptions, output, parity
from ci.ground import console
from ci.ground.errors import NoIdentityError, NotSealedError, WrongIdentityError
from ci.ground.repo import Repo
from ci.sealing import environment
from runtime import Secret


def show(repo: Repo, name: str, *, sealed: bool) -> int:
    """Draw the matrix, of one environment or of all, then what is wrong; return 0 when nothing is, else 1.

    With `sealed`, look at the values of every environment whose identity is at hand, and of `name` in any case.
    """
    if name:
        environment.known(repo, name)
    found = exceptions.apply(repo, parity.RULES, parity.check(repo), datetime.now(UTC).date())
    if sealed:
        found |= parity.check_sealed(repo, _opened(repo, name))
    names = [name] if name else list(repo.environments.by_name)
    console.table(["key", *names], parity.table(repo, found, names))
    console.say()
    console.say(output.text("parity", parity.RULES, found))
    return 1 if found else 0


def _opened(repo: Repo, name: str) -> dict[str, dict[str, Secret]]:
    opened = {name: environment.sealed(repo, name)} if name else {}
    for other in repo.environments.by_name:
        if other != name:
            with suppress(NoIdentityError, WrongIdentityError, NotSealedError):
                opened[other] = environment.sealed(repo, other)
    if not opened:
        raise NoIdentityError("no environment can be opened here", "inv parity --env=ENV --sealed says why")
    return opened
