"""What an image holds: looked at, layer by layer, before it may get its tag."""

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from docker.models.images import Image as Built

from ci.delivery.image import parts
from ci.gates.leaks import check_image
from ci.ground import errors
from ci.ground.repo import Repo

# A pattern of paths and what is wrong with them; the services' own code stands in srv/.
FORBIDDEN: Mapping[str, str] = {
    r"(^|/)\.git(/|$)": "history",
    r"^srv/(?!(app|config|model|worker)(/|$)).": "none of the services' folders",
    r"(^|/)secrets/|\.env$|(^|/)\.sops\.yaml$|\.agekey$": "values, sealed or plain",
    r"^srv/(.*/)?(tests?|test_[^/]*\.py|conftest\.py)(/|$)": "tests",
    r"(^|/)bin/(gitleaks|sops|age|age-keygen|uv)$": "a tool",
    r"(^|/)\.cache/(pip|uv)/": "a cache",
}
ENTRY = ["python", "-m", "config.entry"]


@dataclass
class Seen:
    """What was found: lines that say what is wrong, and what the image is made of."""

    wrong: list[str] = field(default_factory=list)
    found: set[parts.Part] = field(default_factory=set)


def inspect(repo: Repo, image: Built) -> set[parts.Part]:
    """Return what an image is made of; UncleanImageError when it holds what no image may hold."""
    seen = Seen(wrong=configured(repo, image.attrs["Config"], image.history()))
    with tempfile.TemporaryDirectory(prefix="lockstep-image-") as folder:
        path = Path(folder) / "image.tar"
        with path.open("wb") as file:
            for chunk in image.save():
                file.write(chunk)
        _look(path, seen)
        seen.wrong += [f"{one.place}: {one.message} ({one.rule})" for one in check_image(path, repo)]
    if seen.wrong:
        raise errors.UncleanImageError(
            f"the image holds what no image may hold, {len(seen.wrong)} findings",
            "it was removed: take them out of the commit, and replace what leaked",
            sorted(seen.wrong)[:30],
        )
    return seen.found


def configured(repo: Repo, config: Mapping[str, Any], history: list[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with an image's configuration and history, names only."""
    wrong = []
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", config.get("User") or ""):
        wrong.append("user: it must be a number, and not root's")
    if config.get("Entrypoint") != ENTRY:
        wrong.append(f"entry: it must be {' '.join(ENTRY)}")
    keys = list(repo.schema.keys)
    told = {
        "environment": "\n".join(config.get("Env") or []),
        "labels": json.dumps(config.get("Labels") or {}),
        "history": "\n".join(str(step["CreatedBy"]) for step in history),
    }
    wrong += [
        f"{where}: it sets {key}"
        for where, text in told.items()
        for key in keys
        if re.search(rf"\b{key}(=|\"?: )", text)
    ]
    return wrong


def _look(path: Path, seen: Seen) -> None:
    """Walk through the files of every layer."""
    with tarfile.open(path) as archive:
        manifest = json.load(_opened(archive, "manifest.json"))
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=_opened(archive, layer)) as files:
                for name, content in _files(files):
                    seen.wrong += [f"{name}: {what}" for rule, what in FORBIDDEN.items() if re.search(rule, name)]
                    seen.found.update(_parts(name, content))


def _files(layer: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for member in layer:
        if not member.isdir():
            yield member.name.removeprefix("./"), layer.extractfile(member) if member.isfile() else None


def _parts(name: str, content: IO[bytes] | None) -> Iterator[parts.Part]:
    if content and name.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")):
        yield parts.python(content.read().decode())
    if content and name == "var/lib/dpkg/status":
        yield from parts.debian(content.read().decode())


def _opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)
    if member is None:
        raise errors.BuildError(f"the engine's tar has no {name}", "docker save shows what it has")
    return member
