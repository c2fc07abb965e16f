"""What an image holds: looked at, layer by layer, before it may get its tag."""

import hashlib
import json
import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image as Built

from ci.delivery import engines
from ci.delivery.image import commands, parts
from ci.delivery.image.commands import Reader
from ci.delivery.image.source import Source
from ci.gates.leaks import check_image
from ci.ground import errors, files
from ci.ground.repo import Repo

USER = "user: it must be a number, and not root's; USER 10001 in the Dockerfile"
MANY = 10_000_000  # bytes that a folder's tar may have beside its files
# A pattern of paths and what is wrong with them.
FORBIDDEN: Mapping[re.Pattern[str], str] = {
    re.compile(pattern): what
    for pattern, what in {
        r"(^|/)\.git(/|$)": "history",
        # Packages bring examples.
        r"^(?!(.*/)?(node_modules|site-packages|dist-packages)/).*\.env$": "values, sealed or plain",
        r"(^|/)\.sops\.yaml$|\.agekey$": "values, sealed or plain",
        r"(^|/)bin/(gitleaks|sops|age|age-keygen)$": "a tool",
        r"(^|/)\.cache/(pip|uv)/": "a cache",
    }.items()
}
# The files that decide how a layer is inspected.
RULES = ("ci/gates", "ci/delivery/image", "config/schema.yaml", "ci/ground/tools.toml")
# How the engine's history describes steps that make no layer with a file in it, and a copy into a folder.
_NO_FILE = re.compile(
    r"/bin/sh -c #\(nop\) +(LABEL|ENV|USER|EXPOSE|VOLUME|HEALTHCHECK|ENTRYPOINT|CMD|STOPSIGNAL|WORKDIR) "
)
_COPIED = re.compile(r"/bin/sh -c #\(nop\) COPY (?:--\S+ )?(?:dir|file|multi):[0-9a-f]+ in (\S+) ?")
_WORKDIR = re.compile(r"/bin/sh -c #\(nop\) WORKDIR (/\S*) ?")


@dataclass
class Seen:
    """Lines that say what is wrong, and what each layer, by its digest, is made of."""

    wrong: list[str]
    layers: dict[str, set[parts.Part]] = field(default_factory=dict)


def inspect(source: Source, engine: DockerClient, image: Built) -> set[parts.Part]:
    """Return what an image is made of; UncleanImageError for what it may not hold, or must hold and does not.

    A layer that was found clean here before is not looked at again: its digest is that of its content.
    """
    repo = source.repo
    history: Sequence[Mapping[str, Any]] = image.history()
    seen = Seen(configured(repo, image.attrs["Config"], history))
    if USER not in seen.wrong:  # its own user asks
        seen.wrong += commands.problems(engine, str(image.id), readers(source))
    digests = image.attrs["RootFS"]["Layers"]
    for digest in digests:
        if (note := _note(repo, digest)).exists():
            seen.layers[digest] = parts.loads(note.read_text())
    fresh = [digest for digest in digests if digest not in seen.layers]
    if fresh:
        with tempfile.TemporaryDirectory(prefix="lockstep-image-") as folder:
            unpacked = Path(folder) / "layers"
            copies = copied(history, len(fresh)) if fresh == digests[-len(fresh) :] else ()
            if not copies or not _look_at_copies(engine, image, unpacked, copies, fresh, seen):
                _look_at_all(image, unpacked, set(fresh), seen)
            findings = check_image(unpacked, repo)
            seen.wrong += [f"{finding.place}: {finding.message} ({finding.rule})" for finding in findings]
    if seen.wrong:
        raise errors.UncleanImageError(
            f"the image {source.name} cannot be used as it is, {len(seen.wrong)} findings",
            "it was removed: .dockerignore leaves files out; replace every secret that leaked",
            sorted(set(seen.wrong))[:30],
        )
    for digest in fresh:
        files.replace(_note(repo, digest), parts.dumps(seen.layers[digest]))
    return set().union(*seen.layers.values())


def readers(source: Source) -> list[Reader]:
    """Return the services and jobs that an image is started for: by an engine that runs images.

    A job that rotates keys is not one of them: it runs on the machine of the person who rotates.
    """
    repo, schema = source.repo, source.repo.schema_at(source.commit)
    providers = {key.meta.get("provider") for key in schema.keys.values()}
    found: dict[str, Reader] = {}
    for environment in repo.environments.by_name:
        if engines.open(repo, environment).versioned:
            within = schema.within(environment)
            found |= {name: Reader(f"service {name}", about) for name, about in within.services.items()}
            found |= {
                name: Reader(f"job {name}", about) for name, about in within.jobs.items() if name not in providers
            }
    return [reader for reader in found.values() if reader.declared.image == source.name]


def configured(repo: Repo, config: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with an image's configuration and history, names only."""
    wrong = []
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", config.get("User") or ""):
        wrong.append(USER)
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


def copied(history: Sequence[Mapping[str, Any]], count: int) -> list[tuple[str, int]]:
    """Return the folders that the last layers, so many, were copied into, with the bytes of each.

    It is empty when other steps made them, or when one may have replaced what another brought.
    """
    found: list[tuple[str, int]] = []
    for number, step in enumerate(history):
        if len(found) == count:
            return found
        created = str(step["CreatedBy"])
        if match := _COPIED.fullmatch(created):
            folder = _absolute(match[1], history[number:])
            if not folder or any(_within(folder, other) or _within(other, folder) for other, _ in found):
                return []
            found.append((folder, step["Size"]))
        elif not _NO_FILE.match(created):
            return []
    return found if len(found) == count else []


def _absolute(folder: str, history: Sequence[Mapping[str, Any]]) -> str:
    """Return where a folder is, from the WORKDIR before it; empty when no step says that."""
    steps = (_WORKDIR.fullmatch(str(step["CreatedBy"])) for step in history)
    start = next((step[1] for step in steps if step), "")
    return posixpath.normpath(posixpath.join(start, folder)) if start or folder.startswith("/") else ""


def _within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _look_at_copies(  # noqa: PLR0917
    engine: DockerClient,
    image: Built,
    unpacked: Path,
    copies: Sequence[tuple[str, int]],
    fresh: Sequence[str],
    seen: Seen,
) -> bool:
    """Look at folders as a container has them: to save the whole image for this takes as long as to build it.

    False when a folder is not exactly what its step copied: it was there before, or is a link.
    """
    contents: set[parts.Part] = set()
    with commands.container(engine, str(image.id)) as container:
        for number, (folder, size) in enumerate(copies):
            path = unpacked / f"{number}/layer.tar"
            if not _fetched(container, folder, path, size):
                shutil.rmtree(unpacked)
                return False
            with tarfile.open(path) as opened:
                contents |= _contents(opened, seen)
    seen.layers |= dict.fromkeys(fresh, contents)
    return True


def _fetched(container: Container, folder: str, path: Path, size: int) -> bool:
    """Write a container's folder as a tar of whole paths; False when its files have another size in all."""
    path.parent.mkdir(parents=True)
    try:
        chunks, _ = container.get_archive(folder, chunk_size=None)
    except NotFound:
        return False
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            file.write(chunk)
            if file.tell() > 2 * size + MANY:
                return False
        file.seek(0)
        with tarfile.open(fileobj=file) as fetched, tarfile.open(path, "w") as whole:
            for member in fetched:
                size -= member.size if member.isfile() else len(member.linkname)
                member.name = posixpath.join(posixpath.dirname(folder), member.name).removeprefix("/")
                whole.addfile(member, fetched.extractfile(member) if member.isfile() else None)
    return size == 0


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
    """Return what a layer is made of, and note what no image may hold."""
    contents: set[parts.Part] = set()
    for member in layer:
        if not member.isdir():
            name = member.name.removeprefix("./")
            seen.wrong += [f"{name}: {what}" for rule, what in FORBIDDEN.items() if rule.search(name)]
            contents.update(parts.of(name, layer.extractfile(member) if member.isfile() else None))
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


def _opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.extractfile(name)
    if member is None:
        raise errors.BuildError(f"the engine's tar has no {name}", "docker save shows what it has")
    return member
