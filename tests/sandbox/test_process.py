import secrets
import smtplib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from ci.ground import ports
from sandbox.__main__ import listen
from sandbox.errors import StartError
from sandbox.keys import Keys
from tests import sandboxes
from tests.sandboxes import Sandbox


def test_no_secret_or_message_is_shown(sandbox: Sandbox, reference: str) -> None:
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


def test_keys_that_are_missing(tmp_path: Path) -> None:
    """It does not start, and names every one, but no value."""
    canary = secrets.token_hex(8)

    child = sandboxes.spawn(tmp_path, {"SMTP_PORT": "8025", "SMTP_PASSWORD": canary}, "--port", "8010")

    assert 78 == child.wait(60)
    shown = (tmp_path / "log").read_text()
    assert "SMS_PROVIDER_API_KEY is not set" in shown
    assert "SMTP_USERNAME is not set" in shown
    assert canary not in shown


def test_port_in_use(sandbox: Sandbox, tmp_path: Path) -> None:
    """A port that is taken is named."""
    child = sandboxes.spawn(tmp_path, sandboxes.values(smtp_port=sandbox.smtp_port), "--port", "0")

    assert child.wait(60) == StartError.code
    assert f"port {sandbox.smtp_port} is not available" in (tmp_path / "log").read_text()


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """The folder of its file is made: a fresh checkout has none."""
    state = tmp_path / "a/b/state.json"

    Keys(state).create("first")

    assert state.stat().st_mode & 0o777 == 0o600
