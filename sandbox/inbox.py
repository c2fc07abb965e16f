"""What arrived: the last thousand messages."""

import json
import os
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sandbox import files

KEPT = 1000
LONGEST = 64 * 1024  # characters of a body that are kept
SMS, EMAIL = "sms", "email"


def now() -> str:
    """Return the time, in UTC and ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Message:
    """An SMS or an e-mail; `reference` is what its sender calls it, empty when it has no name for it."""

    id: str
    channel: str
    to: str
    sender: str
    subject: str
    body: str
    reference: str
    received_at: str

    def document(self) -> dict[str, str]:
        """Return it as programs read it."""
        fields = ("id", "channel", "to", "subject", "body", "reference", "received_at")
        return {"from": self.sender} | {name: getattr(self, name) for name in fields}


class Inbox:
    """The messages, newest first; `tag` changes with each that arrives. A file keeps them over a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._messages: deque[Message] = deque(islice(_kept(path), KEPT), maxlen=KEPT)
        self._begun = secrets.token_hex(4)
        self._arrived = 0
        self._compact()

    @property
    def tag(self) -> str:
        """An ETag (RFC 9110, section 8.8.3) of what is in the inbox."""
        return f'"{self._begun}-{self._arrived}"'

    def messages(self, channel: str | None = None) -> list[Message]:
        """Return the messages of one channel, or all."""
        return [message for message in self._messages if channel in (None, message.channel)]

    def sms(self, reference: str) -> Message | None:
        """Return the SMS that came with an Idempotency-Key; there is none without a key."""
        return next((one for one in self.messages(SMS) if one.reference == reference and reference), None)

    def add(
        self, channel: str, *, to: str, sender: str, body: str, subject: str = "", reference: str = ""
    ) -> Message:
        """Take a message in and return it with its id and time."""
        prefix = "SM" if channel == SMS else "EM"
        message = Message(
            prefix + secrets.token_hex(16), channel, to, sender, subject, body[:LONGEST], reference, now()
        )
        self._messages.appendleft(message)
        self._arrived += 1
        if self._arrived % KEPT:
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND), "w", encoding="utf-8") as file:
                file.write(_line(message))
        else:
            self._compact()
        return message

    def _compact(self) -> None:
        """Write the file anew, without the messages that are not kept any longer."""
        files.replace(self._path, "".join(map(_line, reversed(self._messages))))


def _line(message: Message) -> str:
    return json.dumps(asdict(message)) + "\n"


def _kept(path: Path) -> Iterator[Message]:
    """Yield the messages of a file, the newest first; a line that was cut off is skipped."""
    for line in reversed(path.read_bytes().splitlines() if path.exists() else []):
        with suppress(ValueError, TypeError):
            yield Message(**json.loads(line))
