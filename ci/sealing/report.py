"""What the verbs about recipients say."""

import shlex
from pathlib import Path

from ci.ground import console
from ci.ground.repo import Repo
from ci.sealing import identity
from ci.sealing.exposed import Exposed
from ci.sealing.members import Overview
from ci.sealing.recipients import Recipient


def overview(repo: Repo, it: Overview) -> None:
    """Draw who can open what, what is still open, and where one lost identity would lose everything."""
    console.table(("name", "recipient", "opens"), it.rows)
    if it.exposed:
        console.say()
        exposed(repo, it.exposed)
    if it.alone:
        console.say(
            f"\none recipient alone opens {', '.join(it.alone)}: add another, before that identity is lost"
        )


def exposed(repo: Repo, rows: list[Exposed]) -> None:
    """Draw the values that somebody knows who no longer may."""
    console.table(
        ("known to", "since", "to be changed with"),
        [(one.name or one.recipient[:16], one.since, _cure(repo, one)) for one in rows],
    )


def _cure(repo: Repo, one: Exposed) -> str:
    about = repo.schema.keys.get(one.key)
    verb = "rotate" if about and "provider" in about.meta else "set"
    return f"inv {verb} --env={one.environment} --key={one.key}"


def removed(repo: Repo, environment: str, gone: Recipient, rows: list[Exposed]) -> None:
    """Say that somebody went, and what is to be changed because of it."""
    console.done("removed", f"{gone} opens nothing in {environment} that is sealed from now on")
    console.say(f"{gone} could read {len(rows)} values; replace each of them:")
    exposed(repo, rows)
    console.say(
        "\ncommit .sops.yaml, secrets/ and config/exposed.yaml together; inv recipients.list shows what is left"
    )


def begun(environment: str, file: Path) -> None:
    """Say what to do while the old and the new identity both work."""
    console.done("identity", str(file))
    console.say(
        f"the old and the new identity both open {environment} now. Commit and merge .sops.yaml and secrets/,"
    )
    console.say(f"then: gh secret set {identity.VARIABLE} --env {environment} < {shlex.quote(str(file))}")
    console.say(f"and when a deploy went through with it: inv keys.rotate --env={environment} --finish")


def finished(repo: Repo, environment: str, gone: Recipient | None) -> None:
    """Say where the identities are now."""
    file = identity.path(repo, environment)
    console.done("removed", str(gone) if gone else "the old identity, by an earlier run")
    console.say(f"{file} is the new identity; the old one is kept beside it, for older commits")
    console.say("commit .sops.yaml and secrets/ together. Was the old one stolen? Then every value was known:")
    console.say(f"  replace each with inv rotate --env={environment} --key=KEY")
