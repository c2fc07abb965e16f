"""The JSON that goes in and out."""

import base64
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from model.notification import WAITING, Channel, Notification, Status

SMS_LENGTH = 1600  # characters; what Twilio takes as one message, in up to ten segments
EMAIL_LENGTH = 100_000
ADDRESS_LENGTH = 320
# What follows a line end would be a header of an e-mail; a control character, a command to a terminal or a phone.
LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$"
TEXT = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]+$"
IN_LINE, IN_TEXT = re.compile(LINE), re.compile(TEXT)
PATH = "/v1/notifications"


def _line(text: str) -> str:
    if text and not IN_LINE.fullmatch(text):
        raise ValueError("it holds a line end or another control character")
    return text


def _text(text: str) -> str:
    if text and not IN_TEXT.fullmatch(text):
        raise ValueError("holds a control character other than a tab or a line end")
    return text


def _phone_number(text: str) -> str:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        number = phonenumbers.PhoneNumber()
    as_e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if as_e164 != text or not phonenumbers.is_possible_number(number):
        raise ValueError("is not a phone number in E.164 form, such as +14155550123")
    return text


def _email_address(text: str) -> str:
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise ValueError("is not an e-mail address") from None
    if not text.isascii():  # not every mail server takes it; the domain's ASCII form goes everywhere
        raise ValueError("is not an e-mail address in ASCII")
    return text


def _nothing(given: Any) -> None:
    if given is not None:
        raise ValueError("an SMS has no subject")


ONE_LINE = AfterValidator(_line)


class Common(BaseModel):
    """What every notification has."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    idempotency_key: (
        Annotated[str, Field(min_length=1, max_length=200, json_schema_extra={"pattern": LINE}), ONE_LINE] | None
    ) = None


class Sms(Common):
    """An SMS to be sent."""

    channel: Literal[Channel.SMS]
    to: Annotated[
        str,
        Field(max_length=32, description="in E.164 form", json_schema_extra={"format": "e164"}),
        AfterValidator(_phone_number),
    ]
    subject: Annotated[None, BeforeValidator(_nothing)] = None
    body: Annotated[
        str, Field(min_length=1, max_length=SMS_LENGTH, json_schema_extra={"pattern": TEXT}), AfterValidator(_text)
    ]


class Email(Common):
    """An e-mail to be sent."""

    channel: Literal[Channel.EMAIL]
    to: Annotated[
        str,
        Field(max_length=ADDRESS_LENGTH, json_schema_extra={"format": "email"}),
        ONE_LINE,
        AfterValidator(_email_address),
    ]
    subject: Annotated[str, Field(min_length=1, max_length=200, json_schema_extra={"pattern": LINE}), ONE_LINE]
    body: Annotated[
        str,
        Field(min_length=1, max_length=EMAIL_LENGTH, json_schema_extra={"pattern": TEXT}),
        AfterValidator(_text),
    ]


Submission = Annotated[Sms | Email, Field(discriminator="channel")]


class Links(BaseModel):
    """Where to go on from a notification."""

    self: str


class Receipt(BaseModel):
    """What became of a notification; its content is not told again."""

    id: UUID
    channel: Channel
    to: Annotated[str | None, Field(description="null after RETENTION_DAYS, when its content is forgotten")]
    status: Status
    attempts: Annotated[int, Field(description="tries so far, the one under way among them")]
    reason: Annotated[str | None, Field(description="why the last try failed")]
    created_at: datetime
    due_at: Annotated[datetime | None, Field(description="the next try is not before this; null at its end")]
    sent_at: datetime | None
    links: Links

    @classmethod
    def of(cls, row: Notification) -> Self:
        """Return the receipt of a row."""
        return cls(
            id=row.id,
            channel=Channel(row.channel),
            to=row.to or None,
            status=Status(row.status),
            attempts=row.attempts,
            reason=row.reason,
            created_at=row.created_at,
            due_at=row.due_at if row.status in WAITING else None,
            sent_at=row.sent_at,
            links=Links(self=f"{PATH}/{row.id}"),
        )


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
    """Return the place that a cursor stands for; ValueError when it is none that `cursor` made."""
    moment, _, identifier = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
    found = datetime.fromisoformat(moment), UUID(identifier)
    if found[0].utcoffset() != timedelta(0):  # others reach beyond what Postgres can compare
        raise ValueError("not in UTC")
    return found
