import gzip
import itertools
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import runtime
from tests import services
from tests.worker.floods import MOST, answering
from worker import sms
from worker.outcome import FailedError, RefusedError, UnavailableError

TO, BODY = "+14155550123", "hello ünï 🔑 & a=b+c"


@pytest.fixture(scope="module")
def server() -> Iterator[services.Provider]:
    """A provider for the tests of this file."""
    with services.provider() as made:
        yield made


@pytest.fixture
def environ(server: services.Provider) -> dict[str, str]:
    """The environment of a worker that sends there."""
    server.reset()
    server.answer = lambda status: {"status": status}
    return services.environment(
        "postgresql://u:p@127.0.0.1/d",
        "redis://127.0.0.1/0",
        SMS_PROVIDER_URL=server.url,
        DELIVERY_TIMEOUT_SECONDS="2",
    )


@pytest.fixture
def twilio(environ: dict[str, str], server: services.Provider) -> dict[str, str]:
    """The environment of a worker that sends through Twilio, whose answers have Twilio's shape."""
    server.answer = lambda status: (
        {"sid": "SM" + "0" * 32, "status": "queued", "to": TO, "body": BODY, "error_code": None}
        if status == 201
        else {"code": 21211, "message": f"Invalid 'To' Phone Number: {TO}", "more_info": "", "status": status}
    )
    return environ | {"SMS_PROVIDER": "twilio"}


def send(environ: dict[str, str], **more: str) -> None:
    sms.provider(runtime.load("worker", environ | more)).send(TO, BODY, "reference")


def failure(environ: dict[str, str], **more: str) -> FailedError:
    with pytest.raises(FailedError) as caught:
        send(environ, **more)
    return caught.value


def test_the_sandbox(environ: dict[str, str], server: services.Provider) -> None:
    """One POST, with basic auth, the reference as Idempotency-Key and the content as JSON."""
    send(environ)

    [call] = server.calls
    assert ("/v1/messages", environ["SMS_PROVIDER_API_KEY"]) == (call.path, call.login)
    assert "reference" == call.headers["Idempotency-Key"]
    assert {"to": TO, "from": "Lockstep", "body": BODY} == call.json


def test_the_sandbox_below_a_path(environ: dict[str, str], server: services.Provider) -> None:
    """A SMS_PROVIDER_URL with a path is kept whole."""
    send(environ, SMS_PROVIDER_URL=f"{server.url}/base/")

    assert ["/base/v1/messages"] == [call.path for call in server.calls]


def test_twilio(twilio: dict[str, str], server: services.Provider) -> None:
    """One POST of a form to the account's Messages, with the API key as basic auth."""
    send(twilio)

    [call] = server.calls
    assert f"/2010-04-01/Accounts/{twilio['SMS_PROVIDER_ACCOUNT']}/Messages.json" == call.path
    assert twilio["SMS_PROVIDER_API_KEY"] == call.login
    assert {"To": TO, "From": "Lockstep", "Body": BODY} == call.form


def test_twilio_minds_no_variables_of_its_own(
    twilio: dict[str, str], server: services.Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TWILIO_REGION and its like, in somebody's shell, do not choose where an SMS goes."""
    for name in ("TWILIO_REGION", "TWILIO_EDGE", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.setenv(name, "elsewhere")

    send(twilio)

    assert 1 == len(server.calls)


@pytest.mark.parametrize("who", ["environ", "twilio"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (422, RefusedError),
        (401, UnavailableError),
        (429, UnavailableError),
        (500, UnavailableError),
    ],
)
def test_what_an_answer_means(
    request: pytest.FixtureRequest, server: services.Provider, who: str, status: int, kind: type[FailedError]
) -> None:
    """A refusal is final, all else may pass; the provider's words, which repeat the number, are not ours."""
    environ = request.getfixturevalue(who)
    server.statuses[:] = [status]

    error = failure(environ)

    assert (kind, True) == (type(error), str(status) in error.reason)
    assert TO not in error.reason
    assert 1 == len(server.calls)


@pytest.mark.parametrize("who", ["environ", "twilio"])
def test_nobody_is_there(request: pytest.FixtureRequest, server: services.Provider, who: str) -> None:
    """A connection that is refused is made again later; the reason holds no address."""
    environ = request.getfixturevalue(who)

    error = failure(environ, SMS_PROVIDER_URL=services.refused_url(server.url))

    assert isinstance(error, UnavailableError)
    assert "127.0.0.1" not in error.reason


@pytest.mark.parametrize("who", ["environ", "twilio"])
def test_a_silent_provider(request: pytest.FixtureRequest, server: services.Provider, who: str) -> None:
    """DELIVERY_TIMEOUT_SECONDS, then later."""
    environ = request.getfixturevalue(who)
    server.open.clear()

    assert isinstance(failure(environ, DELIVERY_TIMEOUT_SECONDS="0.2"), UnavailableError)


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"code": "x"}])
@pytest.mark.parametrize("status", [400, 503])
def test_twilio_answers_something_strange(
    twilio: dict[str, str], server: services.Provider, status: int, answer: Any
) -> None:
    """An error that has not Twilio's shape, of a proxy perhaps, is a failed try all the same."""
    server.answer = lambda _status: answer
    server.statuses[:] = [status]

    assert isinstance(failure(twilio), FailedError)


@pytest.mark.parametrize("who", ["environ", "twilio"])
def test_many_threads_share_it(request: pytest.FixtureRequest, server: services.Provider, who: str) -> None:
    """One provider serves all threads of a worker, and mixes nothing up."""
    provider = sms.provider(runtime.load("worker", request.getfixturevalue(who)))
    bodies = [f"body {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: provider.send(TO, body, body), bodies))

    got = [call.json["body"] if who == "environ" else call.form["Body"] for call in server.calls]
    assert sorted(bodies) == sorted(got)


HEAD = "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\n"
LONG = b'"' + b"x" * 65_535
CHUNK = b"10000\r\n" + LONG + b"\r\n"
FLOODS: dict[str, tuple[str, Iterable[bytes]]] = {
    "chunks without end": ("Transfer-Encoding: chunked\r\n\r\n", itertools.repeat(CHUNK)),
    "a body without a length": ("Connection: close\r\n\r\n", itertools.repeat(LONG)),
    "a terabyte": ("Content-Length: 1000000000000\r\n\r\n", itertools.repeat(LONG)),
    "a header without end": ("X: ", itertools.repeat(LONG)),
    "headers without end": ("", itertools.repeat(b"X-Y: z\r\n" * 6_000)),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("status", [201, 400, 503])
@pytest.mark.parametrize("who", ["environ", "twilio"])
def test_an_answer_without_end(request: pytest.FixtureRequest, who: str, status: int, flood: str) -> None:
    """It is left after little of it; where the status alone is enough, what it says counts."""
    head, parts = FLOODS[flood]
    environ = request.getfixturevalue(who)
    with answering(itertools.chain([HEAD.format(status=status).encode() + head.encode()], parts)) as flooding:
        begun = time.monotonic()
        with suppress(UnavailableError, RefusedError):
            send(environ, SMS_PROVIDER_URL=f"http://127.0.0.1:{flooding.port}")
        took = time.monotonic() - begun

    assert flooding.sent < MOST / 2
    assert took < 5


@pytest.mark.parametrize("who", ["environ", "twilio"])
def test_an_answer_that_drips(request: pytest.FixtureRequest, who: str) -> None:
    """A byte now and then does not begin DELIVERY_TIMEOUT_SECONDS anew."""
    environ = request.getfixturevalue(who)
    head = HEAD.format(status=503) + "Content-Length: 10000\r\n\r\n"
    with answering(itertools.chain([head.encode()], itertools.repeat(b"x")), pause=0.1) as dripping:
        begun = time.monotonic()
        error = failure(
            environ, SMS_PROVIDER_URL=f"http://127.0.0.1:{dripping.port}", DELIVERY_TIMEOUT_SECONDS="0.5"
        )
        took = time.monotonic() - begun

    assert isinstance(error, UnavailableError)
    assert took < 3


def test_an_answer_that_unpacks_without_end(twilio: dict[str, str]) -> None:
    """A few bytes that would be gigabytes are left, too: what counts is what they become."""
    packed = gzip.compress(b" " * 500_000_000, 1)
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    tracemalloc.start()
    with answering([(HEAD.format(status=400) + head).encode(), packed]) as bomb:
        error = failure(twilio, SMS_PROVIDER_URL=f"http://127.0.0.1:{bomb.port}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(error, UnavailableError)
    assert peak < 50_000_000
