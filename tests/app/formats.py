"""What schemathesis makes up where OpenAPI has but the name of a format: it loads this file as its hooks."""

import datetime as dt
import os

import schemathesis
from hypothesis import strategies as st

from app.schemas import cursor
from model.notification import Notification

ROWS = st.builds(Notification, id=st.uuids(), created_at=st.datetimes(timezones=st.just(dt.UTC)))
schemathesis.openapi.format("e164", st.integers(0, 9999).map(lambda number: f"+1415555{number:04}"))
schemathesis.openapi.format("email", st.from_regex(r"[a-z]{1,20}@[a-z]{1,20}\.com", fullmatch=True))
schemathesis.openapi.format("cursor", st.builds(cursor, ROWS))
schemathesis.openapi.format("uuid", st.uuids().map(str) | st.sampled_from(os.environ["KNOWN"].split(",")))
