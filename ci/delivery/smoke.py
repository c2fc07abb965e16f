"""The check at a deploy's end: the proxy answers with the new release; an SMS and an e-mail arrive.

It uses the standard library: the import of another client would slow down every deploy and every plan.
"""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from ci.delivery.release import Release
from ci.ground import errors
from runtime import Secret

PATIENCE_SECONDS = 20  # without any arrival
BACKLOG_SECONDS = 300  # while earlier messages still arrive
IN_A_ROW = 5  # answers of the new release alone, after which the proxy is assumed to know no other
MESSAGES: tuple[Mapping[str, str], ...] = (
    {
        "channel": "sms",
        "to": "+14155550123",
        "body": "Lockstep is up: this SMS came through api, queue and worker.",
    },
    {
        "channel": "email",
        "to": "you@lockstep.example",
        "subject": "Lockstep is up",
        "body": "This e-mail came through api, queue and worker.",
    },
)


@dataclass(frozen=True)
class Delivery:
    """One message that arrived, and the seconds between its request and its arrival."""

    channel: str
    to: str
    seconds: float


def ask(url: str, release: Release) -> str:
    """Ask the proxy until it answers with this release alone; SmokeError if it does not in time."""
    begun, count, answer = time.monotonic(), 0, "nothing"
    trusted = ssl.create_default_context()  # what this machine trusts, with SSL_CERT_FILE
    while time.monotonic() - begun < PATIENCE_SECONDS:
        answer = _version(url, trusted)
        count = count + 1 if answer == f"release {release.number}" else 0
        if count == IN_A_ROW:
            return f"release {release.number} answers at {url}"
        time.sleep(0.02 if count else 0.1)
    hint = f"inv logs --env={release.environment} --service=proxy"
    raise errors.SmokeError(f"{url} does not answer with release {release.number}, but with {answer}", hint)


def _version(url: str, trusted: ssl.SSLContext) -> str:
    try:
        status, answer = _json(f"{url}/version", trusted=trusted)
        return f"release {answer['release']}" if status == HTTPStatus.OK else str(status)
    except (OSError, HTTPException, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"


def _json(
    url: str, message: object = None, token: str = "", trusted: ssl.SSLContext | None = None
) -> tuple[int, Any]:
    """Send one request on its own connection, bypassing any HTTP proxy; return the status and the parsed JSON."""
    request = Request(url, headers={"Content-Type": "application/json"})  # noqa: S310, the caller says http or https
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if message is not None:
        request.data = json.dumps(message).encode()
    try:
        with build_opener(ProxyHandler({}), HTTPSHandler(context=trusted)).open(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, None


def send(plain: Mapping[str, str], tokens: Secret) -> list[Delivery]:
    """Send one message of each channel through the api and see it in the sandbox's inbox.

    Raises SmokeError when the api refuses one or it has not arrived in time.
    """
    token = tokens.reveal().split(",")[0]
    return [_send(plain, token, message) for message in MESSAGES]


def _send(plain: Mapping[str, str], token: str, message: Mapping[str, str]) -> Delivery:
    url = f"{plain['PUBLIC_BASE_URL']}/v1/notifications"
    begun = heard = time.monotonic()
    newest = None
    try:
        status, answer = _json(url, dict(message), token)
        if status != HTTPStatus.ACCEPTED:
            raise _fault(f"the api answered {status} to the {message['channel']}", "inv logs --service=api")
        while time.monotonic() < min(heard + PATIENCE_SECONDS, begun + BACKLOG_SECONDS):
            status, inbox = _json(f"{plain['SMS_PROVIDER_URL']}/inbox.json")
            if status != HTTPStatus.OK:
                raise _fault(f"the sandbox answered {status} for its inbox", "inv logs")
            if any(sent["reference"] == answer["id"] for sent in inbox["messages"]):
                return Delivery(message["channel"], message["to"], time.monotonic() - begun)
            if inbox["messages"][:1] != newest:
                heard, newest = time.monotonic(), inbox["messages"][:1]
            time.sleep(0.05)
    except (OSError, HTTPException, ValueError) as error:
        raise _fault(f"the {message['channel']} could not be sent, {type(error).__name__}", "inv logs") from None
    late = f"the {message['channel']} did not arrive within {time.monotonic() - begun:.0f} s"
    raise _fault(late, "inv logs --service=worker")


def _fault(message: str, command: str) -> errors.SmokeError:
    return errors.SmokeError(message, f"the release runs and is recorded; {command} shows what it says")
