"""See that the product works: `python -m sandbox.verify` sends a message of each channel and waits for both.

They go through api, queue and worker to the sandbox, whose inbox shows them.
"""

import sys
import time
from collections.abc import Mapping

import httpx

import runtime
from runtime import Config

PATIENCE_SECONDS = 20  # without any arrival
BACKLOG_SECONDS = 300  # while earlier messages still arrive
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


class FaultError(Exception):
    """A message was not accepted, or did not arrive."""


def main() -> int:
    """Send the messages, and return the exit code."""
    settings = runtime.load("verify")
    try:
        with httpx.Client(timeout=5, trust_env=False) as client:
            for message in MESSAGES:
                seconds = sent(client, settings, message)
                _say(f"{message['channel']:<5}  {message['to']:<22}  delivered in {seconds:.2f} s")
    except FaultError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    _say(f"{len(MESSAGES)} messages, sent through the api, arrived")
    return 0


def sent(client: httpx.Client, settings: Config, message: Mapping[str, str]) -> float:
    """Send one message and return the seconds until it arrived; FaultError when it does not."""
    channel, begun = message["channel"], time.monotonic()
    try:
        answer = client.post(
            f"{settings.public_base_url}/v1/notifications",
            json=message,
            headers={"Authorization": f"Bearer {token(settings.api_tokens.reveal())}"},
        )
        if answer.status_code != httpx.codes.ACCEPTED:
            raise FaultError(f"the api answered {answer.status_code} to the {channel}")
        if _arrived(client, f"{settings.sms_provider_url}/inbox.json", answer.json()["id"]):
            return time.monotonic() - begun
    except httpx.HTTPError as error:
        raise FaultError(f"the {channel} could not be sent, {type(error).__name__}") from None
    raise FaultError(f"the {channel} did not arrive within {time.monotonic() - begun:.0f} s")


def token(listed: str) -> str:
    """Return the first token that may submit, without its scope; FaultError when there is none."""
    submits = [token for token in listed.split(",") if not token.startswith("read:")]
    if not submits:
        raise FaultError("no token of API_TOKENS may submit")
    return submits[0].removeprefix("submit:")


def _arrived(client: httpx.Client, inbox: str, reference: str) -> bool:
    """Wait for a message in the inbox, the longer the more of others arrive there."""
    begun = heard = time.monotonic()
    newest = None
    while time.monotonic() < min(heard + PATIENCE_SECONDS, begun + BACKLOG_SECONDS):
        messages = client.get(inbox).raise_for_status().json()["messages"]
        if any(message["reference"] == reference for message in messages):
            return True
        if messages[:1] != newest:
            heard, newest = time.monotonic(), messages[:1]
        time.sleep(0.05)
    return False


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
