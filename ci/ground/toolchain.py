"""Install the pinned sops, age and gitleaks into .tools/bin: `python -m ci.ground.toolchain`.

tools.toml has versions and sums. If a source cannot be reached, the next one is tried: the release file, checked
by its sum, then a build by Go of the same version, whose modules are checked by the sums in tools/NAME/go.sum, and
by nothing that a machine can be told otherwise. LOCKSTEP_TOOLS_MIRROR, an
address that has the release files under their own names, is tried before both; while it answers, the others are
not asked. A wrong sum or version ends the installation, from any source.
"""

import hashlib
import http.client
import io
import json
import os
import platform
import re
import shutil
import ssl
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import certifi

from ci.ground import command, errors, files, git, programs, repo
from ci.ground.events import Began, Ended, Events
from ci.ground.repo import Repo

PINS = Path(__file__).with_name("tools.toml")
MIRROR = "LOCKSTEP_TOOLS_MIRROR"
GO = "go build"
MODULES = PINS.with_name("tools")  # by tool, a Go module that needs it: go.mod, and go.sum with the sums of all
# Only where modules are fetched from is the machine's to say. No setting of its own, no module or package that was
# fetched or compiled before, and no file that is not in go.mod: a sum that is missing or wrong is an error.
_GO_ENV = {
    "GOENV": "off",
    "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
    "GOWORK": "off",
    "GOTOOLCHAIN": "local",
    "CGO_ENABLED": "0",
}
DOWNLOAD_SECONDS = 5  # to connect, and between two pieces of an answer
BUILD_SECONDS = 1800
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Tool:
    """One pin; `programs` are paths in the release archive, `files` has each platform's file name and sha256."""

    name: str
    version: str
    release: str
    programs: Sequence[str]
    go: Sequence[str]
    files: Mapping[str, tuple[str, str]]

    @property
    def file(self) -> tuple[str, str]:
        """The release file for this machine and its sha256; both empty where there is none."""
        return self.files.get(this_platform(), ("", ""))


class UnreachableError(Exception):
    """A source does not have the tool; the next one is tried."""


def pins(path: Path = PINS) -> list[Tool]:
    """Return every pinned tool."""
    return [_pin(name, pin) for name, pin in tomllib.loads(path.read_text(encoding="utf-8")).items()]


def this_platform() -> str:
    """Return this machine's platform as tools.toml names it, such as linux-amd64."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"


def ensure(
    where: Repo, tools: Sequence[Tool] | None = None, environ: Mapping[str, str] = os.environ
) -> Events[list[str]]:
    """Install each tool that is not installed as it is pinned; return the names of those installed.

    Two processes take turns. Each tool appears whole or not at all. Raises ToolMismatchError for a wrong sum or
    version, ToolMissingError, with why each source failed, when there is none, and TrackedError when git could
    have put programs there.
    """
    git.untracked(where.root, where.tools.parent.name)
    wanted = pins() if tools is None else tools
    if all(_installed(where, tool, programs.is_untouched) for tool in wanted):
        return []
    with _turn(where), _part(where) as caches:
        missing = [tool for tool in wanted if not _installed(where, tool, programs.is_same)]
        for tool in missing:
            yield from _install(where, tool, environ, caches)
        for tool in wanted:
            _write(where, tool)  # of a copy, too, so that it need not be hashed each time
    return [tool.name for tool in missing]


def check(where: Repo, tools: Sequence[Tool] | None = None) -> None:
    """Hash every program; ToolMismatchError names those that are not what was installed."""
    wanted, record = pins() if tools is None else tools, programs.record(where.tools)
    names = [Path(program).name for tool in wanted for program in tool.programs]
    sums = {name: facts["sha256"] for tool in record.values() for name, facts in tool["programs"].items()}
    if wrong := [name for name in names if programs.digest(where.tools / name) != sums.get(name)]:
        raise programs.mismatch(*wrong)


def _pin(name: str, pin: dict[str, Any]) -> Tool:
    files_ = {
        where: (file.format(version=pin["version"]), sha256) for where, (file, sha256) in pin["files"].items()
    }
    return Tool(name=name, **pin | {"files": files_, "release": pin["release"].format(**pin)})


def _installed(where: Repo, tool: Tool, good: Callable[[Path, Mapping[str, Any]], bool]) -> bool:
    """Whether the tool was installed from this pin, and its programs are still good."""
    entry = programs.record(where.tools).get(tool.name, {})
    installed = entry.get("programs", {})
    pinned = (tool.version, list(tool.file), [Path(program).name for program in tool.programs])
    return (entry.get("version"), entry.get("file"), list(installed)) == pinned and all(
        good(where.tools / name, facts) for name, facts in installed.items()
    )


def _install(where: Repo, tool: Tool, environ: Mapping[str, str], caches: Path) -> Events[None]:
    reasons = []
    for source, fetch in _sources(tool, environ, caches):
        slow = ", which can take minutes" if source == GO else ""
        yield Began("install", f"{tool.name} {tool.version} from {source}{slow}")
        began = time.monotonic()
        with _part(where) as folder:
            try:
                fetch(folder)
            except UnreachableError as error:
                reasons.append(f"{source}: {error}")
                continue
            _put(where, tool, source, folder)
        yield Ended("install", f"{tool.name} {tool.version}", time.monotonic() - began)
        return
    raise errors.ToolMissingError(
        f"{tool.name} {tool.version} cannot be installed",
        f"let this machine reach the release page, install Go, or set {MIRROR} to where the release files lie",
        reasons,
    )


def _sources(tool: Tool, environ: Mapping[str, str], caches: Path) -> list[tuple[str, Callable[[Path], None]]]:
    mirror = environ.get(MIRROR, "").rstrip("/")
    addresses = [mirror, tool.release] if mirror else [tool.release]
    downloads = [(re.sub("//.*@", "//", address), partial(_download, tool, address)) for address in addresses]
    return [*downloads, (GO, partial(_build, tool, caches))]


def _put(where: Repo, tool: Tool, source: str, folder: Path) -> None:
    """Move the programs into place; the record is written last, so that an interrupted run is repeated."""
    where.tools.mkdir(exist_ok=True)
    for name in (Path(program).name for program in tool.programs):
        (folder / name).chmod(0o755)
        (folder / name).replace(where.tools / name)
    _write(where, tool, source)


def _write(where: Repo, tool: Tool, source: str = "") -> None:
    """Record what the programs of a tool are like, and where they are from, which may be known already."""
    record = programs.record(where.tools)
    installed = {}
    for path in (where.tools / Path(program).name for program in tool.programs):
        installed[path.name] = {"sha256": programs.digest(path), "facts": programs.facts(path)}
    source = source or record[tool.name]["source"]
    record[tool.name] = {"version": tool.version, "file": tool.file, "source": source, "programs": installed}
    files.replace(programs.record_path(where.tools), json.dumps(record, indent=2) + "\n")


def _download(tool: Tool, address: str, folder: Path) -> None:
    name, expected = tool.file
    if not name:
        raise UnreachableError(f"no release file for {this_platform()} is pinned")
    data = _fetch(f"{address}/{name}")
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise errors.ToolMismatchError(
            f"{name} has the wrong checksum, it was not installed",
            "something on the way changed or replaced it, or tools.toml is wrong: compare with the release page",
            [f"expected {expected}", f"received {actual}, {len(data)} bytes"],
        )
    if name.endswith(".tar.gz"):
        _unpack(name, data, tool.programs, folder)
    else:
        (folder / tool.programs[0]).write_bytes(data)


def _unpack(name: str, data: bytes, programs: Sequence[str], folder: Path) -> None:
    """Write the named regular files under their last names; nothing else in the archive touches the disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for program in programs:
                (folder / Path(program).name).write_bytes(_member(archive, program))
    except (KeyError, EOFError, tarfile.TarError):
        hint = "tools.toml is wrong: list the release archive and compare its `programs`"
        raise errors.ToolMismatchError(f"{name} does not hold {', '.join(programs)}", hint) from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _fetch(address: str) -> bytes:
    trust = ssl.create_default_context()
    try:
        trust.load_verify_locations(certifi.where())  # python.org's Python on macOS has no roots of its own
        with urllib.request.urlopen(address, timeout=DOWNLOAD_SECONDS, context=trust) as answer:  # noqa: S310, ours
            return bytes(answer.read())
    except urllib.error.URLError as error:
        raise UnreachableError(f"no file, {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # whose text can hold a mirror's password
        raise UnreachableError(f"no file, {type(error).__name__}") from None


def _build(tool: Tool, caches: Path, folder: Path) -> None:
    go, module = shutil.which("go"), MODULES / tool.name
    if go is None:
        raise UnreachableError("Go is not installed")
    env = {"GOPATH": str(caches / "go"), "GOCACHE": str(caches / "cache")}
    env |= {"GOPROXY": command.run([go, "env", "GOPROXY"], env=env).strip()} | _GO_ENV
    for path, program in zip(tool.go, tool.programs, strict=True):
        argv = [go, "build", "-o", str(folder / Path(program).name), path]
        result = command.attempt(argv, env=env, cwd=module, timeout=BUILD_SECONDS)
        if result.code:
            last = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UnreachableError(f"exit code {result.code}, {' '.join(last)}")
    for program in tool.programs:
        _check_version(go, tool, folder / Path(program).name)


def _check_version(go: str, tool: Tool, program: Path) -> None:
    """Ask Go what it built: a program's own answer is not reliable (gitleaks says "set by build process")."""
    if not program.is_file():
        raise errors.ToolMismatchError(f"Go built no {program.name}", "compare `go` and `programs` in tools.toml")
    lines = [line.split() for line in command.run([go, "version", "-m", program]).splitlines()]
    built = [words[2] for words in lines if words[:1] == ["mod"]]
    if built != [f"v{tool.version}"]:
        raise errors.ToolMismatchError(
            f"Go built another version of {program.name}, it was not installed",
            f"compare tools.toml with {MODULES.name}/{tool.name}/go.mod",
            [f"expected v{tool.version}", f"built {' '.join(built) or 'something unknown'}"],
        )


@contextmanager
def _part(where: Repo) -> Iterator[Path]:
    """Give a folder beside the programs for what is not whole yet."""
    with tempfile.TemporaryDirectory(dir=where.tools.parent, prefix="part-") as folder:
        yield Path(folder)


@contextmanager
def _turn(where: Repo) -> Iterator[None]:
    """Wait until no other process installs here; the kernel releases the lock when its holder ends."""
    folder = where.tools.parent
    with files.turn(folder / "lock"):
        for left in folder.glob("part-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def main() -> None:
    """Install what is missing, and keep a copy of the pins, by which `run` sees that all is installed."""
    from ci.cli import console, follow, progress, reported  # noqa: PLC0415, an entry point

    where = repo.here()
    with reported():
        if sys.argv[1:] == ["--check"]:
            check(where)
            console.done("checked", f"the programs in {where.tools}")
            return
        follow(ensure(where), progress.installation)
        files.replace(where.tools.parent / PINS.name, PINS.read_bytes())


if __name__ == "__main__":
    main()
