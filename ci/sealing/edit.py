"""Changes of one environment's sealed values. Each ends with the file changed whole, or as it was."""

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.ground import command, dotenv, errors, files
from ci.ground.repo import Repo
from ci.sealing import change, ciphertext, environment, exposed, identity, own, sops, unset
from runtime.loader import near

# What keeps well-known editors from writing what they edit anywhere but into the file itself.
QUIET = {
    "vi": ["-n", "-i", "NONE", "--cmd", "set nobackup nowritebackup noundofile"],
    "vim": ["-n", "-i", "NONE", "--cmd", "set nobackup nowritebackup noundofile"],
    "nvim": ["-n", "-i", "NONE", "--cmd", "set nobackup nowritebackup noundofile"],
}
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
    values, problems = dotenv.parse_secrets(text.encode(errors="surrogateescape"))
    if problems:
        raise errors.DirtyValueError(
            "what came in is no clean env file, nothing was sealed", LINES, [str(problem) for problem in problems]
        )
    if not values:
        raise errors.DirtyValueError("nothing came in, nothing was sealed", "give KEY=value lines on stdin")
    for key, value in values.items():
        check(repo, name, key, value)
    with change.alone(repo):
        own.ready(repo, name)
        settled = _settled(repo, name, dict.fromkeys(repo.schema.keys) | values)
        change.apply(repo, {**settled, repo.sealed(name): seal(repo, name, values).encode()})
    return list(values)


def seal(repo: Repo, name: str, values: Mapping[str, str]) -> str:
    """Return the ciphertext of a whole file for the recipients of the environment's rule; writes nothing."""
    vault = repo.vault(name)
    rules = vault / ".sops.yaml"
    relative = f"secrets/{name}.enc.env"
    if not rules.exists():
        raise errors.NotSealedError(f"{rules} is not there", "inv init makes it")
    try:
        return sops.call(repo, sops.encrypt(rules, relative), text=json.dumps(values), cwd=vault)
    except errors.NotSealedError:
        raise errors.NotSealedError(f"no usable rule for {relative} in .sops.yaml", "inv init makes one") from None


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
    with _memory() as folder:
        file = folder / f"{name}.env"
        files.create(file, (HEAD + dotenv.render(before)).encode())
        _run_editor(editor, file)
        after, problems = dotenv.parse_secrets(file.read_bytes())
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
    if fault := rules.problem(value):
        raise errors.BadValueError(f"the value of {key} {fault}", f"a good one looks like {rules.meta['example']}")


def changed(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the sealed file with these values, without the keys whose value is None, and what that settles."""
    path, settled = repo.sealed(name), _settled(repo, name, values)
    if not path.exists():
        return {
            path: seal(repo, name, {key: value for key, value in values.items() if value is not None}).encode()
        }
    opener = identity.at_hand(repo, name)
    return {**settled, path: ciphertext.updated(repo, path.name, path.read_bytes(), values, opener)}


def _settled(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the lists without these new values: what a removed recipient could read, and what is not set."""
    return {**exposed.settled(repo, name, values), **unset.settled(repo, name, values)}


@contextmanager
def _memory() -> Iterator[Path]:
    """Yield a folder, mode 0700, that never reaches a disk."""
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108, tmpfs is what is wanted
        if parent and os.access(parent, os.W_OK) and _in_memory(Path(parent)):
            with tempfile.TemporaryDirectory(prefix="lockstep-", dir=parent) as folder:
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


def _run_editor(editor: str, file: Path) -> None:
    program, *flags = shlex.split(editor)
    argv = [program, *QUIET.get(Path(program).name, []), *flags, str(file)]
    code = command.interactive(argv, cwd=file.parent)
    if code:
        raise errors.EditError(
            f"the editor {program} ended with {code}, the file is as it was", "set EDITOR to another"
        )
