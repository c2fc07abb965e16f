"""A company's mirror on loopback: release files below /tools, and a package index below /simple."""

import hashlib
import io
import re
import secrets
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path

from ci.ground import toolchain
from ci.ground.toolchain import Tool

VERSION = "1.2.3"
NOWHERE = "http://127.0.0.1:1"  # a port that nobody listens on


class Mirror(ThreadingHTTPServer):
    """Answers with `files`; breaks off in the middle of those that `breaks` names, stops there at `stalls`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.breaks = self.stalls = "nothing"
        self.stalled, self.released = threading.Event(), threading.Event()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def environ(self) -> dict[str, str]:
        """Return what whoever uses this mirror sets."""
        return {toolchain.MIRROR: f"{self.address}/tools/", "PIP_INDEX_URL": f"{self.address}/simple/"}

    def offer(self, *names: str) -> str:
        """Put packages of this environment into the index, and return the lock file for them."""
        lock = ""
        for name in names:
            file, data = wheel(name)
            sha256 = hashlib.sha256(data).hexdigest()
            self.files[f"/wheels/{file}"] = data
            self.files[f"/simple/{name}/"] = f'<a href="/wheels/{file}#sha256={sha256}">{file}</a>'.encode()
            lock += f"{name}=={distribution(name).version} \\\n    --hash=sha256:{sha256}\n"
        return lock


class Handler(BaseHTTPRequestHandler):
    """Answers from the mirror's files."""

    server: Mirror

    def do_GET(self) -> None:
        """Answer as the mirror was told to."""
        self.server.asked.append(self.path)
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(OSError):  # the one that asked was killed
            self.wfile.write(data[: len(data) // 2])
            if self.server.stalls in self.path:
                self.server.stalled.set()
                self.server.released.wait(30)
            if self.server.breaks not in self.path:
                self.wfile.write(data[len(data) // 2 :])

    def do_HEAD(self) -> None:
        """Say how long a file is, and that no part of it can be had alone."""
        data = self.server.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the base class' own word
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Mirror]:
    """A mirror without files."""
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def archive(*members: tarfile.TarInfo | str) -> tuple[bytes, dict[str, bytes]]:
    """Return a tar.gz with random content, and that content by the member's name."""
    content, stream = {}, io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for member in members:
            about = tarfile.TarInfo(member) if isinstance(member, str) else member
            content[about.name] = secrets.token_bytes(100_000)
            about.size = len(content[about.name]) if about.isfile() else 0
            tar.addfile(about, io.BytesIO(content[about.name]))
    return stream.getvalue(), content


def tool(file: str, data: bytes, programs: list[str], **about: str) -> Tool:
    """Return a pin of `file`, whose release page answers nothing."""
    files = {toolchain.this_platform(): (file, hashlib.sha256(data).hexdigest())}
    go = [f"example.com/{Path(program).name}" for program in programs]
    known = {"name": "age", "version": VERSION, "release": NOWHERE} | about
    return Tool(**known, programs=programs, go=go, files=files)


def wheel(name: str) -> tuple[str, bytes]:
    """Pack an installed package as the wheel that it came from; scripts only where they are binaries."""
    package, stream = distribution(name), io.BytesIO()
    tag = re.search(r"^Tag: (.+)$", package.read_text("WHEEL") or "", re.MULTILINE)
    stem = f"{re.sub('[-_.]+', '_', package.metadata['Name']).lower()}-{package.version}"
    assert tag
    with zipfile.ZipFile(stream, "w") as made:
        for file in package.files or []:
            if str(file) == f"../../../bin/{name}" and name == "uv":
                made.write(file.locate(), f"{stem}.data/scripts/{name}")
            elif (
                ".." not in file.parts
                and file.suffix != ".pyc"
                and not re.search("INSTALLER|REQUESTED|uv_", file.name)
            ):
                made.write(file.locate(), str(file))
    return f"{stem}-{tag[1]}.whl", stream.getvalue()
