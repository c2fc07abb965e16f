"""The identity at hand, replaced in two steps with a time in between in which the old and the new one work."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import change, ciphertext, identity, members, proposal, recipients
from ci.sealing.recipients import Recipient
from runtime import Secret


def begin(repo: Repo, environment: str) -> Path:
    """Make a new identity, let it open the environment beside the old one, and return its file.

    Run again, it continues with the identity that exists.
    """
    group = recipients.of(repo, recipients.read(repo), environment)
    own = identity.recipient(repo, members.opener(repo, environment, group)).split()
    old = next((recipient for recipient in group if recipient.key in own), None)
    if old is None:
        raise errors.WrongIdentityError(
            f"the identity at hand is no recipient of {environment}", "inv recipients.list shows who is"
        )
    path = following(repo, environment)
    is_new = not path.exists()
    new = identity.make(repo, path, post_quantum=old.post_quantum) if is_new else _recipient(repo, path)
    try:
        if new not in [recipient.key for recipient in group]:
            members.add(repo, environment, new, f"{old.name} new".strip())
    except BaseException:
        if is_new:
            path.unlink()
        raise
    return path


def finish(repo: Repo, environment: str) -> Recipient | None:
    """Take the environment from the old identity, with a new data key, once the new one has opened every file.

    The new identity takes the place of the old one, which is kept beside it, for what is in older commits.
    Returns the recipient that was removed; None when an earlier run removed it.
    """
    path = following(repo, environment)
    if not path.exists():
        raise errors.NoIdentityError(f"{path} is not there", f"inv keys.rotate --env={environment} makes it first")
    new, own = _recipient(repo, path), Secret(path.read_text(encoding="utf-8"))
    with change.alone(repo):
        rules = recipients.read(repo)
        group = recipients.of(repo, rules, environment)
        if new not in [recipient.key for recipient in group]:
            raise errors.RecipientError(
                f"the identity in {path} is no recipient of {environment}",
                f"inv keys.rotate --env={environment} makes it one",
            )
        own_keys = [key for key in _at_hand(repo, environment) if key != new]
        old = next((recipient for recipient in group if recipient.key in own_keys), None)
        if old is not None:
            for file in proposal.sealed_files(repo, environment):
                ciphertext.opened(repo, file.name, file.read_bytes(), own)
            rules[environment] = [
                replace(recipient, name=old.name) if recipient.key == new else recipient
                for recipient in group
                if recipient != old
            ]
            change.apply(repo, members.rekeyed(repo, environment, rules, own)[0])
    _settle(repo, environment, path)
    return old


def following(repo: Repo, environment: str) -> Path:
    """Return where the new identity is until the old one has been removed."""
    return identity.path(repo, environment).with_name(f"{environment}.next.agekey")


def _settle(repo: Repo, environment: str, path: Path) -> None:
    """Put the new identity in the place of the old one."""
    main = identity.path(repo, environment)
    if main.exists():
        main.rename(main.with_name(f"{environment}.{_recipient(repo, main)[4:12]}.agekey"))
    path.rename(main)


def _at_hand(repo: Repo, environment: str) -> list[str]:
    """Return the recipients of the identities that this user has: the one in use, and the one in its file."""
    keys = []
    with suppress(errors.NoIdentityError):
        keys += identity.recipient(repo, identity.at_hand(repo, environment)).split()
    with suppress(FileNotFoundError):
        keys += _recipient(repo, identity.path(repo, environment)).split()
    return keys


def _recipient(repo: Repo, path: Path) -> str:
    return identity.recipient(repo, Secret(path.read_text(encoding="utf-8")))
