"""What has no place in git, in any folder: by its name, its mode, and its content."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ci.gates.finding import Finding, Rule, finding
from ci.ground import git
from ci.ground.environments import NAME
from ci.ground.schema import KEY_NAME

_REMOVE = "git rm --cached {file}; if it was pushed, replace what it held: it stays in the history"
STRAY = Rule(
    "sealing/stray",
    "anything in secrets/ but ENV.enc.env and proposals/ENV/KEY-ID.enc.env",
    "secrets/dev.env, secrets/old/dev.enc.env",
    _REMOVE,
)
LINK = Rule(
    "sealing/link",
    "a link where a sealed file or its rules belong",
    "secrets/dev.enc.env -> …",
    "put the file there",
)
STRANGER = Rule(
    "sealing/stranger",
    "a sealed file of something that is no environment",
    "secrets/prd.enc.env",
    "name it after an environment of environments.yaml, or delete it",
)
SECOND = Rule(
    "sealing/second-rules", "another .sops.yaml than the one at the top", "secrets/.sops.yaml", "delete it"
)
IDENTITY = Rule(
    "sealing/identity",
    "an age identity",
    "AGE-SECRET-KEY-1… in any file, dev.agekey",
    "take it out, remove its recipient from .sops.yaml, sops updatekeys and sops rotate, then replace the secrets",
)
DECRYPTED = Rule("sealing/decrypted", "a decrypted leftover", "dev.dec.env", _REMOVE)
BACKUP = Rule(
    "sealing/backup",
    "what an editor, a merge or sops left of an env file",
    ".dev.enc.env.swp, prod.env.orig",
    _REMOVE,
)
MISPLACED = Rule(
    "sealing/misplaced", "a sealed file outside of secrets/", "config/dev.enc.env", "git mv it to secrets/"
)
CLEAR = Rule(
    "sealing/clear",
    "what looks like secrets in clear",
    ".env, prod.env outside of config/, a decrypted dump",
    _REMOVE,
)
MACHINE = Rule(
    "sealing/machine",
    "a file where what was installed, made or compiled on one machine belongs, and is run without being read",
    ".tools/bin/sops, .venv/bin/python, packages/yaml.py, ci/__pycache__/git.cpython-311.pyc",
    "git rm --cached {file}, and find out who committed it",
)
RULES = (STRAY, LINK, STRANGER, SECOND, IDENTITY, DECRYPTED, BACKUP, MISPLACED, CLEAR, MACHINE)

FOLDER = "secrets"
SEALED = re.compile(rf"{FOLDER}/({NAME.pattern})\.enc\.env")
PROPOSAL = re.compile(rf"{FOLDER}/proposals/({NAME.pattern})/({KEY_NAME.pattern})-[0-9a-f]{{8}}\.enc\.env")
_MACHINE = re.compile(r"\.(?:venv|tools|local|nox)(?:/.*)?|(?:.*/)?__pycache__/.*|.*\.py[co]", re.DOTALL)
_PLAIN = re.compile(rf"config/{NAME.pattern}\.env")
_DECRYPTED = re.compile(r"(.*[.-])?(?:dec|decrypted|unsealed)\.(env|ya?ml|json|ini|toml|txt)")
_TAIL = re.compile(r"(?:~|#|[._-](?:sw[a-px]|bak|backup|old|orig|rej|save|saved|tmp|temp|copy|\d+))+")
_RULES = re.compile(r"\.sops\.ya?ml")
_WATCHED = re.compile(r"(?:.*\.)?env|\.?sops\.ya?ml")
_EXAMPLE = re.compile(r".*\.(?:example|sample|template|dist)(?:\.env)?")
_CLEAR = re.compile(
    r"(?:.*\.)?env|\.env[._-].+|.+\.env\.[a-z0-9_-]+"
    r"|(?:.*[._-])?(?:secrets?|credentials)\.(?:ya?ml|json|ini|toml|txt|properties)"
)
_TEMPORARY = re.compile(r"(?:^|/)\.sops\d+/")  # os.MkdirTemp of sops exec-file
_LONGEST = 255  # characters of a name on any disk; a tree of git can hold longer ones, and keep us busy
# As age writes them (upper case alone is an identity), and plugins; real ones are longer.
_IDENTITY = re.compile(
    rb"AGE-(?:SECRET-KEY(?:-PQ)?|PLUGIN-[A-Z0-9-]{1,40})-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{40}"
)


@dataclass(frozen=True)
class Entry:
    """A file of the index, of a commit, or of the folder: its mode as git writes it, and its content."""

    mode: str
    data: bytes


Tree = Mapping[str, Entry]


def look(tree: Tree, names: Collection[str], keys: Collection[str]) -> Iterator[Finding]:
    """Yield what has no place in a tree, given the environments' names and the secret keys."""
    secrets = "|".join(sorted(keys))
    # A secret key at the beginning of a line, with a value that is not sealed.
    assigned = re.compile(rf"(?m)^(?:export )?({secrets})=(?!ENC\[|[\s$<{{]|\Z)".encode()) if secrets else None
    for path, entry in tree.items():
        if judgement := _named(path, entry.mode, names):
            rule, message = judgement
            yield finding(rule, path, message)
        for match in _IDENTITY.finditer(entry.data) if b"AGE-" in entry.data else ():
            yield finding(IDENTITY, path, "holds an age identity", line=_line(entry.data, match.start()))
        if assigned and not sealed(path) and (clear := _in_clear(assigned, path, entry.data)):
            yield clear


def brought(tree: Tree, folders: Collection[str]) -> Iterator[Finding]:
    """Yield what is in the folders that `inv build` puts packages into, which it fetches by hash."""
    for path in tree:
        parts = path.split("/")
        if any("/".join(parts[:depth]) in folders for depth in range(1, len(parts) + 1)):
            yield finding(MACHINE, path, "would be taken for a package that was fetched by hash")


def sealed(path: str) -> re.Match[str] | None:
    """Return the match of a sealed file or a proposal, whose first group is the environment."""
    return SEALED.fullmatch(path) or PROPOSAL.fullmatch(path)


def _named(path: str, mode: str, names: Collection[str]) -> tuple[Rule, str] | None:
    """Say why a path has no place here; None when it may have one."""
    first, _, rest = path.partition("/")
    match = sealed(path)
    if (match or path in (FOLDER, ".sops.yaml")) and mode in (git.LINK, git.MODULE):
        return LINK, "is a link, it must be the file itself"
    if match:
        return None if match[1] in names else (STRANGER, f"{match[1]} is no environment that is sealed here")
    if first.casefold() == FOLDER and (rest or first != FOLDER):
        return STRAY, "is neither ENV.enc.env nor a proposal, and nothing else may lie here"
    return _by_words(path, path.rpartition("/")[2][-_LONGEST:].casefold())


def _by_words(path: str, name: str) -> tuple[Rule, str] | None:
    """Judge a path outside of secrets/ by its last part, in small letters; the first that fits counts."""
    bare = _bare(name)
    plain = bool(_PLAIN.fullmatch(path) or _EXAMPLE.fullmatch(name))
    judgements = (
        (SECOND, "is a second one, and sops takes the first that it meets", _RULES.fullmatch(name)),
        (IDENTITY, "is named like an age identity", bare.endswith(".agekey")),
        (DECRYPTED, "is named like something decrypted", _DECRYPTED.fullmatch(bare)),
        (BACKUP, "is a leftover of an env file", bare != name and _WATCHED.fullmatch(bare)),
        (BACKUP, "is a temporary file of sops", _TEMPORARY.search(path)),
        (MISPLACED, "is named like a sealed file, which belongs in secrets/", ".enc." in name),
        (CLEAR, "is named like secrets in clear", not plain and _CLEAR.fullmatch(name)),
        (
            MACHINE,
            "is run without being read, and is of one machine alone",
            _MACHINE.fullmatch(path.casefold()),
        ),
    )
    return next(((rule, message) for rule, message, fits in judgements if fits and path != ".sops.yaml"), None)


def _bare(name: str) -> str:
    """Return what a leftover is a leftover of: `.dev.enc.env.swp`, `#dev.env#`, `dev.env~`, `dev.env.orig`."""
    match = re.search(rf"{_TAIL.pattern}\Z", name)
    if match is None:
        return name.removeprefix(".#")
    bare = name[: match.start()].lstrip("#")
    return bare.removeprefix(".") if name.startswith(".") and bare.count(".") > 1 else bare


def _in_clear(assigned: re.Pattern[bytes], path: str, data: bytes) -> Finding | None:
    """Find two or more secrets with their values, as `sops decrypt` prints them; plain files are parity's."""
    if _PLAIN.fullmatch(path) or b"=" not in data:
        return None
    matches = list(assigned.finditer(data))
    if len({match[1] for match in matches}) < 2:  # noqa: PLR2004, a single value may be an example
        return None
    return finding(CLEAR, path, "holds secrets in clear", line=_line(data, matches[0].start()))


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
