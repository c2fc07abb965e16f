"""Changes of one environment's sealed values. Each ends with the file changed whole, or as it was."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.ground import dotenv, errors, files
from ci.ground.repo import Repo
from ci.sealing import (
    change,
    ciphertext,
    editors,
    envelopes,
    environment,
    exposed,
    identity,
    judge,
    own,
    recipients,
    unset,
)
from runtime.loader import near

HEAD = f"""\
# One KEY=value a line, without quotes. A value of several lines is written {dotenv.QUOTED}
# So is one that begins or ends with a blank or a quote, or holds a tab or a backslash before an n.
"""
LINES = f"one KEY=value a line; what such a line cannot hold is written {dotenv.QUOTED}"


def encrypt(repo: Repo, name: str, text: str) -> list[str]:
    """Seal the lines of an env file as all of an environment's secrets and return their keys.

    Every value is checked first. The file gets a new data key, so every line of it changes.
    """
    environment.known(repo, name)
    values = _given(text)
    for key, value in values.items():
        check(repo, name, key, value)
    with change.alone(repo):
        own.ready(repo, name)
        _may_open(repo, name)
        settled = _settled(repo, name, dict.fromkeys(repo.schema.keys) | values)
        change.apply(repo, {**settled, repo.sealed(name): seal(repo, name, values).encode()})
    return list(values)


def dropped(repo: Repo, name: str, text: str) -> list[str]:
    """Return the keys of an environment's sealed file that an env file lacks: encrypting it would remove them."""
    environment.known(repo, name)
    path, values = repo.sealed(name), _given(text)
    return [key for key in ciphertext.keys(path.read_bytes()) if key not in values] if path.exists() else []


def _given(text: str) -> dict[str, str]:
    """Return the values of an env file; DirtyValueError when it is not one, or has none."""
    values, problems = dotenv.parse_secrets(text.encode(errors="surrogateescape"))
    if problems:
        raise errors.DirtyValueError(
            "what came in is no clean env file, nothing was sealed", LINES, [str(problem) for problem in problems]
        )
    if not values:
        raise errors.DirtyValueError("nothing came in, nothing was sealed", "give KEY=value lines on stdin")
    return values


def _may_open(repo: Repo, name: str) -> None:
    """Raise WrongIdentityError when the identity at hand, if there is one, could not open what it seals."""
    try:
        at_hand = identity.recipient(repo, identity.at_hand(repo, name)).split()
    except errors.NoIdentityError:
        return
    if not {recipient.key for recipient in _rules(repo, name)[name]}.intersection(at_hand):
        raise errors.WrongIdentityError(
            f"the identity at hand is not a recipient of {name} in .sops.yaml, nothing was sealed",
            "git log -p .sops.yaml shows who changed it; inv recipients.list shows who can open what",
        )


def seal(repo: Repo, name: str, values: Mapping[str, str]) -> str:
    """Return the ciphertext of a whole file for exactly the recipients of the environment's rule; writes nothing.

    ConfigurationError when .sops.yaml is not in the form that the sealing gate lets pass: sops would take the
    first of its rules that fits.
    """
    rules = _rules(repo, name)
    return ciphertext.sealed(repo, name, values, rules).decode()


def _rules(repo: Repo, name: str) -> recipients.Rules:
    """Return who may open what by the .sops.yaml of an environment, which must have a rule for it."""
    file = repo.vault(name) / ".sops.yaml"
    if not file.exists():
        raise errors.NotSealedError(f"{file} is not there", "inv init makes it")
    rules = recipients.read(repo, file)
    if not rules.get(name):
        raise errors.NotSealedError(
            f"no usable rule for secrets/{name}.enc.env in .sops.yaml", "inv init makes one"
        )
    return rules


def put(repo: Repo, name: str, key: str, value: str) -> None:
    """Set one secret; the other lines of the file stay as they are."""
    environment.known(repo, name)
    check(repo, name, key, value)
    with change.alone(repo):
        own.ready(repo, name)
        change.apply(repo, changed(repo, name, {key: value}))


def drop(repo: Repo, name: str, key: str) -> None:
    """Remove one value that may be absent; the other lines of the file stay as they are."""
    environment.known(repo, name)
    rules = repo.schema.keys.get(key)
    if rules and rules.secret and rules.required:
        hint = f"inv set --env={name} --key={key} replaces it; nullable: true and default: null make it optional"
        raise errors.BadValueError(f"{key} is required", hint)
    with change.alone(repo):
        if key not in environment.sealed(repo, name):
            hint = f"inv parity --env={name} shows which keys have one"
            raise errors.BadValueError(f"{key} has no sealed value in {name}", hint)
        change.apply(repo, changed(repo, name, {key: None}))


def editor(environ: Mapping[str, str] = os.environ) -> str:
    """Return the editor that a person chose."""
    return environ.get("VISUAL") or environ.get("EDITOR") or "vi"


def edit(repo: Repo, name: str, editor: str) -> tuple[list[str], list[str]]:
    """Open the secrets in an editor, in memory only; return the keys that were set and those removed.

    The file that the editor sees is in a folder that the kernel keeps in memory; EditError without such a folder.
    """
    environment.known(repo, name)
    with change.alone(repo):
        return _edit(repo, name, editor)


def _edit(repo: Repo, name: str, editor: str) -> tuple[list[str], list[str]]:
    before = {key: value.reveal() for key, value in environment.sealed(repo, name).items()}
    with editors.ended_by_signals(), _memory() as folder:
        file, home = folder / f"{name}.env", folder / "home"
        home.mkdir(mode=0o700)
        files.create(file, (HEAD + dotenv.render(before)).encode())
        editors.run(editor, file, home)
        after, problems = dotenv.parse_secrets(_saved(file))
    if problems:
        raise errors.DirtyValueError(
            "the edited text is no clean env file, the sealed file is as it was",
            f"edit again; {LINES}",
            [str(problem) for problem in problems],
        )
    new = {key: value for key, value in after.items() if before.get(key) != value}
    removed = [key for key in before if key not in after]
    for key, value in new.items():
        check(repo, name, key, value)
    if new or removed:
        change.apply(repo, changed(repo, name, {**new, **dict.fromkeys(removed)}))
    return list(new), removed


def _saved(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise errors.EditError("the editor left no file, the sealed one is as it was", "edit again") from None


def check(repo: Repo, name: str, key: str, value: str) -> None:
    """Raise unless `key` is a secret of the schema, and the value can be one and fits it; no message holds it."""
    rules = repo.schema.keys.get(key)
    if rules is None:
        meant = near(key.upper(), repo.schema.keys)
        hint = f"did you mean {meant}?" if meant else "add it to config/schema.yaml first"
        raise errors.BadValueError(f"no key {key} in the schema", hint)
    if rules.source:
        hint = f"inv set --env={name} --key={rules.source}"
        raise errors.BadValueError(f"{key} is part of {rules.source} and has no value of its own", hint)
    if not rules.secret:
        raise errors.BadValueError(f"{key} is not secret", f"write it into config/{name}.env")
    if fault := dotenv.unfit(value):
        hint = f"give a text of at most {dotenv.LONGEST:,} bytes; encode any other, for example with base64"
        raise errors.DirtyValueError(f"the value of {key} {fault}", hint)
    if found := judge.fault(repo, name, rules, value):
        raise errors.BadValueError(
            f"the value of {key} {found.what}", f"a good one looks like {rules.meta['example']}"
        )


def changed(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the sealed file with these values, without the keys whose value is None, and what that settles.

    It has a new data key unless its envelopes are for the rule's recipients and were made here.
    """
    path, settled = repo.sealed(name), _settled(repo, name, values)
    if not path.exists():
        return {path: seal(repo, name, _left(values)).encode()}
    data, rules, opener = path.read_bytes(), _rules(repo, name), identity.at_hand(repo, name)
    if envelopes.ours(data) and ciphertext.is_for(data, rules[name]):
        return {**settled, path: ciphertext.updated(repo, path.name, data, values, opener)}
    before = {key: value.reveal() for key, value in environment.sealed(repo, name).items()}
    return {**settled, path: ciphertext.resealed(repo, name, _left({**before, **values}), rules, opener)}


def _left(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values without those that are removed."""
    return {key: value for key, value in values.items() if value is not None}


def _settled(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the lists without these new values: what a removed recipient could read, and what is not set."""
    return {**exposed.settled(repo, name, values), **unset.settled(repo, name, values)}


@contextmanager
def _memory() -> Iterator[Path]:
    """Yield a folder, mode 0700, that never reaches a disk."""
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108, tmpfs is what is wanted
        if parent and os.access(parent, os.W_OK) and _in_memory(Path(parent)):
            # An editor that was killed may have children that still write.
            with tempfile.TemporaryDirectory(prefix="lockstep-", dir=parent, ignore_cleanup_errors=True) as folder:
                yield Path(folder)
            return
    raise errors.EditError(
        "there is no folder in memory here, an editor would write to disk", "use inv set instead"
    )


def _in_memory(folder: Path) -> bool:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    inside = [fields for fields in mounts if folder.resolve().is_relative_to(fields[1])]
    return bool(inside) and max(inside, key=lambda fields: len(fields[1]))[2] in ("tmpfs", "ramfs")
