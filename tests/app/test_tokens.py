"""Scopes: a token that may only look, one that may only submit, and one that may both."""

import secrets
from collections.abc import Iterator

import httpx
import pytest

from tests.app.asked import SMS, Api, inside

pytestmark = pytest.mark.server
SHOWN = "/v1/notifications/0b9f2b7e-6d53-4c0c-8d0b-0f6c6f1f0e11"
READS = [("GET", "/v1/notifications"), ("GET", SHOWN)]
SUBMITS = [("POST", "/v1/notifications"), ("POST", f"{SHOWN}/replay")]
READER, SUBMITTER, BOTH, LISTED_TWICE = (secrets.token_urlsafe(24) for _ in range(4))
TOKENS = f"read:{READER},submit:{SUBMITTER},{BOTH},read:{LISTED_TWICE},submit:{LISTED_TWICE}"


@pytest.fixture(scope="module")
def scoped(shared: Api) -> Iterator[httpx.Client]:
    """An api with tokens of every scope."""
    with inside(shared.environ, API_TOKENS=TOKENS) as client:
        yield client


def asked(client: httpx.Client, method: str, path: str, token: str) -> httpx.Response:
    """Ask with this token."""
    return client.request(
        method, path, json=SMS if method == "POST" else None, headers={"Authorization": f"Bearer {token}"}
    )


@pytest.mark.parametrize(
    ("token", "asks"),
    [(READER, READS), (SUBMITTER, SUBMITS), (BOTH, READS + SUBMITS), (LISTED_TWICE, READS + SUBMITS)],
    ids=["read", "submit", "both", "listed twice"],
)
def test_a_token_does_what_its_scope_says(scoped: httpx.Client, token: str, asks: list[tuple[str, str]]) -> None:
    """Every route within the scope is reached."""
    statuses = {asked(scoped, method, path, token).status_code for method, path in asks}

    assert statuses <= {200, 202, 404}


@pytest.mark.parametrize(
    ("token", "asks", "what"),
    [(READER, SUBMITS, "this token may not submit"), (SUBMITTER, READS, "this token may not read")],
    ids=["read", "submit"],
)
def test_a_token_does_nothing_else(
    scoped: httpx.Client, token: str, asks: list[tuple[str, str]], what: str
) -> None:
    """Every route outside the scope is a 403, that says what was missing."""
    answers = [asked(scoped, method, path, token) for method, path in asks]

    assert {(403, what)} == {(answer.status_code, answer.json()["title"]) for answer in answers}


@pytest.mark.parametrize("prefix", ["read:", "submit:", ":"])
def test_a_scope_is_no_part_of_the_token(scoped: httpx.Client, prefix: str) -> None:
    """A client sends the token alone."""
    assert 401 == asked(scoped, "GET", "/v1/notifications", prefix + READER).status_code
