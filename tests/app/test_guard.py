"""The guard of the routes by itself: whose token it lets in, with what, and as whom."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

import runtime
from app import problems, tokens

MADE = {name: secrets.token_urlsafe(24) for name in ("reader", "submitter", "both", "twice")}
TOKENS = "read:{reader},submit:{submitter},{both},read:{twice},submit:{twice}".format(**MADE)
Ask = Callable[..., httpx.Response]
LET_IN = {"GET": ("reader", "both", "twice"), "POST": ("submitter", "both", "twice")}


@pytest.fixture
def ask() -> Ask:
    """Ask routes that say who asked, or what it sent; a token may do so four times at once."""
    app = FastAPI()
    problems.install(app)
    config = runtime.Config("api", {"API_TOKENS": runtime.Secret(TOKENS), "RATE_PER_SECOND": 2})
    router = APIRouter(route_class=tokens.guarded(config))

    @router.get("/")
    async def show(request: Request) -> str:
        return str(request.state.client.hex())

    @router.post("/")
    async def submit(request: Request) -> Any:
        return await request.json()

    app.include_router(router)

    async def asked(method: str, authorization: str, **body: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            headers = {"Authorization": authorization} if authorization else {}
            return await client.request(method, "/", headers=headers, **body)

    return lambda *words, **body: asyncio.run(asked(*words, **body))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize(("method", "token"), [(method, one) for method, some in LET_IN.items() for one in some])
def test_a_token_of_the_scope_is_let_in(ask: Ask, method: str, token: str, scheme: str) -> None:
    """As the client that its hash names, and with the body that it sent."""
    answer = ask(method, f"{scheme} {MADE[token]}", json={"a": [1]})

    expected: Any = hashlib.sha256(MADE[token].encode()).hexdigest() if method == "GET" else {"a": [1]}
    assert (200, expected) == (answer.status_code, answer.json())


@pytest.mark.parametrize(("method", "token", "what"), [("GET", "submitter", "read"), ("POST", "reader", "submit")])
def test_a_token_of_another_scope_is_refused(ask: Ask, method: str, token: str, what: str) -> None:
    """It is told what it may not do."""
    answer = ask(method, f"Bearer {MADE[token]}")

    assert (403, f"this token may not {what}") == (answer.status_code, answer.json()["title"])


@pytest.mark.parametrize(
    "given", ["", "Basic {both}", "{both}", "Bearer {both}x", "Bearer read:{reader}", "Bearer", "Bearer read"]
)
def test_a_stranger_is_refused(ask: Ask, given: str) -> None:
    """It is told which scheme is asked for, whatever it sent."""
    answer = ask("GET", given.format(**MADE))

    assert (401, "a valid bearer token is needed") == (answer.status_code, answer.json()["title"])
    assert "Bearer" == answer.headers["WWW-Authenticate"]


def test_the_body_is_strict_json(ask: Ask) -> None:
    """A name that stands twice is refused where the route reads it."""
    answer = ask("POST", f"Bearer {MADE['both']}", content=b'{"a": 1, "a": 2}')

    assert (400, "the body has a name twice") == (answer.status_code, answer.json()["title"])


def test_each_token_has_a_rate_of_its_own(ask: Ask) -> None:
    """The fifth request at once of one token is refused, and the first of another is not."""
    answers = [ask("GET", f"Bearer {MADE['both']}").status_code for _ in range(5)]

    assert [200, 200, 200, 200, 429] == answers
    assert 200 == ask("GET", f"Bearer {MADE['reader']}").status_code
