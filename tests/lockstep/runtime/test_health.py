import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ci.ground import ports
from tests import checkouts
from tests.lockstep.runtime.entries import SHELLS

MARKER = "/tmp/.lockstep-ready"
TOOLS = [tool for tool in ("curl", "wget", "perl", "bash", "node", "ruby", "php") if shutil.which(tool)]
KINDS = ["python", "python3", *TOOLS, *(f"curl by {name}" for name in SHELLS if shutil.which(SHELLS[name][0]))]


@dataclass
class Service:
    """A server whose answers a test sets; it remembers what it was asked."""

    port: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    body: bytes = b'{\n "ready": true}\n'
    asked: list[str] = field(default_factory=list)


@dataclass
class Check:
    """A health check in a container of its own, as far as it can tell."""

    kind: str
    folder: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments."""
        tool, _, shell = self.kind.partition(" by ")
        program = SHELLS[shell or "sh"]
        if tool == "python":
            argv = [sys.executable, "-IS", "health.py"]
        else:
            argv = [str(shutil.which(program[0])), *program[1:], "./health.sh"]
        return subprocess.run(
            [*argv, *map(str, words)],
            cwd=self.folder,
            env={"PATH": str(self.folder / "bin"), "http_proxy": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def service() -> Iterator[Service]:
    """A server on a free port."""
    state = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(state.codes.get(self.path, 404))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture(params=KINDS)
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Check:
    """health.py, and health.sh where it finds one program only."""
    made = Check(request.param, tmp_path)
    container(tmp_path, *([made.kind.partition(" ")[0]] if made.kind != "python" else []))
    return made


def container(folder: Path, *tools: str) -> None:
    """Let a folder hold the checks with a marker of their own, and the only programs that they find."""
    for name in ("health.py", "health.sh"):
        text = (checkouts.ROOT / "runtime" / name).read_text()
        assert 1 == text.count(MARKER)
        (folder / name).write_text(text.replace(MARKER, str(folder / "marker")))
    (folder / "bin").mkdir()
    for tool in tools:
        target = sys.executable if tool == "python3" else os.path.realpath(str(shutil.which(tool)))
        (folder / "bin" / tool).symlink_to(target)


@pytest.mark.parametrize("code", [200, 204, 302])
def test_a_path_that_answers_is_healthy(check: Check, service: Service, code: int) -> None:
    """2xx and 3xx are healthy, whatever proxy the environment names."""
    service.codes = {"/readyz": code}

    done = check.run(service.port, "/readyz")

    assert (0, ["/readyz"]) == (done.returncode, service.asked), done.stdout


def test_the_answer_is_shown(check: Check, service: Service) -> None:
    """The body is printed in one line."""
    service.codes = {"/readyz": 200}

    assert '{ "ready": true}\n' == check.run(service.port, "/readyz").stdout


@pytest.mark.parametrize("code", [404, 500, 503])
def test_an_error_is_unhealthy_and_says_so(check: Check, service: Service, code: int) -> None:
    """4xx and 5xx are not healthy; path and code are printed."""
    service.codes = {"/readyz": code}

    done = check.run(service.port, "/readyz")

    assert (1, f"/readyz answered {code}:") == (done.returncode, done.stdout[: len("/readyz answered 404:")])
    assert 1 == done.stdout.count("\n")


def test_only_the_end_of_a_long_answer_is_shown(check: Check, service: Service) -> None:
    """A page of any length is at most 500 characters, and still healthy."""
    service.codes, service.body = {"/readyz": 200}, b"x" * 50_000 + b"the end"

    done = check.run(service.port, "/readyz")

    assert (0, "the end\n", "") == (done.returncode, done.stdout[-8:], done.stderr)
    assert 300 < len(done.stdout) <= 501


def test_nothing_there_is_unhealthy(check: Check) -> None:
    """A port that nobody listens at is not healthy, and there is one line."""
    done = check.run(ports.free(), "/readyz")

    assert (1, "/readyz answered nothing", 1, "") == (
        done.returncode,
        done.stdout[:24],
        done.stdout.count("\n"),
        done.stderr,
    )


def test_an_answer_that_does_not_come_is_unhealthy(check: Check) -> None:
    """A server that accepts and is silent does not keep the check."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = check.run(silent.getsockname()[1], "/readyz")

    assert (1, "/readyz answered nothing", 1) == (done.returncode, done.stdout[:24], done.stdout.count("\n"))


def test_ready_once_then_alive(check: Check, service: Service) -> None:
    """Readiness is asked until it succeeded, liveness from then on."""
    service.codes = {"/readyz": 503, "/healthz": 200}
    codes = [check.run(service.port, "/readyz", "/healthz").returncode]
    service.codes["/readyz"] = 200
    codes += [check.run(service.port, "/readyz", "/healthz").returncode]
    service.codes["/readyz"] = 503
    codes += [check.run(service.port, "/readyz", "/healthz").returncode]
    service.codes["/healthz"] = 500
    codes += [check.run(service.port, "/readyz", "/healthz").returncode]

    assert [1, 0, 0, 1] == codes
    assert ["/readyz", "/readyz", "/healthz", "/healthz"] == service.asked


def test_a_path_alone_is_asked_always(check: Check, service: Service) -> None:
    """Without a path of its own for liveness readiness is asked again."""
    service.codes = {"/healthz": 200}

    assert 0 == check.run(service.port, "/healthz").returncode
    assert 0 == check.run(service.port, "/healthz").returncode
    assert ["/healthz", "/healthz"] == service.asked


def test_an_image_without_a_program_to_ask_with_is_told(tmp_path: Path) -> None:
    """The message names the programs, and the check fails."""
    container(tmp_path)

    done = Check("none", tmp_path).run(80, "/readyz")

    assert (1, True) == (done.returncode, "needs curl, wget, perl, bash, python3" in done.stdout)
