"""Both services, while Redis or Postgres goes and comes back: nothing accepted is lost, nothing is sent twice."""

import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from ci.delivery import servers
from ci.ground import ports
from tests import services
from worker.delivery import LEASE_TIMEOUTS
from worker.sweeper import PATIENCE

pytestmark = pytest.mark.server
SMS = {"channel": "sms", "to": "+14155550123", "body": "the-body-of-it"}


@pytest.fixture
def provider() -> Iterator[services.Provider]:
    """A provider that says yes."""
    with services.provider() as made:
        yield made


@pytest.fixture
def environ(postgres_url: str, redis_url: str, provider: services.Provider, tmp_path: Path) -> dict[str, str]:
    """An environment with a database of its own, an empty queue, and that provider."""
    url = services.new_database(postgres_url)
    made = services.environment(url, redis_url, SMS_PROVIDER_URL=provider.url, WORKER_CONCURRENCY="1")
    assert 0 == services.migrate(made, tmp_path / "migrate.log")[0]
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    return made


def submit(api: services.Running, environ: dict[str, str], **fields: Any) -> str:
    """Have a notification accepted, and return its id."""
    headers = {"Authorization": f"Bearer {environ['API_TOKENS'].split(',')[1]}"}
    answer = httpx.post(f"{api.url}/v1/notifications", json=SMS | fields, headers=headers, timeout=20)
    assert answer.status_code == 202
    return str(answer.json()["id"])


def count(environ: dict[str, str], status: str) -> int:
    return int(services.execute(environ, f"SELECT count(*) FROM notifications WHERE status = '{status}'")[0][0])


def test_a_redis_that_goes_and_comes_back(
    environ: dict[str, str], provider: services.Provider, tmp_path: Path
) -> None:
    """What is accepted meanwhile is delivered afterwards, by the same processes."""
    url = f"redis://:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/0"
    redis = servers.redis(url, tmp_path / "redis", tmp_path / "redis.log")
    other = environ | {"REDIS_URL": url}
    with (
        servers.serving(redis),
        services.running("api", other, tmp_path / "api.log") as api,
        services.running("worker", other, tmp_path / "worker.log"),
    ):
        submit(api, other)
        services.until(lambda: count(environ, "sent") == 1)
        servers.stop(redis.data)
        submit(api, other)
        not_ready = httpx.get(f"{api.url}/readyz").json()
        servers.start(redis)
        services.until(lambda: count(environ, "sent") == 2)

    assert "does not answer" == not_ready["queue"]
    assert 2 == len(provider.calls)


def test_a_postgres_that_goes_and_comes_back(
    environ: dict[str, str], provider: services.Provider, tmp_path: Path
) -> None:
    """It goes while an SMS is being sent: that is written down when it is back, and not sent again."""
    url = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    postgres = servers.postgres(url, tmp_path / "postgres", tmp_path / "postgres.log")
    other = environ | {"DATABASE_URL": url, "DATABASE_TIMEOUT_SECONDS": "1"}
    provider.open.clear()
    with servers.serving(postgres):
        services.migrate(other, tmp_path / "migrate-other.log")
        with (
            services.running("api", other, tmp_path / "api.log") as api,
            services.running("worker", other, tmp_path / "worker.log") as worker,
        ):
            submit(api, other)
            services.until(lambda: provider.calls)
            servers.stop(postgres.data)
            provider.open.set()
            services.until(lambda: "asking again" in worker.log.read_text())
            servers.start(postgres)
            services.until(lambda: count(other, "sent") == 1)
            submit(api, other)
            services.until(lambda: count(other, "sent") == 2)

    assert 2 == len(provider.calls)


def test_a_postgres_that_is_away_for_longer_than_a_lease(
    environ: dict[str, str], provider: services.Provider, tmp_path: Path
) -> None:
    """Two workers: the one that sent writes that down when it is back, before the other takes the row for lost."""
    url = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    postgres = servers.postgres(url, tmp_path / "postgres", tmp_path / "postgres.log")
    other = environ | {"DATABASE_URL": url, "DATABASE_TIMEOUT_SECONDS": "1", "DELIVERY_TIMEOUT_SECONDS": "2"}
    lease = LEASE_TIMEOUTS * 2
    with servers.serving(postgres):
        services.migrate(other, tmp_path / "migrate-other.log")
        with (
            services.running("api", other, tmp_path / "api.log") as api,
            services.running("worker", other, tmp_path / "one.log"),
            services.running("worker", other, tmp_path / "two.log"),
        ):
            provider.open.clear()
            submit(api, other)
            services.until(lambda: provider.calls)
            servers.stop(postgres.data)
            provider.open.set()
            time.sleep(lease + 1)
            servers.start(postgres)
            services.until(lambda: count(other, "sent") == 1)

    assert 1 == len(provider.calls)


def test_everything_falls_at_once(environ: dict[str, str], provider: services.Provider, tmp_path: Path) -> None:
    """After the 202s the api and the worker are killed, Postgres crashes, Redis forgets: each arrives."""
    url = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    postgres = servers.postgres(url, tmp_path / "postgres", tmp_path / "postgres.log")
    other = environ | {"DATABASE_URL": url, "DELIVERY_TIMEOUT_SECONDS": "5"}
    with servers.serving(postgres) as process:
        services.migrate(other, tmp_path / "migrate-other.log")
        with (
            services.running("api", other, tmp_path / "api.log") as api,
            services.running("worker", other, tmp_path / "worker.log") as worker,
        ):
            provider.open.clear()
            accepted = [submit(api, other) for _ in range(5)]
            services.until(lambda: provider.calls)  # one is being sent, four wait
            for one in (api, worker):
                one.process.kill()
                one.process.wait()
        process.stop(signal.SIGQUIT)  # Postgres' immediate shutdown, after which it recovers as from a crash
        with Redis.from_url(environ["REDIS_URL"]) as redis:
            redis.flushall()
        servers.start(postgres)
        provider.open.set()
        passing = f"interval '{max(PATIENCE.total_seconds(), 5 * LEASE_TIMEOUTS)} s'"
        services.execute(
            other, f"UPDATE notifications SET nudged_at = nudged_at - {passing}, due_at = due_at - {passing}"
        )
        with services.running("worker", other, tmp_path / "next.log"):
            services.until(lambda: count(other, "sent") == 5)

    references = [call.headers["Idempotency-Key"] for call in provider.calls]
    assert set(accepted) == set(references)
    assert 6 == len(references)  # the one that was being sent, again, under the same key


def test_the_logs_and_metrics_of_a_journey_hold_no_content(
    environ: dict[str, str], provider: services.Provider, tmp_path: Path
) -> None:
    """Even debug, with failures: no body, number, token or secret in either; both logs have the request's id."""
    loud = environ | {"LOG_LEVEL": "debug"}
    provider.statuses[:] = [503]
    with (
        services.running("api", loud, tmp_path / "api.log") as api,
        services.running("worker", loud, tmp_path / "worker.log") as worker,
    ):
        submit(api, loud)
        services.until(lambda: count(environ, "sent") == 1)
        services.until(lambda: '"sent"' in worker.log.read_text())
        ids = [{line.get("request_id") for line in one.lines()} - {None} for one in (api, worker)]
        text = api.log.read_text() + worker.log.read_text()
        text += "".join(httpx.get(f"{one.url}/metrics").text for one in (api, worker))

    secret = [loud["SMTP_PASSWORD"], loud["SMS_PROVIDER_API_KEY"].split(":")[1], *loud["API_TOKENS"].split(",")]
    secret += [loud[name].split("@")[0].rpartition(":")[2] for name in ("DATABASE_URL", "REDIS_URL")]
    assert 1 == len(ids[0] & ids[1])
    assert 'outcome="sent"' in text
    assert [] == [number for number, word in enumerate([*secret, SMS["body"], SMS["to"]]) if word in text]
