"""The progress of a rotation: step names and times in clear, both values as ciphertext beside them.

The values are sealed for the environment's recipients before anything relies on them, so that a kill loses none.
"""

import fcntl
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ci.delivery.release import now, person
from ci.ground import errors, files
from ci.ground.repo import Repo
from ci.sealing import ciphertext, edit, identity
from runtime import Secret

OLD, NEW = "OLD", "NEW"


@dataclass
class State:
    """One rotation under way; `done` are the names of its steps, `release` the number that has the new value."""

    environment: str
    key: str
    leaked: bool
    who: str
    begun: str
    tag: str
    done: list[str] = field(default_factory=list)
    release: int = 0
    aborting: bool = False


def folder(repo: Repo, name: str) -> Path:
    """Return where rotations under way are kept, outside of git."""
    return repo.state_of(name) / "rotation"


@contextmanager
def alone(repo: Repo, name: str) -> Iterator[None]:
    """Hold an environment against other rotations; the kernel releases it when this process ends."""
    folder(repo, name).mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder(repo, name) / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait until it is done, then try again"
            raise errors.LockedError(f"another process rotates a key of {name}", hint) from None
        yield


def read(repo: Repo, name: str, key: str) -> State | None:
    """Return the rotation that is under way; RotationError when its file is damaged."""
    path = _steps(repo, name, key)
    try:
        return State(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        hint = "look at the provider which keys are valid before you remove it"
        raise errors.RotationError(
            f"{path.name} is damaged, how far the rotation was is not known", hint
        ) from None


def begin(repo: Repo, name: str, key: str, *, leaked: bool) -> State:
    """Return a new rotation, written down before its first step."""
    _values(repo, name, key).unlink(missing_ok=True)  # of a rotation that was killed at its very end
    state = State(name, key, leaked, person(repo), now(), f"lockstep-{secrets.token_hex(8)}")
    write(repo, state)
    return state


def write(repo: Repo, state: State) -> None:
    """Keep the progress of a rotation."""
    path = _steps(repo, state.environment, state.key)
    files.replace(path, json.dumps(asdict(state), indent=1), mode=0o600)


def hold(repo: Repo, state: State, values: dict[str, Secret]) -> None:
    """Keep the values, sealed."""
    text = edit.seal(repo, state.environment, {name: value.reveal() for name, value in values.items()})
    files.replace(_values(repo, state.environment, state.key), text, mode=0o600)


def held(repo: Repo, state: State) -> dict[str, Secret]:
    """Return the values, opened in memory; empty if none were kept yet."""
    path = _values(repo, state.environment, state.key)
    if not path.exists():
        return {}
    own = identity.at_hand(repo, state.environment)
    values, _ = ciphertext.opened(repo, path.name, path.read_bytes(), own)
    return {name: Secret(value) for name, value in values.items()}


def end(repo: Repo, state: State) -> None:
    """Forget a rotation: its steps first, for values without steps are never read."""
    _steps(repo, state.environment, state.key).unlink(missing_ok=True)
    _values(repo, state.environment, state.key).unlink(missing_ok=True)


def records(repo: Repo, name: str) -> list[dict[str, str]]:
    """Return the rotations of an environment that have ended, oldest first."""
    try:
        lines = _record(repo, name).read_text(encoding="utf-8").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["environment"] == name]
    except FileNotFoundError:
        return []


def record(repo: Repo, state: State) -> Path:
    """Record once who rotated what and when, and return the file; it holds no secret and is committed."""
    path, fields = _record(repo, state.environment), ("environment", "key", "who", "begun", "tag")
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if not any(entry["tag"] == state.tag for entry in records(repo, state.environment)):
        line = json.dumps({field: getattr(state, field) for field in fields} | {"when": now()})
        files.replace(path, f"{before}{line}\n")
    return path


def _steps(repo: Repo, name: str, key: str) -> Path:
    return folder(repo, name) / f"{key}.json"


def _values(repo: Repo, name: str, key: str) -> Path:
    return folder(repo, name) / f"{key}.enc.env"


def _record(repo: Repo, name: str) -> Path:
    return repo.record if repo.environments.by_name[name].in_git else repo.state_of(name) / "rotations.jsonl"
