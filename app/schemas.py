"""The JSON that goes in and out."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from model.notification import Channel, Notification, Status

SMS_LENGTH = 1600  # characters; what Twilio takes as one message, in up to ten segments
EMAIL_LENGTH = 100_000
CONTROL = r"^[^\x00-\x1f\x7f]*$"

Line = Annotated[str, StringConstraints(pattern=CONTROL)]


class Submission(BaseModel):
    """A notification to be sent."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    channel: Channel
    to: Annotated[Line, Field(max_length=320, description="a phone number in E.164 form, or an e-mail address")]
    subject: Annotated[Line, Field(min_length=1, max_length=200)] | None = None
    body: Annotated[str, Field(min_length=1, max_length=EMAIL_LENGTH)]
    idempotency_key: Annotated[Line, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _fits_its_channel(self) -> Self:
        if "\x00" in self.body:
            raise ValueError("body holds a NUL character")
        if self.channel is Channel.SMS:
            self._check_sms()
        else:
            self._check_email()
        return self

    def _check_sms(self) -> None:
        if self.subject is not None:
            raise ValueError("an SMS has no subject")
        if len(self.body) > SMS_LENGTH:
            raise ValueError(f"body is longer than an SMS of {SMS_LENGTH} characters")
        try:
            number = phonenumbers.parse(self.to)
        except phonenumbers.NumberParseException:
            raise ValueError("to is not a phone number in E.164 form, such as +14155550123") from None
        as_e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if as_e164 != self.to or not phonenumbers.is_possible_number(number):
            raise ValueError("to is not a phone number in E.164 form, such as +14155550123")

    def _check_email(self) -> None:
        if self.subject is None:
            raise ValueError("an e-mail needs a subject")
        try:
            validate_email(self.to, check_deliverability=False)
        except EmailNotValidError:
            raise ValueError("to is not an e-mail address") from None


class Receipt(BaseModel):
    """What became of a notification; its content is not told again."""

    id: UUID
    channel: Channel
    to: str
    status: Status
    attempts: int
    reason: str | None
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None

    @classmethod
    def of(cls, row: Notification) -> Self:
        """Return the receipt of a row."""
        return cls.model_validate(row, from_attributes=True)


class Page(BaseModel):
    """Some receipts, newest first, and the cursor of those after them."""

    items: list[Receipt]
    next: str | None


class Version(BaseModel):
    """Which release answers."""

    sha: str
    release: int


class Health(BaseModel):
    """That the process runs."""

    status: Literal["ok"] = "ok"


def cursor(row: Notification) -> str:
    """Return the place of a row in the list."""
    return base64.urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode()


def place(text: str) -> tuple[datetime, UUID]:
    """Return the place that a cursor stands for; ValueError when it is none."""
    try:
        moment, _, identifier = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
        return datetime.fromisoformat(moment), UUID(identifier)
    except (binascii.Error, UnicodeError):
        raise ValueError("no cursor of this list") from None
