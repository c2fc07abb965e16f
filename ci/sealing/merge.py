"""Git's merge driver for sealed files; `python -m ci.sealing.merge` installs it in a clone.

Values are merged in memory, and only ciphertext is written. Only the recipients that may open our side by the
folder's .sops.yaml can open the result, for the author of the other side may have put a reader into the file.

Git starts a driver in the work tree, where a branch that is checked out or merged has a ci/, and perhaps a .venv,
of its own, while identities are at hand. So what it starts is a copy of this code, in git's folder.
"""

import importlib.metadata
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ci.ground import errors, files, programs
from ci.ground import repo as ground
from ci.ground.git import Git
from ci.ground.repo import Repo
from ci.sealing import ciphertext, envelopes, identity, recipients
from runtime import Secret

DRIVER = "lockstep"
_PACKAGES = ("cerberus", "pyyaml")
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ci.sealing.merge import main; main()"
_SEALED = re.compile(r"secrets/([a-z][a-z0-9-]*)\.enc\.env")
Values = Mapping[str, str]


def install(repo: Repo) -> None:
    """Configure git to merge sealed files here, by a copy of this code; does nothing outside a git checkout."""
    git = Git(repo.root, own=True)
    asked = git.attempt("rev-parse", "--path-format=absolute", "--git-common-dir")
    if asked.code:
        return
    folder = Path(asked.stdout.decode().rstrip("\n")) / DRIVER
    part = Path(tempfile.mkdtemp(prefix=f"{DRIVER}-", dir=folder.parent))
    try:
        _copy(part)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    # Isolated, and not the Python of .venv: neither a variable nor the work tree adds a module.
    python = getattr(sys, "_base_executable", None) or sys.executable
    words = shlex.join([python, "-I", "-B", "-c", _START, str(folder)])
    for key, value in (("name", "sealed files, opened in memory"), ("driver", f"{words} %O %A %B %P")):
        git.attempt("config", f"merge.{DRIVER}.{key}", value)


def _copy(folder: Path) -> None:
    """Copy what the driver consists of: this code, the packages that it imports, and what programs should be."""
    own = ground.here()
    for name in ("ci", "runtime"):
        shutil.copytree(own.root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for package in _PACKAGES:
        for file in importlib.metadata.files(package) or ():
            if not {"..", "__pycache__"}.intersection(file.parts):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), folder / file)
    (folder / ".tools").mkdir()
    (folder / ".tools/bin").symlink_to(own.tools)
    record = programs.record_path(own.tools)
    if record.exists():
        shutil.copy(record, folder / ".tools")


def merge(repo: Repo, base: Path, ours: Path, theirs: Path, name: str) -> None:
    """Write the merged file in place of ours.

    MergeError when people have to decide: then ours stays where both sides changed the same key, and the rest is
    merged. Whatever else is raised leaves ours as it was.
    """
    match = _SEALED.fullmatch(name)
    if match is None:
        raise errors.UsageError(f"{name} is no sealed file", "this is git's to call, as .gitattributes says")
    environment, data = match[1], [path.read_bytes() for path in (base, ours, theirs)]
    with _unmerged(name):
        rules = recipients.read(repo)
        ruled = recipients.of(repo, rules, environment)
        own = identity.at_hand(repo, environment)
        texts = [_values(repo, name, version, own) for version in data]
    merged, conflicts = three_way(*texts)
    before, _, other = readers = [set(ciphertext.readers(version)) for version in data]
    rules[environment] = [recipient for recipient in ruled if recipient.key not in before - other]
    same = (
        envelopes.ours(data[1])
        and all(keys == {recipient.key for recipient in ruled} for keys in readers)
        and not _rekeyed(data[0], data[2], texts[0], texts[2])
    )
    if same:
        changes = {key: merged.get(key) for key in {**texts[1], **merged} if merged.get(key) != texts[1].get(key)}
        result = ciphertext.updated(repo, name, data[1], changes, own)
    else:
        result = ciphertext.resealed(repo, environment, merged, rules, own)
    envelopes.note(result)
    files.replace(ours, result)
    _decide(environment, conflicts, sorted(other - before - {recipient.key for recipient in ruled}))


@contextmanager
def _unmerged(name: str) -> Iterator[None]:
    """Say of a fault that the file is ours alone: it looks whole, and lacks what theirs changed."""
    try:
        yield
    except errors.LockstepError as error:
        left = f"{name} was not merged, it is our side alone and lacks what the other changed"
        hint = f"{error.hint}; git merge --abort (or git rebase --abort), and merge again then"
        error.args, error.hint = (f"{error}; {left}",), hint
        raise


def three_way(base: Values, ours: Values, theirs: Values) -> tuple[dict[str, str], list[str]]:
    """Return the values of both sides, and the keys that both changed, each its own way; those stay as in ours."""
    merged, conflicts = {}, []
    for key in {**ours, **theirs}:
        old, mine, other = (values.get(key) for values in (base, ours, theirs))
        value = other if mine == old else mine
        if mine != old and other not in (old, mine):
            conflicts.append(key)
        if value is not None:
            merged[key] = value
    return merged, conflicts


def _rekeyed(base: bytes, theirs: bytes, old: Values, new: Values) -> bool:
    """Whether theirs has another data key: an unchanged value was sealed again. Ours never gets theirs."""
    before, after = _lines(base), _lines(theirs)
    return any(before[key] != after[key] for key in old if key in new and old[key] == new[key])


def _lines(data: bytes) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in data.decode().split("\n"))}


def _values(repo: Repo, name: str, data: bytes, own: Secret) -> dict[str, str]:
    """Return a version's values; an empty version, as the base of a file that both sides made, has none."""
    if not data:
        return {}
    values, problems = ciphertext.opened(repo, name, data, own)
    if problems:
        raise errors.NotSealedError(
            f"a version of {name} holds values that no key can have", "inv set replaces them", problems
        )
    return values


def _decide(environment: str, keys: list[str], new: list[str]) -> None:
    """Raise MergeError when something is left to people."""
    undecided = [f"{key} was changed on both sides; ours is in the file" for key in keys]
    undecided += [f"theirs lets {reader} open it, .sops.yaml here does not; it was left out" for reader in new]
    fixes = [f"inv set --env={environment} --key={key} (unless ours is right)" for key in keys]
    fixes += [f"inv recipients.add --env={environment} --recipient={reader} (if you trust it)" for reader in new]
    if undecided:
        raise errors.MergeError(
            f"secrets/{environment}.enc.env is merged but for what people must decide",
            "; ".join([*fixes, f"then: git add secrets/{environment}.enc.env"]),
            undecided,
        )


def main() -> None:
    """Merge what git hands over, which takes any fault for a conflict; without it, install this as the driver."""
    from ci import cli  # noqa: PLC0415, an entry point
    from ci.cli import console  # noqa: PLC0415

    with cli.reported():
        if not sys.argv[1:]:
            install(ground.here())
            return
        base, ours, theirs, name = sys.argv[1:5]
        merge(Repo(Path.cwd()), Path(base), Path(ours), Path(theirs), name)
        console.done("merged", f"{name}, in memory")


if __name__ == "__main__":
    main()
