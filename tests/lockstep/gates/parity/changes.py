"""What tests of parity do to a checkout, and what the gate says of it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from ci.gates import parity
from ci.ground.repo import Repo
from tests import checkouts

Change = Callable[[Repo], object]
COPIED = ("app", "worker", "model", ".github")
WORKFLOW = ".github/workflows/deliver.yml"
SPARE: dict[str, object] = {
    "type": "string",
    "meta": {"services": ["api"], "description": "a spare", "example": "one"},
}


def made(folder: Path) -> Path:
    """Return a checkout after `inv init`, with the services and everything else that parity looks at."""
    root = checkouts.initialised(folder).root
    checkouts.copy(checkouts.project(*COPIED), root)
    checkouts.generated(root)
    return root


def rules(repo: Repo) -> set[str]:
    return {one.rule.removeprefix("parity/") for one in parity.check(repo)}


def file(place: str, content: str | bytes) -> Change:
    """Return what writes a file."""

    def apply(repo: Repo) -> None:
        path = repo.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


def swap(place: str, pattern: str, new: str) -> Change:
    """Return what replaces the first match of an expression in a file."""

    def apply(repo: Repo) -> None:
        path = repo.root / place
        before = path.read_text()
        after = re.sub(pattern, lambda _: new, before, count=1, flags=re.MULTILINE)
        assert before != after
        path.write_bytes(after.encode())

    return apply


def put(key: str, value: str, name: str = "prod") -> Change:
    """Return what gives a plain key another value."""
    return swap(f"config/{name}.env", rf"^{key}=.*$", f"{key}={value}")


def line(text: str, name: str = "dev") -> Change:
    """Return what adds a line to a plain file."""
    return lambda repo: file(f"config/{name}.env", repo.plain(name).read_text() + f"{text}\n")(repo)


def remove(place: str) -> Change:
    return lambda repo: (repo.root / place).unlink()


def schema(change: Callable[[dict[str, dict[str, object]]], object]) -> Change:
    """Return what changes the schema's keys, and makes anew what is generated from it."""

    def apply(repo: Repo) -> None:
        path = repo.root / "config/schema.yaml"
        document = yaml.safe_load(path.read_text())
        change(document["keys"])
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        checkouts.generated(repo.root)

    return apply


def settings(text: str, place: str = "app/settings.py") -> Change:
    """Return what adds a module that may read the environment by itself."""

    def declare(repo: Repo) -> None:
        path = repo.root / "config/schema.yaml"
        document = yaml.safe_load(path.read_text())
        document.setdefault("settings", []).append(place)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    return both(file(place, text), declare)


def meta(key: str, **about: object) -> Change:
    return schema(lambda keys: keys[key]["meta"].update(about))  # type: ignore[attr-defined]


def code(text: str, place: str = "worker/more.py") -> Change:
    return file(place, text)


def workflow(text: str) -> Change:
    return file(WORKFLOW, text)


def both(*changes: Change) -> Change:
    return lambda repo: [change(repo) for change in changes]


def everywhere(change: Callable[[str], Change]) -> Change:
    return both(*(change(name) for name in ("local", "dev", "staging", "prod")))


def new_environment(repo: Repo) -> None:
    """Add an environment in each place that one must be in."""
    swap("config/environments.yaml", r"\Z", "  qa:\n    engine: swarm\n")(repo)
    text = (repo.root / "config/dev.env").read_text().replace("ENVIRONMENT=dev", "ENVIRONMENT=qa")
    (repo.root / "config/qa.env").write_text(text.replace(".dev.", ".qa."))
    shutil.copy(repo.sealed("dev"), repo.sealed("qa"))
    rule = "  - path_regex: ^secrets/qa\\.enc\\.env$\n    age: []\n"
    (repo.root / ".sops.yaml").write_text((repo.root / ".sops.yaml").read_text() + rule)


def no_services(repo: Repo) -> None:
    for name in ("app", "worker", "model"):
        shutil.rmtree(repo.root / name)
