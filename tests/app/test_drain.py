import json
import signal
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import services
from tests.app.asked import SMS, Api

pytestmark = pytest.mark.server


def connected(running: services.Running) -> HTTPConnection:
    """Return a connection that stays open between two requests, and fails instead of opening another."""
    connection = HTTPConnection(str(urlsplit(running.url).hostname), urlsplit(running.url).port, timeout=20)
    connection.connect()
    connection.auto_open = 0
    return connection


def submit(connection: HTTPConnection, token: str) -> tuple[int, bool]:
    """Submit an SMS; return the status, and whether the server said that it was the connection's last."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/notifications", json.dumps(SMS), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Connection") == "close"


def test_no_request_is_lost(api: Api, tmp_path: Path) -> None:
    """After SIGTERM every connection that is open gets another answer, which says that it was the last."""
    with services.running("api", api.environ, tmp_path / "log") as running:
        connections = [connected(running) for _ in range(8)]
        before = [submit(one, api.tokens[0]) for one in connections]

        def until_told(connection: HTTPConnection) -> list[int]:
            statuses, last = [], False
            while not last:
                status, last = submit(connection, api.tokens[0])
                statuses.append(status)
            return statuses

        with ThreadPoolExecutor(len(connections)) as pool:
            asked = [pool.submit(until_told, one) for one in connections]
            running.process.send_signal(signal.SIGTERM)
            statuses = [status for one in asked for status in one.result()]
        code = running.process.wait(20)
        for one in connections:
            one.close()

    assert [(202, False)] * 8 == before
    assert {202} == set(statuses)
    assert len(before) + len(statuses) == len(api.rows())
    assert 0 == code


def test_a_slow_request_is_answered(api: Api, tmp_path: Path) -> None:
    """What waits for Postgres when SIGTERM comes is finished, and answered."""
    with (
        services.running("api", api.environ, tmp_path / "log") as running,
        psycopg.connect(api.environ["DATABASE_URL"]) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("LOCK TABLE notifications")
        connection = connected(running)
        asked = pool.submit(submit, connection, api.tokens[0])
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        services.until(lambda: services.execute(api.environ, waiting) != [(0,)])
        running.process.send_signal(signal.SIGTERM)
        services.until(lambda: "Shutting down" in running.log.read_text())
        other.rollback()
        status, last = asked.result()
        code = running.process.wait(20)
        connection.close()

    assert (202, True, 0) == (status, last, code)
    assert 1 == len(api.rows())


def test_a_request_that_takes_too_long_is_cut_off(api: Api, tmp_path: Path) -> None:
    """After SHUTDOWN_GRACE_SECONDS and what Postgres may still take, the process ends, whoever waits."""
    environ = api.environ | {"SHUTDOWN_GRACE_SECONDS": "1", "DATABASE_TIMEOUT_SECONDS": "2"}
    with (
        services.running("api", environ, tmp_path / "log") as running,
        psycopg.connect(api.environ["DATABASE_URL"]) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("LOCK TABLE notifications")
        connection = connected(running)
        asked = pool.submit(submit, connection, api.tokens[0])
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        services.until(lambda: services.execute(api.environ, waiting) != [(0,)])
        running.process.send_signal(signal.SIGTERM)
        code = running.process.wait(20)
        other.rollback()
        asked.exception(20)
        connection.close()

    assert 0 == code
