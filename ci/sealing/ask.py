"""Values from a person at a prompt, or from stdin; never from the command line."""

import getpass
import re
import shlex
import sys

from ci.ground import console, errors
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import edit, init


def value(about: str) -> str:
    """Return one value, from a hidden prompt or as all of stdin; one line end after it is not part of it."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{about}: ")
    return _stdin().removesuffix("\n")


def lines(about: str) -> str:
    """Return all of stdin; a person is told what to type."""
    if sys.stdin.isatty():
        console.doing("reading", about)
    return _stdin()


def name(repo: Repo) -> str:
    """Return a project name made of the folder's."""
    return re.sub(r"[^a-z0-9-]+", "-", repo.root.name.lower()).strip("-")


def asker(repo: Repo) -> init.Ask:
    """Return what answers for a key: a hidden prompt, or the lines that came on stdin."""
    if sys.stdin.isatty():
        console.doing("asking", "for what cannot be generated; an empty answer leaves it for later")
        return lambda environment, key: _until_good(repo, environment, key)
    values, problems = init.given(_stdin())
    wanted = {(one, key.name) for one in repo.environments.by_name for key in repo.schema.secrets()}
    problems += [f"{one}.{key} is no secret of an environment" for one, key in values if (one, key) not in wanted]
    if problems:
        raise errors.DirtyValueError(
            "stdin cannot be read, nothing was changed", "environment.KEY=value", problems
        )

    def answer(environment: str, key: Key) -> str:
        return values.get((environment, key.name), "")

    return answer


def report(made: init.Report) -> None:
    """Say what an init made and what is left to do."""
    for environment, file in made.identities.items():
        console.done("kept" if environment in made.reused else "identity", f"{environment}: {file}")
    console.done("sealed", f"secrets/*.enc.env, for {made.project}")
    if made.missing:
        console.say("still to be set, before these environments can be deployed:")
        for environment, keys in made.missing.items():
            for key in keys:
                console.say(f"  inv set --env={environment} --key={key}")
    console.say("CI needs each identity as a secret of that environment alone:")
    for environment, file in made.identities.items():
        console.say(f"  gh secret set LOCKSTEP_IDENTITY --env {environment} < {shlex.quote(str(file))}")
    console.say("keep a copy of each identity where you keep passwords: whoever loses it loses the secrets")


def _until_good(repo: Repo, environment: str, key: Key) -> str:
    """Ask until the answer is good or empty, for a slip must not cost the answers before it."""
    while answer := getpass.getpass(f"{environment} {key.name} ({key.meta['description']}): "):
        try:
            edit.check(repo, environment, key.name, answer)
        except errors.LockstepError as error:
            console.error(str(error), error.hint)
        else:
            return answer
    return ""


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise errors.DirtyValueError("stdin is not UTF-8", "encode the value, for example with base64") from None
