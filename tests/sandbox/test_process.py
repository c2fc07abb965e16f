import smtplib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from ci.ground import ports
from sandbox.__main__ import listen
from sandbox.errors import StartError
from tests import sandboxes
from tests.sandboxes import Sandbox


def test_secrets_and_messages_stay_in_memory(sandbox: Sandbox, reference: str) -> None:
    """No secret is in argv, the environment or a log, and no message, address or body in a log."""
    sandbox.sms("canary-sms", reference)
    sandbox.mail("canary-mail", reference, "canary-subject", ["canary-to@example.com"])
    process = psutil.Process(sandbox.child.pid)
    hidden = [sandbox.key.partition(":")[2], sandbox.password, "canary", "+14155550123"]
    seen = [sandbox.log.read_text(), *process.cmdline(), *process.environ().values()]

    assert "delivered" in seen[0]
    assert not [text for text in seen if any(one in text for one in hidden)]


def test_an_answer_waits_for_no_acknowledgement() -> None:
    """What is written goes at once, not when the other side's system acknowledges what went before."""
    with listen(port := ports.free()) as listener, socket.create_connection(("127.0.0.1", port)):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_sigterm_in_the_middle(tmp_path: Path) -> None:
    """SIGTERM ends it cleanly, with a mail session open and a send that waits."""
    with (
        sandboxes.running(tmp_path) as sandbox,
        smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as session,
        ThreadPoolExecutor(1) as pool,
    ):
        session.login(sandbox.username, sandbox.password)
        with sandbox.client() as client:
            client.post("/v1/faults", json={"delay": 600})
            sent = pool.submit(sandbox.sms)
            while len(psutil.Process(sandbox.child.pid).net_connections()) < 5:
                time.sleep(0.01)
        sandbox.child.terminate()

        assert sandbox.child.wait(60) == 0
        assert sent.result().status_code == 503
    assert "Traceback" not in sandbox.log.read_text()


def test_descriptor(tmp_path: Path) -> None:
    """A listening socket can be handed over, so that no request is refused while a sandbox starts."""
    given = {"SMS_PROVIDER_API_KEY": "SK1:secret", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "y"}
    smtp_port = str(ports.free())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        options = ("--port", "1", "--smtp-port", smtp_port, "--fd", str(descriptor))
        child = sandboxes.spawn(tmp_path, given, *options, pass_fds=[descriptor])
        port = listener.getsockname()[1]
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60)
    child.terminate()
    child.wait(60)

    assert answer.json() == {"status": "ready"}


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"SMS_PROVIDER_API_KEY": "canary:canary"},
        {"SMS_PROVIDER_API_KEY": "canary", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "canary"},
        {"SMS_PROVIDER_API_KEY": "canary:x", "SMTP_USERNAME": "x", "SMTP_PASSWORD": 1},
    ],
)
def test_input_that_is_not_whole(tmp_path: Path, given: object) -> None:
    """Without all it needs on stdin it does not start, and says what it needs, not what it got."""
    words = ("--port", str(ports.free()), "--smtp-port", str(ports.free()))

    child = sandboxes.spawn(tmp_path, given, *words)

    assert child.wait(60) == StartError.code
    assert "SMTP_PASSWORD" in (tmp_path / "log").read_text()
    assert "canary" not in (tmp_path / "log").read_text()


def test_port_in_use(sandbox: Sandbox, tmp_path: Path) -> None:
    """A port that is taken is named."""
    given = {"SMS_PROVIDER_API_KEY": "SK1:secret", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "y"}

    child = sandboxes.spawn(tmp_path, given, "--port", "0", "--smtp-port", str(sandbox.smtp_port))

    assert child.wait(60) == StartError.code
    assert f"port {sandbox.smtp_port} is not available" in (tmp_path / "log").read_text()
