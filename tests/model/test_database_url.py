"""What the schema accepts as DATABASE_URL, and what SQLAlchemy makes of it."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from runtime import rules

PARTS = {
    "user": st.text(alphabet="ab:@/?#%[]\\ é25", max_size=5),
    "host": st.text(alphabet="ab:@/?#%[].\\ é25", max_size=6),
    "rest": st.text(alphabet="/ab:@?#=&", max_size=6),
}


def parts_by_urllib(text: str) -> tuple[str | None, int | None, str, str]:
    """Return host, port, user and password as a rotation takes them apart."""
    split = urlsplit(text)
    host = split.netloc.rpartition("@")[2].removesuffix(f":{split.port}")
    return host.strip("[]"), split.port, unquote(split.username or ""), unquote(split.password or "")


def parts_by_sqlalchemy(text: str) -> tuple[str | None, int | None, str, str]:
    """Return the same as the service connects with."""
    url = make_url(text)
    return url.host, url.port, url.username or "", url.password or ""


@settings(max_examples=500)
@given(**PARTS)
@example(user="", host="", rest="@a?@")
@example(user="u", host="h", rest="?x=@")
@example(user="u", host="h:1", rest="/@")
@example(user="u:p", host="h:1", rest="/@")
def test_an_accepted_url_has_one_meaning(user: str, host: str, rest: str) -> None:
    """Whatever the schema accepts connects to the host, and with the password, that a rotation replaces."""
    text = f"postgresql://{user}@{host}{rest}" if user else f"postgresql://{host}{rest}"
    if rules.url_problem(["postgresql"], text) is None:
        assert parts_by_urllib(text) == parts_by_sqlalchemy(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:a%40b%2F%23%3F%25%C3%BC@h:5432/x?sslmode=verify-full",
        "postgresql://u:!$&'()*+,;=~._-@h/x",
        "postgresql://u:p:q@h/x@y",
        "postgresql://u:p@[::1]:80/x",
    ],
)
def test_a_password_with_signs_is_accepted(text: str) -> None:
    """Every sign that may be in a password, as RFC 3986 writes it."""
    assert rules.url_problem(["postgresql"], text) is None
    assert parts_by_urllib(text) == parts_by_sqlalchemy(text)
