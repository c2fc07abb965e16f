"""The entrypoints as an engine runs them, and small programs for them to run."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.lockstep.runtime import compiled

SHELLS = {"sh": ["sh"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}  # sh is dash on Debian
KINDS = ["python", *(name for name, argv in SHELLS.items() if shutil.which(argv[0]))]
PATIENCE_SECONDS = 30

KEYS = """
SERVICES = ("web", "strict", "migrate")
KEYS = {
    "LEVEL": {"services": ("web", "migrate"), "type": "string", "default": "info"},
    "DEBUG": {"services": ("web",), "type": "boolean", "default": False},
    "COUNT": {"services": ("web",), "type": "integer", "default": 3},
    "RATIO": {"services": ("web",), "type": "float", "default": 0.00001},
    "LARGE": {"services": ("web",), "type": "float", "default": 1e20},
    "NOTE": {"services": ("web",), "type": "string", "default": None, "nullable": True},
    "NEEDED": {"services": ("strict",), "type": "string"},
}
"""
SHOW = "import json, os, sys\njson.dump({k: v for k, v in os.environ.items()}, sys.stdout)\n"
SERVER = """
import http.server, socket, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print('asked', flush=True)
        time.sleep(float(self.path[1:]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'done')
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if sys.argv[2:] else socket.AF_INET
server = Server((sys.argv[2] if sys.argv[2:] else '127.0.0.1', int(sys.argv[1])), Handler)
print('ready', flush=True)
server.serve_forever()
"""


@dataclass
class Entry:
    """One entrypoint, and a folder whose modules it may run."""

    kind: str
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def argv(self, *words: str, service: str = "web") -> list[str]:
        """Return the command line of the entrypoint."""
        name = "entry.py" if self.kind == "python" else "entry.sh"
        program = [sys.executable] if self.kind == "python" else SHELLS[self.kind]
        return [*program, str(self.folder / "lockstep/runtime" / name), "--service", service, *words]

    def python(self, module: str, *words: str) -> list[str]:
        """Return the command that runs a module, in the same process where the entrypoint can."""
        return ["--", "python" if self.kind == "python" else sys.executable, "-m", module, *words]

    def run(
        self, *words: str, stdin: bytes = b"", service: str = "web", **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, with nothing else in its environment."""
        return subprocess.run(
            self.argv(*words, service=service),
            input=stdin,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]} | environ,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def start(self, *words: str, stdin: bytes = b"", **popen: Any) -> subprocess.Popen[bytes]:
        """Start it, and return when its program has printed a line."""
        process = subprocess.Popen(
            self.argv(*words),
            cwd=self.folder,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **popen,
        )
        self.started.append(process)
        assert process.stdin
        assert process.stdout
        process.stdin.write(stdin)
        process.stdin.close()
        assert b"ready\n" == process.stdout.readline()
        return process


@contextmanager
def entry(kind: str, folder: Path) -> Iterator[Entry]:
    """Yield an entrypoint that has the keys above; what it started is killed at the end."""
    shutil.copytree(compiled.folder(), folder / "lockstep")
    (folder / "lockstep/runtime/keys.py").write_text(KEYS)
    (folder / "show.py").write_text(SHOW)
    (folder / "server.py").write_text(SERVER)
    made = Entry(kind, folder)
    try:
        yield made
    finally:
        for process in made.started:
            for each in family(process):
                each.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and all that descend from it."""
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def bundle(kind: str, values: Mapping[str, str]) -> bytes:
    """Return a bundle in the form that an entrypoint reads."""
    if kind == "python":
        return json.dumps(dict(values)).encode()
    quoted = {name: value.replace("'", "'\\''") for name, value in values.items()}
    return "".join(f"{name}='{value}'\n" for name, value in quoted.items()).encode()


def shown(done: subprocess.CompletedProcess[bytes]) -> Any:
    """Return the environment that the module `show` printed."""
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
