"""The proof at a deploy's end: one SMS and one e-mail, sent as a client would, seen where they arrive."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ci.ground import errors
from ci.sealing.environment import Environment

PATIENCE_SECONDS = 20
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


def send(environment: Environment) -> list[Delivery]:
    """Send one message of each channel through the api of `local` and see it in the sandbox's inbox.

    Raises SmokeError when the api refuses one or it has not arrived in time.
    """
    token = environment.sealed["API_TOKENS"].reveal().split(",")[0]
    with httpx.Client(timeout=5) as client:
        return [_send(client, environment.plain, token, message) for message in MESSAGES]


def _send(client: httpx.Client, plain: Mapping[str, str], token: str, message: Mapping[str, str]) -> Delivery:
    url = f"{plain['PUBLIC_BASE_URL']}/v1/notifications"
    begun = time.monotonic()
    try:
        answer = client.post(url, json=dict(message), headers={"Authorization": f"Bearer {token}"})
        if answer.status_code != httpx.codes.ACCEPTED:
            raise _fault(
                f"the api answered {answer.status_code} to the {message['channel']}", "inv logs --service=api"
            )
        identifier = answer.json()["id"]
        while time.monotonic() - begun < PATIENCE_SECONDS:
            if any(one["reference"] == identifier for one in _inbox(client, plain)):
                return Delivery(message["channel"], message["to"], time.monotonic() - begun)
            time.sleep(0.05)
    except httpx.HTTPError as error:
        raise _fault(f"the {message['channel']} could not be sent, {type(error).__name__}", "inv logs") from None
    late = f"the {message['channel']} did not arrive within {PATIENCE_SECONDS} s"
    raise _fault(late, "inv logs --service=worker")


def _inbox(client: httpx.Client, plain: Mapping[str, str]) -> list[dict[str, Any]]:
    return list(client.get(f"{plain['SMS_PROVIDER_URL']}/inbox.json").raise_for_status().json()["messages"])


def _fault(message: str, look: str) -> errors.SmokeError:
    return errors.SmokeError(message, f"the release runs and is recorded; {look} shows what it says")
