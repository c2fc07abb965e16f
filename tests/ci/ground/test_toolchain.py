import hashlib
import io
import os
import secrets
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ci.ground import errors, toolchain
from ci.ground.repo import Repo
from ci.ground.toolchain import Tool

NOWHERE = "http://127.0.0.1:1"


class Quiet(SimpleHTTPRequestHandler):
    """A mirror that counts what it is asked for."""

    asked: list[str] = []  # noqa: RUF012, one mirror at a time

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
        """Write nothing."""
        self.asked.append(self.path)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Quiet.asked.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def archive(*names: str, content: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as made:
        for name in names:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            made.addfile(about, io.BytesIO(content))
    return data.getvalue()


def tool(folder: Path, data: bytes, file: str = "tool.tar.gz", version: str = "1.0.0") -> Tool:
    """Put a release file into the mirror's folder and return its pin."""
    (folder / file).write_bytes(data)
    pin = (file, hashlib.sha256(data).hexdigest())
    return Tool("tool", version, NOWHERE, ["tool"], ["example.invalid/tool"], {toolchain.this_platform(): pin})


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of a user who has a mirror, and no Go."""
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-go-here"))
    with serving(tmp_path / "mirror") as address:
        yield {toolchain.MIRROR: address}


@pytest.mark.parametrize("name", ["tool.tar.gz", "tool.bare"])
def test_a_release_file_is_installed(tmp_path: Path, mirror: dict[str, str], name: str) -> None:
    """An archive's program or a bare one lands in .tools/bin, executable, and a second time nothing is fetched."""
    content = secrets.token_bytes(50)
    data = archive("folder/tool", content=content) if name.endswith("gz") else content
    pinned = [tool(tmp_path / "mirror", data, name)]
    repo = Repo(tmp_path)

    first, second = toolchain.ensure(repo, pinned, mirror), toolchain.ensure(repo, pinned, mirror)

    assert (["tool"], []) == (first, second)
    assert content == repo.tool("tool").read_bytes()
    assert os.access(repo.tool("tool"), os.X_OK)
    assert [f"/{name}"] == Quiet.asked


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda _data: b""])
def test_a_wrong_sum_installs_nothing(tmp_path: Path, mirror: dict[str, str], damage: object) -> None:
    """The message has both sums, the version of before stays, and nothing is left beside it."""
    repo, folder = Repo(tmp_path), tmp_path / "mirror"
    toolchain.ensure(repo, [tool(folder, archive("tool", content=b"old"))], mirror)
    newer = tool(folder, archive("tool", content=b"new"), version="2.0.0")
    assert callable(damage)
    (folder / "tool.tar.gz").write_bytes(damage((folder / "tool.tar.gz").read_bytes()))

    with pytest.raises(errors.ToolMismatchError, match="wrong checksum") as caught:
        toolchain.ensure(repo, [newer], mirror)

    assert 2 == len(caught.value.detail)
    assert b"old" == repo.tool("tool").read_bytes()
    assert [] == list((tmp_path / ".tools").glob("part-*"))


def test_an_archive_without_the_program(tmp_path: Path, mirror: dict[str, str]) -> None:
    """What the pin promises must be in the file."""
    with pytest.raises(errors.ToolMismatchError, match="holds no tool"):
        toolchain.ensure(Repo(tmp_path), [tool(tmp_path / "mirror", archive("other", content=b"x"))], mirror)


def test_names_in_an_archive_lead_nowhere(tmp_path: Path, mirror: dict[str, str]) -> None:
    """A member that would be written elsewhere is only ever written under the program's own name."""
    pinned = tool(tmp_path / "mirror", archive("../../tool", content=b"x"))

    toolchain.ensure(Repo(tmp_path), [pinned], mirror)

    assert [Repo(tmp_path).tool("tool")] == [path for path in tmp_path.rglob("tool") if path.is_file()]


def test_without_a_source_each_reason_is_told(tmp_path: Path, mirror: dict[str, str]) -> None:
    """The release cannot be reached and Go is not there: both are said, with the cure."""
    pinned = tool(tmp_path / "mirror", b"x", "tool.bare")

    with pytest.raises(errors.ToolMissingError) as caught:
        toolchain.ensure(Repo(tmp_path), [pinned], {})

    assert caught.value.detail[0].startswith(f"{NOWHERE}: no answer")
    assert "go install: Go is not installed" == caught.value.detail[1]
    assert toolchain.MIRROR in caught.value.hint


def test_a_platform_without_a_release(tmp_path: Path) -> None:
    """An unknown machine is told so."""
    pinned = Tool("tool", "1.0.0", NOWHERE, ["tool"], [], {})

    with pytest.raises(errors.ToolMissingError, match="there is no tool for"):
        toolchain.ensure(Repo(tmp_path), [pinned], {})


def test_two_at_once_install_once(tmp_path: Path, mirror: dict[str, str]) -> None:
    """The second waits for the first and finds everything done."""
    pinned = [tool(tmp_path / "mirror", b"x", "tool.bare")]
    threads = [threading.Thread(target=toolchain.ensure, args=(Repo(tmp_path), pinned, mirror)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["/tool.bare"] == Quiet.asked


def test_what_was_removed_is_installed_again(tmp_path: Path, mirror: dict[str, str]) -> None:
    """A record without its program does not count."""
    pinned, repo = [tool(tmp_path / "mirror", b"x", "tool.bare")], Repo(tmp_path)
    toolchain.ensure(repo, pinned, mirror)
    shutil.rmtree(repo.tools)

    assert ["tool"] == toolchain.ensure(repo, pinned, mirror)


def test_the_pins_are_whole() -> None:
    """Every tool has a distinct sum for each platform, and its version in every file's name."""
    platforms = {"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"}
    pinned = toolchain.pins()
    sums = [sha256 for one in pinned for _, sha256 in one.files.values()]

    assert ["sops", "age", "gitleaks"] == [one.name for one in pinned]
    assert all(platforms == one.files.keys() for one in pinned)
    assert all(one.version in file for one in pinned for file, _ in one.files.values())
    assert 12 == len(set(sums)) == len([one for one in sums if len(one) == 64])
