"""What an image holds: looked at, layer by layer, before it may get its tag."""

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from docker import DockerClient
from docker.models.images import Image as Built

from ci.delivery.image import parts
from ci.gates.leaks import check_image
from ci.ground import errors, files
from ci.ground.repo import Repo
from ci.ground.schema import Schema

# A pattern of paths and what is wrong with them.
FORBIDDEN: Mapping[str, str] = {
    r"(^|/)\.git(/|$)": "history",
    r"(^|/)secrets/|\.env$|(^|/)\.sops\.yaml$|\.agekey$": "values, sealed or plain",
    r"^srv/(.*/)?(tests?|test_[^/]*\.py|conftest\.py)(/|$)": "tests",
    r"(^|/)bin/(gitleaks|sops|age|age-keygen|uv)$": "a tool",
    r"(^|/)\.cache/(pip|uv)/": "a cache",
}
# The files that decide how a layer is inspected.
RULES = ("ci/gates", "ci/delivery/image", "config/schema.yaml", "ci/ground/tools.toml")
# How the engine's history describes steps that make no layer, and a copy into /srv.
_NO_LAYER = re.compile(r"/bin/sh -c #\(nop\) +(LABEL|ENV|USER|EXPOSE|HEALTHCHECK|ENTRYPOINT|CMD|STOPSIGNAL) ")
_COPIED = re.compile(r"/bin/sh -c #\(nop\) COPY dir:[0-9a-f]+ in /srv ?")
ENTRY = ["python", "-m", "runtime.entry"]
SHARED = ("model", "runtime")  # what every service imports


@dataclass
class Seen:
    """What is forbidden, lines that say what is wrong, and what each layer, by its digest, is made of."""

    forbidden: Mapping[str, str]
    wrong: list[str]
    layers: dict[str, set[parts.Part]] = field(default_factory=dict)


def inspect(repo: Repo, engine: DockerClient, image: Built) -> set[parts.Part]:
    """Return what an image is made of; UncleanImageError when it holds what no image may hold.

    A layer that was found clean here before is not looked at again: its digest is that of its content.
    """
    seen = Seen(forbidden(repo.schema), configured(repo, image.attrs["Config"], image.history()))
    digests = image.attrs["RootFS"]["Layers"]
    for digest in digests:
        if (note := _note(repo, digest)).exists():
            seen.layers[digest] = parts.loads(note.read_text())
    fresh = [digest for digest in digests if digest not in seen.layers]
    if fresh:
        with tempfile.TemporaryDirectory(prefix="lockstep-image-") as folder:
            unpacked = Path(folder) / "layers"
            if fresh == digests[-1:] and _is_code(image.history()):
                _look_at_code(engine, image, unpacked / "code.tar", digests[-1], seen)
            else:
                _look_at_all(image, unpacked, set(fresh), seen)
            findings = check_image(unpacked, repo)
            seen.wrong += [f"{finding.place}: {finding.message} ({finding.rule})" for finding in findings]
    if seen.wrong:
        raise errors.UncleanImageError(
            f"the image holds what no image may hold, {len(seen.wrong)} findings",
            "it was removed: take them out of the commit, and replace what leaked",
            sorted(seen.wrong)[:30],
        )
    for digest in fresh:
        files.replace(_note(repo, digest), parts.dumps(seen.layers[digest]))
    return set().union(*seen.layers.values())


def forbidden(schema: Schema) -> Mapping[str, str]:
    """Return what no image may hold; srv/ may hold the folders of the schema's services and what they share."""
    folders = sorted({*SHARED, *(module.partition(".")[0] for module in schema.services.values())})
    return {rf"^srv/(?!({'|'.join(folders)})(/|$)).": "none of the services' folders", **FORBIDDEN}


def configured(repo: Repo, config: Mapping[str, Any], history: list[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with an image's configuration and history, names only."""
    wrong = []
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", config.get("User") or ""):
        wrong.append("user: it must be a number, and not root's")
    if config.get("Entrypoint") != ENTRY:
        wrong.append(f"entry: it must be {' '.join(ENTRY)}")
    keys = list(repo.schema.keys)
    texts = {
        "environment": "\n".join(config.get("Env") or []),
        "labels": json.dumps(config.get("Labels") or {}),
        "history": "\n".join(str(step["CreatedBy"]) for step in history),
    }
    wrong += [
        f"{where}: it sets {key}"
        for where, text in texts.items()
        for key in keys
        if re.search(rf"\b{key}(=|\"?: )", text)
    ]
    return wrong


def _is_code(history: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the last layer is a plain copy into /srv: then all of it is in /srv, and it hides nothing."""
    steps = (str(step["CreatedBy"]) for step in history)
    last = next(step for step in steps if not _NO_LAYER.match(step))
    return bool(_COPIED.fullmatch(last))


def _look_at_code(engine: DockerClient, image: Built, path: Path, digest: str, seen: Seen) -> None:
    """Look at /srv as a container would have it: to save the whole image for this takes as long as to build it."""
    container = engine.containers.create(image)
    try:
        chunks, _ = container.get_archive("/srv")
        _put(path, b"".join(chunks))
    finally:
        container.remove()
    with tarfile.open(path) as opened:
        seen.layers[digest] = _contents(opened, seen)


def _look_at_all(image: Built, folder: Path, digests: AbstractSet[str], seen: Seen) -> None:
    """Look at the layers with these digests; afterwards the folder holds them and the configuration."""
    path = folder.parent / "image.tar"
    with path.open("wb") as file:
        for chunk in image.save():
            file.write(chunk)
    with tarfile.open(path) as archive:
        manifest = json.load(_opened(archive, "manifest.json"))[0]
        config = _opened(archive, manifest["Config"]).read()
        _put(folder / "config.json", config)
        for digest, name in zip(json.loads(config)["rootfs"]["diff_ids"], manifest["Layers"], strict=True):
            if digest in digests:
                layer = folder / digest.replace(":", "-") / "layer.tar"
                _put(layer, _opened(archive, name).read())
                with tarfile.open(layer) as opened:
                    seen.layers[digest] = _contents(opened, seen)


def _contents(layer: tarfile.TarFile, seen: Seen) -> set[parts.Part]:
    contents: set[parts.Part] = set()
    for member in layer:
        if not member.isdir():
            name = member.name.removeprefix("./")
            seen.wrong += [f"{name}: {what}" for rule, what in seen.forbidden.items() if re.search(rule, name)]
            contents.update(_parts(name, layer.extractfile(member) if member.isfile() else None))
    return contents


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _note(repo: Repo, digest: str) -> Path:
    """Return the file that exists if a layer is clean by today's rules, schema and scanner, with its parts."""
    rules = hashlib.sha256()
    for place in RULES:
        for path in sorted((repo.root / place).rglob("*.py")) or [repo.root / place]:
            rules.update(path.read_bytes() if path.exists() else b"")
    folder = repo.state / "inspected" / rules.hexdigest()[:16]
    repo.state.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{digest.partition(':')[2]}.json"


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
