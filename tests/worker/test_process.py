import signal
import socket
from pathlib import Path

import httpx
import pytest

from model.notification import Status
from tests import services
from tests.worker.bench import EMAIL, SMS, Bench

pytestmark = pytest.mark.server


def test_it_delivers_and_says_how_it_is(bench: Bench, tmp_path: Path) -> None:
    """Both channels arrive; health, readiness, version and metrics answer; the log holds no secret, no content."""
    with services.running("worker", bench.environ, tmp_path / "log") as worker:
        made = [bench.accept(nudged=True, **fields | {"body": "do-not-tell"}) for fields in (SMS, EMAIL)]
        services.until(lambda: all(bench.is_(one, Status.SENT) for one in made))
        ready, metrics = httpx.get(f"{worker.url}/readyz"), httpx.get(f"{worker.url}/metrics").text
        version, nothing = httpx.get(f"{worker.url}/version").json(), httpx.get(f"{worker.url}/nothing")
        code = worker.stop()

    assert (1, 1) == (len(bench.provider.calls), len(bench.mail.messages))
    assert (200, {"database": "ok", "schema": "ok", "queue": "ok"}) == (ready.status_code, ready.json())
    assert ("abc1234", 404) == (version["sha"], nothing.status_code)
    assert 'deliveries_total{channel="sms",outcome="sent",provider="sandbox"} 1.0' in metrics
    assert 'lockstep_info{environment="test",release="0",sha="abc1234"} 1.0' in metrics
    assert set() == services.undocumented(metrics)
    assert 0 == code
    log = worker.log.read_text()
    secret = [services.password(bench.environ, name) for name in ("DATABASE_URL", "REDIS_URL", "SMTP_PASSWORD")]
    assert not [word for word in (*secret, "do-not-tell", "+14155550123", "anna@") if word in log]
    assert {"worker"} == {line["service"] for line in worker.lines()}


def test_readiness_without_redis_and_postgres(bench: Bench, tmp_path: Path) -> None:
    """Without both the worker is alive, not ready, and says what is missing."""
    environ = bench.environ | {
        name: services.refused_url(bench.environ[name]) for name in ("REDIS_URL", "DATABASE_URL")
    }
    with services.running("worker", environ, tmp_path / "log") as worker:
        health, ready = httpx.get(f"{worker.url}/healthz"), httpx.get(f"{worker.url}/readyz", timeout=20)
        code = worker.stop()

    assert (200, 503) == (health.status_code, ready.status_code)
    assert ["does not answer"] * 2 == [ready.json()[part] for part in ("database", "queue")]
    assert 0 == code


def test_sigterm_lets_it_finish(bench: Bench, tmp_path: Path) -> None:
    """A send that is under way ends well, what was not begun is left for others, and the exit code is 0."""
    bench.provider.open.clear()
    environ = bench.environ | {"WORKER_CONCURRENCY": "1", "DELIVERY_TIMEOUT_SECONDS": "30"}
    with services.running("worker", environ, tmp_path / "log") as worker:
        made = [bench.accept(nudged=True) for _ in range(3)]
        services.until(lambda: bench.provider.calls)
        worker.process.send_signal(signal.SIGTERM)
        services.until(lambda: "draining" in worker.log.read_text())
        alive = worker.process.poll() is None
        bench.provider.open.set()
        code = worker.process.wait(20)

    assert (True, 0) == (alive, code)
    assert [Status.QUEUED, Status.QUEUED, Status.SENT] == sorted(bench.row(one).status for one in made)
    assert 1 == len(bench.provider.calls)
    assert 2 == bench.nudges()


def test_sigterm_waits_no_longer_than_it_may(bench: Bench, tmp_path: Path) -> None:
    """After SHUTDOWN_GRACE_SECONDS a send is cut off, and the row keeps its lease for the next worker."""
    bench.provider.open.clear()
    environ = bench.environ | {"SHUTDOWN_GRACE_SECONDS": "1", "DELIVERY_TIMEOUT_SECONDS": "30"}
    with services.running("worker", environ, tmp_path / "log") as worker:
        identifier = bench.accept(nudged=True)
        services.until(lambda: bench.provider.calls)
        code = worker.stop()

    assert 0 == code
    assert (Status.SENDING, 1, None) == bench.state(identifier)


def test_a_worker_is_killed(bench: Bench, tmp_path: Path) -> None:
    """What it was sending is sent by another once the lease ends, under the same key."""
    bench.provider.open.clear()
    environ = bench.environ | {"DELIVERY_TIMEOUT_SECONDS": "0.5"}  # a lease of two seconds
    with services.running("worker", environ | {"DELIVERY_ATTEMPTS": "5"}, tmp_path / "one") as worker:
        identifier = bench.accept(nudged=True)
        services.until(lambda: bench.provider.calls)
        worker.process.kill()
        worker.process.wait()
    before = bench.row(identifier).status
    bench.provider.open.set()
    with services.running("worker", environ | {"DELIVERY_ATTEMPTS": "5"}, tmp_path / "two"):
        services.until(lambda: bench.is_(identifier, Status.SENT))

    assert Status.SENDING == before
    assert {identifier} == {call.headers["Idempotency-Key"] for call in bench.provider.calls}


def test_two_workers_share_the_work(bench: Bench, tmp_path: Path) -> None:
    """Both sweep, both deliver, and each notification is sent once."""
    with (
        services.running("worker", bench.environ, tmp_path / "one"),
        services.running("worker", bench.environ, tmp_path / "two"),
    ):
        made = [bench.accept(nudged=number % 2 == 0) for number in range(60)]
        bench.set(nudged_at="NULL")
        services.until(lambda: all(bench.is_(one, Status.SENT) for one in made))

    assert sorted(made) == sorted(call.headers["Idempotency-Key"] for call in bench.provider.calls)


def test_redis_restarts(bench: Bench, tmp_path: Path) -> None:
    """A worker whose connections Redis closed goes on."""
    with services.running("worker", bench.environ, tmp_path / "log"):
        first = bench.accept(nudged=True)
        services.until(lambda: bench.is_(first, Status.SENT))
        bench.broker.client.client_kill_filter(_type="normal", skipme=True)
        second = bench.accept(nudged=True)
        services.until(lambda: bench.is_(second, Status.SENT))

    assert 2 == len(bench.provider.calls)


@pytest.mark.parametrize("service", ["api", "worker"])
def test_a_bad_configuration(bench: Bench, tmp_path: Path, service: str) -> None:
    """Exit code 78 and one error that names every key, without a traceback and without a value."""
    environ = bench.environ | {"LOG_LEVEL": "do-not-tell", "REDIS_URL": "do-not-tell"}
    del environ["DATABASE_URL"]

    code, said = services.run(service, environ=environ, log=tmp_path / "log")

    assert 78 == code
    assert [
        f"error: {service} cannot start, its configuration has problems:",
        "  DATABASE_URL is not set",
        "  LOG_LEVEL is none of debug, info, warning, error",
        "  REDIS_URL is not a URL that starts with redis:// or rediss://",
    ] == said.splitlines()


def test_a_client_of_the_health_listener_that_is_silent(bench: Bench, tmp_path: Path) -> None:
    """It holds up neither the next client nor the end."""
    with services.running("worker", bench.environ, tmp_path / "log") as worker:
        port = int(worker.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            status = httpx.get(f"{worker.url}/healthz").status_code
            code = worker.stop()

    assert (200, 0) == (status, code)
    assert "drained" == worker.lines()[-1]["event"]


@pytest.mark.parametrize(("hanging", "other"), [(SMS, EMAIL), (EMAIL, SMS)], ids=["sms", "email"])
def test_a_provider_that_hangs_holds_up_its_own_channel_alone(
    bench: Bench, tmp_path: Path, hanging: dict[str, str], other: dict[str, str]
) -> None:
    """While more messages than there are threads wait for one provider, the other's are sent at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        keys = {"SMS_PROVIDER_URL": f"http://127.0.0.1:{port}"} if hanging is SMS else {"SMTP_PORT": port}
        environ = bench.environ | keys | {"DELIVERY_TIMEOUT_SECONDS": "30", "SHUTDOWN_GRACE_SECONDS": "1"}
        with services.running("worker", environ, tmp_path / "log"):
            held = [bench.accept(nudged=True, **hanging) for _ in range(6)]
            services.until(lambda: len([one for one in held if bench.is_(one, Status.SENDING)]) == 2)
            made = [bench.accept(nudged=True, **other) for _ in range(6)]
            services.until(lambda: all(bench.is_(one, Status.SENT) for one in made))
            states = sorted(bench.row(one).status for one in held)

    assert [Status.QUEUED] * 4 + [Status.SENDING] * 2 == states
