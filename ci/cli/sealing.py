"""What a person is asked and shown when secrets, recipients and identities change."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ci.cli import console, prompts
from ci.ground import errors
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import edit, identity, init
from ci.sealing.exposed import Exposed
from ci.sealing.members import Overview
from ci.sealing.recipients import Recipient


def answers(repo: Repo) -> init.Ask:
    """Return what answers for a key: a hidden prompt, or the lines on stdin."""
    if not prompts.terminal():
        return init.answers(repo, prompts.stdin())
    console.doing("asking", "for what cannot be generated; an empty answer leaves it for later")
    return partial(_answer, repo)


def _answer(repo: Repo, environment: str, key: Key) -> str:
    """Ask until the answer is good or empty, for a slip must not cost the answers before it."""
    while True:
        try:
            answer = prompts.value(f"{environment} {key.name} ({key.meta['description']}): ")
            if answer:
                edit.check(repo, environment, key.name, answer)
        except errors.LockstepError as error:
            console.error(str(error), error.hint)
        else:
            return answer


def initialised(report: init.Report) -> None:
    """Show what an init made and what is left to do."""
    for environment, file in report.identities.items():
        console.done("kept" if environment in report.reused else "identity", f"{environment}: {file}")
    console.done("sealed", f"secrets/*.enc.env, for {report.project}")
    if report.missing:
        console.say("still to be set, before these environments can be deployed:")
        for environment, keys in report.missing.items():
            for key in keys:
                console.say(f"  inv set --env={environment} --key={key}")
    console.say("CI needs each identity as a secret of that environment alone:")
    for environment, file in report.identities.items():
        console.say(f"  {_share(environment, file)}")
    console.say("keep a copy of each identity where you keep passwords: whoever loses it loses the secrets")


def sealed(repo: Repo, environment: str, keys: Sequence[str]) -> None:
    """Show which keys have a new value, and in which file."""
    console.done("sealed", f"{', '.join(keys)} in {repo.sealed(environment).name}")
    if repo.environments.outside_git(environment) and init.lacking(repo, environment):
        console.hint(f"inv deploy --env={environment} makes the other secrets of {environment}")


def unset(environment: str, key: str) -> None:
    """Show which key no longer has a value."""
    console.done("removed", f"{key} from {environment}")


def edited(changed: Sequence[str], removed: Sequence[str]) -> None:
    """Show which keys an edit set and removed."""
    keys = [*changed, *(f"{key} (removed)" for key in removed)]
    console.done("sealed" if keys else "unchanged", ", ".join(keys))


def proposed(repo: Repo, file: Path) -> None:
    """Show the file of a proposal."""
    console.done("proposed", str(file.relative_to(repo.root)))


def accepted(environment: str, keys: Sequence[str]) -> None:
    """Show which keys were accepted."""
    console.done("accepted", ", ".join(keys) or f"nothing, no proposal waits for {environment}")


def overview(repo: Repo, report: Overview) -> None:
    """Draw who can open what, what is still open, and where one lost identity would lose everything."""
    console.table(("name", "recipient", "opens"), report.rows)
    if report.exposed:
        console.say()
        _exposed(repo, report.exposed)
    if report.alone:
        console.say(
            f"\none recipient alone opens {', '.join(report.alone)}: add another, before that identity is lost"
        )


def added(environment: str, recipient: Recipient) -> None:
    """Show who can open an environment from now on."""
    console.done("added", f"{recipient} opens {environment}")


def removed(repo: Repo, environment: str, recipient: Recipient, rows: Sequence[Exposed]) -> None:
    """Show who was removed, and which values are to be changed because of it."""
    console.done("removed", f"{recipient} opens nothing in {environment} that is sealed from now on")
    console.say(f"{recipient} could read {len(rows)} values; replace each of them:")
    _exposed(repo, rows)
    console.say(
        "\ncommit .sops.yaml, secrets/ and config/exposed.yaml together; inv recipients.list shows what is left"
    )


def begun(environment: str, file: Path) -> None:
    """Show what to do while the old and the new identity both work."""
    console.done("identity", str(file))
    console.say(
        f"the old and the new identity both open {environment} now. Commit and merge .sops.yaml and secrets/,"
    )
    console.say(f"then: {_share(environment, file)}")
    console.say(f"and when a deploy went through with it: inv keys.rotate --env={environment} --finish")


def finished(repo: Repo, environment: str, recipient: Recipient | None) -> None:
    """Show where the identities are now, after the old recipient was removed; None if an earlier run did that."""
    file = identity.path(repo, environment)
    console.done("removed", str(recipient) if recipient else "the old identity, by an earlier run")
    console.say(f"{file} is the new identity; the old one is kept beside it, for older commits")
    console.say("commit .sops.yaml and secrets/ together. Was the old one stolen? Then every value was known:")
    console.say(f"  replace each with inv rotate --env={environment} --key=KEY")


def _exposed(repo: Repo, rows: Sequence[Exposed]) -> None:
    """Draw the values that a removed recipient still knows."""
    console.table(
        ("known to", "since", "to be changed with"),
        [(row.name or row.recipient[:16], row.since, _change(repo, row)) for row in rows],
    )


def _change(repo: Repo, row: Exposed) -> str:
    """Return the command that changes a value."""
    key = repo.schema.keys.get(row.key)
    task = "rotate" if key and "provider" in key.meta else "set"
    return f"inv {task} --env={row.environment} --key={row.key}"


def _share(environment: str, file: Path) -> str:
    """Return the command that gives an identity to CI."""
    return f"gh secret set {identity.VARIABLE} --env {environment} < {shlex.quote(str(file))}"
