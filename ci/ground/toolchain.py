"""Install the pinned sops, age and gitleaks into .tools/bin: `python -m ci.ground.toolchain`.

tools.toml has versions and sums. A release file is downloaded and checked; where none can be reached, Go builds
the same version through its checksum database. Whoever sets LOCKSTEP_TOOLS_MIRROR, an address below which the
release files lie under their own names, wants nothing from elsewhere: it takes the place of the release address.
"""

import fcntl
import hashlib
import io
import os
import platform
import shutil
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ci.ground import command, console, errors, files, repo
from ci.ground.repo import Repo

PINS = Path(__file__).with_name("tools.toml")
MIRROR = "LOCKSTEP_TOOLS_MIRROR"
DOWNLOAD_SECONDS = 10  # without an answer, or between two pieces of one
BUILD_SECONDS = 1800
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Tool:
    """One pin of tools.toml; `files` has a release file's name and sha256 by platform."""

    name: str
    version: str
    release: str
    programs: Sequence[str]
    go: Sequence[str]
    files: Mapping[str, tuple[str, str]]


class UnreachableError(Exception):
    """A source has nothing for us; the next one is tried."""


def pins(path: Path = PINS) -> list[Tool]:
    """Return every pinned tool."""
    return [Tool(name=name, **about) for name, about in tomllib.loads(path.read_text(encoding="utf-8")).items()]


def this_platform() -> str:
    """Return this machine's platform as tools.toml names it, such as linux-amd64."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"


def ensure(where: Repo, tools: Sequence[Tool] | None = None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Install each tool that is not there in its pinned version; return the names of those installed.

    Two at once take turns. Each tool appears whole or not at all. Raises ToolMismatchError for a wrong sum or
    version, and ToolMissingError, with why each source failed, when there is none.
    """
    wanted = pins() if tools is None else tools
    where.tools.mkdir(parents=True, exist_ok=True)
    with (where.tools.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [tool for tool in wanted if not installed(where, tool)]
        for tool in missing:
            _install(where, tool, environ)
    return [tool.name for tool in missing]


def installed(where: Repo, tool: Tool) -> bool:
    """Whether every program of the tool is there, put there by us, in the pinned version."""
    try:
        recorded = _record(where, tool).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return recorded == tool.version and all(os.access(where.tool(name), os.X_OK) for name in tool.programs)


def _install(where: Repo, tool: Tool, environ: Mapping[str, str]) -> None:
    sources: list[tuple[str, Callable[[Path], None]]] = [
        (environ.get(MIRROR) or tool.release, lambda folder: _download(tool, folder, environ)),
        ("go install", lambda folder: _build(tool, folder)),
    ]
    reasons = []
    for source, fetch in sources:
        console.doing("installing", f"{tool.name} {tool.version} from {source}")
        with tempfile.TemporaryDirectory(dir=where.tools.parent, prefix="part-") as folder:
            try:
                fetch(Path(folder))
            except UnreachableError as error:
                reasons.append(f"{source}: {error}")
                continue
            _put(where, tool, Path(folder))
            console.done("installed", f"{tool.name} {tool.version}")
            return
    raise errors.ToolMissingError(
        f"{tool.name} {tool.version} cannot be installed",
        f"let this machine reach GitHub, install Go, or set {MIRROR} to where {_file(tool)[0]} lies",
        reasons,
    )


def _put(where: Repo, tool: Tool, folder: Path) -> None:
    """Move programs into place; the record is written last, so that what was interrupted is done again."""
    _record(where, tool).unlink(missing_ok=True)
    for name in tool.programs:
        (folder / name).chmod(0o755)
        (folder / name).replace(where.tool(name))
    files.replace(_record(where, tool), tool.version)


def _download(tool: Tool, folder: Path, environ: Mapping[str, str]) -> None:
    name, expected = _file(tool)
    data = _fetch(f"{environ.get(MIRROR) or tool.release}/{name}")
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise errors.ToolMismatchError(
            f"{name} has the wrong checksum, it was not installed",
            "it was changed on its way, or tools.toml is wrong; compare both with the project's release page",
            [f"expected {expected}", f"received {actual}"],
        )
    if not name.endswith(".tar.gz"):
        (folder / tool.programs[0]).write_bytes(data)
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for program in tool.programs:
            found = [one for one in archive.getmembers() if one.isfile() and Path(one.name).name == program]
            file = archive.extractfile(found[0]) if found else None
            if file is None:
                raise errors.ToolMismatchError(f"{name} holds no {program}", "compare tools.toml with the release")
            (folder / program).write_bytes(file.read())


def _file(tool: Tool) -> tuple[str, str]:
    if this_platform() not in tool.files:
        raise errors.ToolMissingError(f"there is no {tool.name} for {this_platform()}", "Linux and macOS will do")
    name, sha256 = tool.files[this_platform()]
    return name, sha256


def _fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310, the address is ours
            return bytes(answer.read())
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else type(error).__name__
        raise UnreachableError(f"no answer, {reason}") from None


def _build(tool: Tool, folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise UnreachableError("Go is not installed")
    env = {"GOBIN": str(folder)}
    if not os.environ.get("HOME"):  # Go keeps its caches below it and does not start without
        env |= {"GOPATH": str(folder / "go"), "GOCACHE": str(folder / "cache"), "GOFLAGS": "-modcacherw"}
    for path in tool.go:
        result = command.attempt(
            [go, "install", f"{path}@v{tool.version}"], env=env, cwd=folder, timeout=BUILD_SECONDS
        )
        if result.code:
            last = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UnreachableError(f"exit code {result.code}, {' '.join(last)}")
    for program in tool.programs:
        _check_version(go, tool, folder / program)


def _check_version(go: str, tool: Tool, program: Path) -> None:
    """Ask Go what it built: a program's own word is not worth much (gitleaks says "set by build process")."""
    lines = command.run([go, "version", "-m", program]).splitlines()
    mod = next((line.split() for line in lines if line.split()[:1] == ["mod"]), [])
    if mod[2:3] != [f"v{tool.version}"]:
        raise errors.ToolMismatchError(
            f"Go built another version of {program.name}, it was not installed",
            "compare tools.toml with GOFLAGS and GOPROXY on this machine",
            [f"expected v{tool.version}", f"built {' '.join(mod[2:3]) or 'something unknown'}"],
        )


def _record(where: Repo, tool: Tool) -> Path:
    return where.tools.parent / f"{tool.name}.version"


def main() -> None:
    """Install what is missing, and keep a copy of the pins, by which `run` sees that nothing is to be done."""
    where = repo.here()
    ensure(where)
    files.replace(where.tools.parent / PINS.name, PINS.read_bytes())
    for left in where.tools.parent.glob("part-*"):
        with suppress(OSError):
            shutil.rmtree(left)


if __name__ == "__main__":
    with errors.reported():
        main()
