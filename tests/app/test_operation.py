import re
import secrets
import socket
from typing import Any

import pytest
import structlog
from redis import Redis

from model import queue
from tests import services
from tests.app.asked import SMS, Api, inside

pytestmark = pytest.mark.server


def test_a_request_without_an_id_gets_one(api: Api) -> None:
    """Each gets another."""
    ids = [api.client.get("/healthz").headers["X-Request-Id"] for _ in range(2)]

    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert 2 == len(set(ids))


def test_a_request_keeps_its_id(api: Api) -> None:
    """A client's id is returned once, kept with the row and logged."""
    headers = {"X-Request-Id": "order-7.a_B"}
    answer = api.client.post("/v1/notifications", json=SMS, headers=headers)

    assert ["order-7.a_B"] == answer.headers.get_list("X-Request-Id")
    assert [("order-7.a_B",)] == api.rows("request_id")
    assert ["/v1/notifications"] == [
        line["route"] for line in api.running.lines() if line.get("request_id") == "order-7.a_B"
    ]


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b'"}', b"\xff", b"a,b"])
def test_an_id_that_would_harm_a_log_is_replaced(api: Api, given: bytes) -> None:
    """Only short plain words pass."""
    answer = api.client.get("/healthz", headers=[(b"X-Request-Id", given)])

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


CAUTION = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/notifications", 422),
        ("GET", "/v1/notifications", 200),
        ("DELETE", "/v1/notifications", 405),
        ("GET", "/nothing", 404),
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_answer_is_cautious(api: Api, method: str, path: str, status: int) -> None:
    """It is not kept, not sniffed, not framed, and runs nothing; each header stands once."""
    answer = api.client.request(method, path)

    assert status == answer.status_code
    assert {name: [value] for name, value in CAUTION.items()} == {
        name: answer.headers.get_list(name) for name in CAUTION
    }


def test_an_answer_to_what_is_no_http_is_cautious(api: Api) -> None:
    """Also what Uvicorn says before the application hears of it."""
    with socket.create_connection(("127.0.0.1", int(api.running.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        with connection.makefile("rb") as answer:
            text = answer.read().lower()

    assert text.startswith(b"http/1.1 400 ")
    assert b"x-content-type-options: nosniff" in text
    assert b"cache-control: no-store" in text


def test_the_page_of_routes_may_run_its_own_script_alone(api: Api) -> None:
    """Its policy names this origin alone, nothing of the page itself is run, and there is no other such page."""
    page, other = api.client.get("/docs"), api.client.get("/redoc")

    policy = page.headers["Content-Security-Policy"]
    named = {source for rule in policy.split(";") for source in rule.split()[1:]}
    loaded = re.findall(r'<script src="([^"]+)"></script>', page.text)
    assert ({"'none'", "'self'", "data:"}, 404) == (named, other.status_code)
    assert "default-src 'none'; script-src 'self';" in policy
    assert page.text.count("<script") == len(loaded)
    assert [200] * len(loaded) == [api.client.get(path).status_code for path in loaded]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/v1/notifications", 405), ("PUT", "/healthz", 405)],
)
def test_other_paths_and_methods(api: Api, method: str, path: str, status: int) -> None:
    """What is not offered is a problem document too."""
    answer = api.client.request(method, path)

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])


def test_a_405_names_all_methods_of_a_path(api: Api) -> None:
    """Also where each has a route of its own."""
    answer = api.client.delete("/v1/notifications")

    assert "GET, POST" == answer.headers["Allow"]


# Health, version, metrics, OpenAPI


def test_health_and_readiness(api: Api) -> None:
    """With everything there, both are well, and readiness names its parts."""
    health, ready = api.client.get("/healthz"), api.client.get("/readyz")

    assert (200, {"status": "ok"}) == (health.status_code, health.json())
    assert (200, {"database": "ok", "schema": "ok", "queue": "ok"}) == (ready.status_code, ready.json())


def test_a_database_without_schema(api: Api, postgres_url: str) -> None:
    """An api whose migrations did not run is alive, not ready, and says why."""
    with inside(api.environ, DATABASE_URL=services.new_database(postgres_url)) as one:
        health, ready = one.get("/healthz"), one.get("/readyz")

    assert 200 == health.status_code
    assert (503, "no schema, run the migrations") == (ready.status_code, ready.json()["schema"])


def test_readiness_without_redis(api: Api) -> None:
    """A queue that does not answer is named."""
    with inside(api.environ, REDIS_URL=services.refused_url(api.environ["REDIS_URL"])) as one:
        ready = one.get("/readyz")

    assert (503, {"database": "ok", "schema": "ok", "queue": "does not answer"}) == (
        ready.status_code,
        ready.json(),
    )


def test_readiness_without_postgres(api: Api) -> None:
    """A database that does not answer is named."""
    with inside(api.environ, DATABASE_URL=services.refused_url(api.environ["DATABASE_URL"])) as one:
        ready = one.get("/readyz")

    expected = {"database": "does not answer", "schema": "unknown", "queue": "ok"}
    assert (503, expected) == (ready.status_code, ready.json())


def test_version(api: Api) -> None:
    """The commit is the one that the process was started with."""
    assert {"sha": "abc1234", "release": 0} == api.client.get("/version").json()


def test_metrics(api: Api) -> None:
    """Prometheus finds the release, the requests by route, and what was accepted, all of it documented."""
    api.submit()
    metrics = api.client.get("/metrics").text

    assert 'lockstep_info{environment="test",release="0",sha="abc1234"} 1.0' in metrics
    assert 'notifications_accepted_total{channel="sms"}' in metrics
    assert 'api_request_seconds_count{method="POST",route="/v1/notifications",status="202"}' in metrics
    assert set() == services.undocumented(metrics)


def test_metrics_do_not_grow_with_what_clients_send(api: Api) -> None:
    """A path or a method that nobody knows makes no series of its own."""
    word = secrets.token_hex(8).upper()
    api.client.get(f"/{word}")
    for method in (word, "PROPFIND"):
        with socket.create_connection(("127.0.0.1", int(api.running.url.rpartition(":")[2]))) as connection:
            connection.sendall(f"{method} /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            connection.recv(1000)

    metrics = api.client.get("/metrics").text

    assert word not in metrics
    assert "PROPFIND" not in metrics


def test_openapi(api: Api) -> None:
    """The document loads, and lists every route and the token."""
    document = api.client.get("/openapi.json").json()

    offered = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert {
        "POST /v1/notifications",
        "GET /v1/notifications",
        "GET /v1/notifications/{identifier}",
        "POST /v1/notifications/{identifier}/replay",
        "GET /healthz",
        "GET /readyz",
        "GET /version",
        "GET /metrics",
    } == offered
    assert [{"HTTPBearer": []}] == document["paths"]["/v1/notifications"]["post"]["security"]


# What fails around it


def test_submitting_without_redis(api: Api) -> None:
    """It is accepted, and marked for the sweeper."""
    with inside(api.environ, REDIS_URL=services.refused_url(api.environ["REDIS_URL"])) as one:
        answer = one.post("/v1/notifications", json=SMS)

    assert 202 == answer.status_code
    assert [("queued", None)] == api.rows("status, nudged_at")


def test_submitting_to_a_redis_that_is_silent(api: Api) -> None:
    """A Redis that accepts and never answers holds a request up for a bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with inside(api.environ, REDIS_URL=url) as one:
            answer = one.post("/v1/notifications", json=SMS)

    assert 202 == answer.status_code
    assert [(None,)] == api.rows("nudged_at")


def test_submitting_when_postgres_goes_after_the_commit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed is accepted, also when Redis and then Postgres fail: a 503 would make a second one."""

    def fail(*_: object, **__: object) -> None:
        services.execute(api.environ, "ALTER TABLE notifications RENAME TO elsewhere")
        raise queue.QueueError

    monkeypatch.setattr("model.queue.nudge", fail)
    try:
        with inside(api.environ) as one:
            answer = one.post("/v1/notifications", json=SMS)
    finally:
        services.execute(api.environ, "ALTER TABLE elsewhere RENAME TO notifications")

    assert (202, 1) == (answer.status_code, len(api.rows()))


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("GET", ""), ("GET", "/{id}"), ("POST", "/{id}/replay")]
)
def test_without_postgres(api: Api, method: str, path: str) -> None:
    """Nothing is accepted that is not kept: 503, and when to come back."""
    target = "/v1/notifications" + path.replace("{id}", "0b9f2b7e-6d53-4c0c-8d0b-0f6c6f1f0e11")
    with inside(api.environ, DATABASE_URL=services.refused_url(api.environ["DATABASE_URL"])) as one:
        answer = one.request(method, target, json=SMS)

    assert (503, "5") == (answer.status_code, answer.headers["Retry-After"])
    assert "the database does not answer" == answer.json()["title"]
    assert "127.0.0.1" not in answer.text


def test_postgres_comes_back(api: Api) -> None:
    """Connections that Postgres closed are replaced, no request sees it."""
    api.submit()
    database = api.environ["DATABASE_URL"].rpartition("/")[2]
    services.execute(
        api.environ,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"  # which waits until it has ended
        f" WHERE datname = '{database}' AND pid <> pg_backend_pid()",
    )

    assert "queued" == api.submit()["status"]


def test_redis_comes_back(api: Api) -> None:
    """Connections that Redis closed are replaced, no nudge is lost."""
    api.submit()
    with Redis.from_url(api.environ["REDIS_URL"]) as redis:
        redis.client_kill_filter(_type="normal", skipme=True)

    receipt = api.submit()

    assert receipt["id"] in api.nudges()


def test_a_bug_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expects is a 500 without a word of it, but with the request's id."""

    def fail(*_: Any) -> None:
        raise RuntimeError("internal detail")

    monkeypatch.setattr("app.notifications._found", fail)
    with structlog.testing.capture_logs() as log, inside(api.environ) as one:
        answer = one.get("/v1/notifications/0b9f2b7e-6d53-4c0c-8d0b-0f6c6f1f0e11")

    assert (500, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert "internal detail" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Request-Id"]
    assert ["unhandled", "request"] == [line["event"] for line in log]


# The log


def test_a_line_for_a_request(api: Api) -> None:
    """It says which route answered what, and holds nothing that a client sent."""
    word = secrets.token_hex(8)
    before = len(api.running.lines())
    api.submit(to="+14155557777", body=word, idempotency_key=word)
    api.client.get("/v1/notifications", params={"after": word})
    api.client.get(f"/v1/notifications/{word}")
    api.client.get(f"/{word}")
    lines = services.until(lambda: api.running.lines()[before + 3 :] and api.running.lines()[before:])

    assert [
        ("POST", "/v1/notifications", 202),
        ("GET", "/v1/notifications", 422),
        ("GET", "/v1/notifications/{identifier}", 422),
        ("GET", "unknown", 404),
    ] == [(line["method"], line["route"], line["status"]) for line in lines]
    text = str(lines)
    assert not [one for one in (word, "5557777", *api.tokens) if one in text]


def test_machines_that_ask_are_not_logged(api: Api) -> None:
    """Health, readiness and metrics would drown the rest."""
    before = len(api.running.lines())
    for path in ("/healthz", "/readyz", "/metrics"):
        api.client.get(path)

    assert [] == api.running.lines()[before:]


def test_the_whole_log_holds_no_secret(api: Api) -> None:
    """After all that happened, no value of the environment that is secret stands in the log."""
    api.submit()
    log = api.running.log.read_text()

    assert log
    secret = [services.password(api.environ, name) for name in ("DATABASE_URL", "REDIS_URL")]
    assert not [word for word in (*secret, *api.tokens) if word in log]
