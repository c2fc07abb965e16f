"""The job that sees the product work, against a real sandbox and an api that hands over at once."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox import verify
from tests import services
from tests.sandboxes import Sandbox

ROOT = Path(__file__).parents[2]


@dataclass
class Api:
    """An api in front of a sandbox; it answers `status`, and delivers only the channels that it is told to."""

    sandbox: Sandbox
    token: str
    url: str = ""
    status: int = 202
    channels: tuple[str, ...] = ("sms", "email")

    def submit(self, message: dict[str, str], authorization: str | None) -> tuple[int, dict[str, str]]:
        """Take one message and deliver it."""
        reference = secrets.token_hex(8)
        if authorization != f"Bearer {self.token}":
            return 401, {}
        if message["channel"] in self.channels and message["channel"] == "sms":
            self.sandbox.sms(message["body"], reference)
        elif message["channel"] in self.channels:
            self.sandbox.mail(message["body"], reference, message["subject"], [message["to"]])
        return self.status, {"id": reference}


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    """An api whose one token may submit."""
    with served(Api(sandbox, secrets.token_urlsafe(24))) as made:
        yield made


@contextmanager
def served(api: Api) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, document = api.submit(message, self.headers["Authorization"])
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def verified(api: Api, program: str = "", **more: str) -> tuple[int, str]:
    """Run the job, and return its exit code and what it printed."""
    tokens = f"read:{secrets.token_urlsafe(24)},submit:{api.token}"
    known = {"API_TOKENS": tokens, "PUBLIC_BASE_URL": api.url, "SMS_PROVIDER_URL": api.sandbox.url}
    environ = services.environment("postgresql://u:p@127.0.0.1/d", "redis://127.0.0.1/0", **known | more)
    done = subprocess.run(
        [sys.executable, "-W", "error", *(["-c", program] if program else ["-m", "sandbox.verify"])],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def test_both_messages_arrive(api: Api) -> None:
    """It prints a line for each message, and a last one for the deploy."""
    code, shown = verified(api)

    assert 0 == code
    assert [
        "sms    +14155550123            delivered in N s",
        "email  you@lockstep.example    delivered in N s",
        "2 messages, sent through the api, arrived",
    ] == re.sub(r"\d+\.\d\d s", "N s", shown).splitlines()
    assert {"sms", "email"} <= {message["channel"] for message in api.sandbox.inbox()}


def test_a_message_that_is_refused(api: Api) -> None:
    """The status is said, and nothing of the token."""
    api.status = 503

    code, shown = verified(api)

    assert (1, "error: the api answered 503 to the sms\n") == (code, shown)


def test_a_message_that_does_not_arrive(api: Api) -> None:
    """It waits for a while, and names the channel."""
    api.channels = ("sms",)
    program = "from sandbox import verify; verify.PATIENCE_SECONDS = 0.3; raise SystemExit(verify.main())"

    code, shown = verified(api, program)

    assert (1, "error: the email did not arrive within 0 s") == (code, shown.splitlines()[-1])


def test_nobody_answers(api: Api) -> None:
    """An api that cannot be reached is a fault, without a traceback."""
    code, shown = verified(api, PUBLIC_BASE_URL="http://127.0.0.1:9")

    assert (1, "error: the sms could not be sent, ConnectError\n") == (code, shown)


@pytest.mark.parametrize("listed", ["T", "T,U", "read:X,submit:T", "submit:T,read:X"])
def test_the_token(listed: str) -> None:
    """The first that may submit is taken, without its scope."""
    assert "T" == verify.token(listed)


def test_no_token() -> None:
    """A list of which none may submit is a fault."""
    with pytest.raises(verify.FaultError, match="may submit"):
        verify.token("read:X")
