"""A sandbox for tests: the real process, at free ports, with secrets of its own."""

import json
import os
import secrets
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from ci.ground import ports
from runtime.keys import KEYS

ROOT = Path(__file__).parents[1]
SENDER = "notify@lockstep.example"
GOOD = {"to": "+14155550123", "from": "Lockstep", "body": "hello"}  # an SMS that the provider takes


@dataclass(frozen=True)
class Sandbox:
    """One sandbox and what it takes to talk to it; `key` is id:secret."""

    url: str
    smtp_port: int
    key: str
    username: str
    password: str
    state: Path
    log: Path
    child: subprocess.Popen[bytes]

    def client(self, key: str | None = None, timeout: float = 10) -> httpx.Client:
        """Return a client of the provider's API with the sandbox's own key, or another."""
        name, _, secret = (key or self.key).partition(":")
        return httpx.Client(base_url=self.url, auth=(name, secret), timeout=timeout)

    def sms(self, body: str = "hello", reference: str | None = None, timeout: float = 10) -> httpx.Response:
        """Send an SMS and return the provider's answer."""
        headers = {"Idempotency-Key": reference} if reference else {}
        with self.client(timeout=timeout) as client:
            return client.post("/v1/messages", json=GOOD | {"body": body}, headers=headers)

    def mail(self, body: str = "hello", reference: str = "x", subject: str = "", to: Sequence[str] = ()) -> None:
        """Send an e-mail."""
        message = EmailMessage()
        message["From"], message["Subject"] = SENDER, subject
        message["To"] = ", ".join(to or ["ada@example.com"])
        message["Message-ID"] = f"<{reference}@lockstep.example>"
        message.set_content(body)
        self.raw_mail(message.as_bytes(), to)

    def raw_mail(self, content: bytes, to: Sequence[str] = ()) -> None:
        """Send the bytes of an e-mail as they are."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as session:
            session.login(self.username, self.password)
            session.sendmail(SENDER, to or ["ada@example.com"], content)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Get a page, as anybody can."""
        return httpx.get(f"{self.url}{path}", headers=headers)

    def inbox(self, reference: str | None = None) -> list[dict[str, Any]]:
        """Return what arrived: all of it, or what its sender calls `reference`."""
        messages = self.get("/inbox.json").raise_for_status().json()["messages"]
        return [one for one in messages if reference in (None, one["reference"])]


def spawn(folder: Path, values: Mapping[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a sandbox as an engine does, with these keys; its output is appended to `folder/log`."""
    sealed = {name: value for name, value in values.items() if KEYS[name].get("secret")}
    entry = [
        sys.executable,
        "-W",
        "error",
        str(ROOT / "runtime/entry.py"),
        "--bundle",
        "-",
        "--service",
        "sandbox",
    ]
    argv = ["python", "-m", "sandbox", *arguments, "--state", str(folder / "state.json")]
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            [*entry, "--", *argv],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,  # in ROOT it would be taken for that of the checkout's own local environment
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **_without(values, sealed)},
            start_new_session=True,  # an interrupted test ends it, not the terminal
        )
    assert child.stdin
    with suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(json.dumps(sealed).encode())
    return child


def values(key: str = "", smtp_port: int = 0) -> dict[str, str]:
    """Return the keys that a sandbox reads, with secrets of its own."""
    return {
        "SMS_PROVIDER_URL": "http://127.0.0.1",
        "SMS_PROVIDER_API_KEY": key or f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe()}",
        "SMTP_PORT": str(smtp_port or ports.free()),
        "SMTP_USERNAME": "lockstep",
        "SMTP_PASSWORD": secrets.token_urlsafe(),
    }


@contextmanager
def running(folder: Path, key: str = "", host: str = "") -> Iterator[Sandbox]:
    """Run a sandbox whose state is in a folder, wait until it is ready, and stop it in the end.

    `host` is a further name by which it may be asked.
    """
    given, port = values(key), ports.free()
    child = spawn(folder, given, "--port", str(port), *(["--host", host] if host else []))
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    try:
        _wait(url, child, log)
        yield Sandbox(
            url,
            int(given["SMTP_PORT"]),
            given["SMS_PROVIDER_API_KEY"],
            given["SMTP_USERNAME"],
            given["SMTP_PASSWORD"],
            folder / "state.json",
            log,
            child,
        )
    finally:
        child.terminate()
        child.wait(10)


def _without(values: Mapping[str, str], sealed: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in sealed}


def _wait(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the sandbox is not ready: {log.read_text()}")
