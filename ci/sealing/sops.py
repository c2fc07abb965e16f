"""sops as data: functions that return argv, and one that runs it and turns its exit codes into errors.

A sealed file is an env file, but in clear sops reads and writes JSON alone: in an env file it would write a line
break as a backslash and an n, and read a value that holds these two characters as another one.

Its stderr can hold plaintext (exit codes 2 and 25), so it is never shown, whatever the code.

A sealed file and its rules can be a stranger's, and both can make sops call an address or start a program that
they name. So whatever sops is about to read is read here first, and refused unless it is for age alone.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from ci.ground import command, documents, dotenv, errors
from ci.ground.repo import Repo
from ci.ground.schema import KEY_NAME
from runtime import Secret

SEALED = ("--input-type", "dotenv", "--output-type", "dotenv")
SEAL = ("--input-type", "json", "--output-type", "dotenv")
OPEN = ("--input-type", "dotenv", "--output-type", "json")
# cmd/sops/codes/codes.go of sops 3.13
NO_FILE, NO_USABLE_IDENTITY, UNCHANGED = 100, 128, 200
TAMPERED = (25, 51)
_METADATA = re.compile(
    r"sops_(?:age__list_(0|[1-9][0-9]{0,3})__map_(?:enc|recipient)|lastmodified|mac|version|unencrypted_suffix)"
)


def decrypt_stdin(name: str) -> list[str]:
    """Return the argv that prints the values of a sealed file on stdin; the name is for messages."""
    return ["decrypt", *OPEN, "--filename-override", name]


def encrypt(rules: Path, relative: str) -> list[str]:
    """Return the argv that seals a JSON object for the recipients of the rule that fits the relative path."""
    return ["--config", str(rules), "encrypt", *SEAL, "--filename-override", relative]


def put(path: Path, key: str) -> list[str]:
    """Return the argv that sets one key to the JSON string on stdin, in place."""
    return ["set", "--value-stdin", *SEALED, str(path), f'["{key}"]']


def drop(path: Path, key: str) -> list[str]:
    """Return the argv that removes one key, in place."""
    return ["unset", *SEALED, str(path), f'["{key}"]']


def updatekeys(rules: Path, path: Path) -> list[str]:
    """Return the argv that brings a file's recipients in line with its rule, in place; the data key stays."""
    return ["--config", str(rules), "updatekeys", "-y", "--input-type", "dotenv", str(path)]


def call(
    repo: Repo,
    arguments: Sequence[str],
    *,
    identity: Secret | None = None,
    text: str = "",
    cwd: Path | None = None,
) -> str:
    """Run sops and return its stdout.

    It gets no other identity than this one: HOME leads nowhere, and nothing of SOPS_* is inherited. Without `cwd`,
    it is in a folder that has no .sops.yaml above it. Raises
    NotSealedError, WrongIdentityError, TamperedError, ToolMissingError, or ConfigurationError for rules that name
    more than recipients of age.
    """
    cwd = cwd or Path("/")
    _read_before(arguments, text, cwd)
    env = {"HOME": "/nonexistent", "SOPS_DISABLE_VERSION_CHECK": "1"}
    if identity is not None:
        env["SOPS_AGE_KEY"] = identity.reveal()
    result = command.attempt([repo.tool("sops"), *arguments], input=text.encode(), env=env, cwd=cwd)
    if result.code not in (0, UNCHANGED):
        raise _fault(result.code, next((word for word in arguments if word.endswith(".env")), ""))
    return result.stdout.decode()


def strange(data: bytes) -> bool:
    """Whether a sealed file has metadata that `inv` never wrote, and that sops may follow somewhere else."""
    lines = [line.partition("=") for line in data.decode(errors="replace").split("\n") if line.startswith("sops_")]
    names = [name for name, _, _ in lines]
    matches = [_METADATA.fullmatch(name) for name in names]
    numbers = {int(match[1]) for match in matches if match and match[1]}
    return (
        not all(matches)
        or len(names) > len(set(names))
        or numbers != set(range(len(numbers)))  # sops makes a list as long as the largest says
        or any(name == "sops_unencrypted_suffix" and value.strip() != "_unencrypted" for name, _, value in lines)
    )


def _read_before(arguments: Sequence[str], text: str, folder: Path) -> None:
    """Read what sops is about to read: the rules, the file, or the text on stdin."""
    sealed = {"stdin": text.encode()} if "decrypt" in arguments else {}
    for option, word in pairwise(["", *arguments]):
        if option == "--config":
            _for_age_alone(folder / word)
        elif option != "--filename-override" and word.endswith(".enc.env") and (folder / word).exists():
            sealed[Path(word).name] = (folder / word).read_bytes()
        elif option == "--filename-override" and "stdin" in sealed:
            sealed[Path(word).name] = sealed.pop("stdin")
    for name, data in sealed.items():
        if strange(data):
            hint = "nox -s secrets says which"
            raise errors.TamperedError(f"{name} has metadata that does not belong there", hint)


def _for_age_alone(path: Path) -> None:
    try:
        document = documents.load(path.read_bytes())
        good = document.keys() == {"creation_rules"} and all(
            rule.keys() == {"path_regex", "age"} for rule in document["creation_rules"]
        )
    except (OSError, yaml.YAMLError, AttributeError, TypeError):
        good = False
    if not good:
        hint = "nox -s secrets says what is wrong with it"
        raise errors.ConfigurationError(f"{path.name} names more than recipients of age, or cannot be read", hint)


def values(text: str) -> tuple[dict[str, str], list[str]]:
    """Return the values that sops printed by key, in order, and every problem; none repeats a value."""
    values: dict[str, str] = {}
    problems: list[str] = []
    for key, value in json.loads(text, object_pairs_hook=list):
        if not KEY_NAME.fullmatch(key):
            problems.append("a name is not a key's")
        elif key in values:
            problems.append(f"{key} is there twice")
        elif what := dotenv.unfit(value) if isinstance(value, str) else "is not a text":
            problems.append(f"{key} {what}")
        values[key] = str(value)
    return values, problems


def _fault(code: int, file: str) -> errors.LockstepError:
    name = Path(file).name
    if code == NO_USABLE_IDENTITY:
        return errors.WrongIdentityError(
            f"the identity at hand does not open {name}", "ask a recipient of the file to add yours"
        )
    if code in TAMPERED:
        return errors.TamperedError(
            f"{name} was changed by something other than sops, nothing in it can be trusted",
            f"take the last good one back: git checkout -- secrets/{name}",
        )
    if code == NO_FILE:
        return errors.NotSealedError(f"{name} is not there", "inv init makes it, inv encrypt fills it")
    return errors.NotSealedError(
        f"{name} is not a file that sops can read (exit code {code})",
        f"look for a merge conflict or a cut end, or take the last good one back: git checkout -- secrets/{name}",
    )
