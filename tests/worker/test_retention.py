from typing import Any

import pytest
from prometheus_client import REGISTRY

from model.notification import Status
from tests import services
from tests.worker.bench import EMAIL, SMS, Bench
from worker import retention
from worker.retention import erase

pytestmark = pytest.mark.server
DAYS = 30
OVER = f"now() - interval '{DAYS} days 1 minute'"
NOT_YET = f"now() - interval '{DAYS} days' + interval '1 minute'"


def kept(bench: Bench, identifier: str) -> tuple[str, str | None, str, str | None]:
    row = bench.row(identifier)
    return row.to, row.subject, row.body, row.idempotency_key


@pytest.mark.parametrize("status", ["sent", "dead"])
@pytest.mark.parametrize("fields", [SMS, EMAIL], ids=["sms", "email"])
def test_content_is_forgotten(bench: Bench, fields: dict[str, Any], status: str) -> None:
    """Days after the end the recipient, the subject, the body and the key are gone; what became of it stays."""
    identifier = bench.accept(**fields, status=status, attempts=2, reason="r", idempotency_key="k")
    bench.set(due_at=OVER)

    assert 1 == erase(bench.engine, DAYS)
    assert ("", None, "", None) == kept(bench, identifier)
    assert (status, 2, "r") == bench.state(identifier)


@pytest.mark.parametrize("status", ["sent", "dead"])
def test_until_then_it_is_kept(bench: Bench, status: str) -> None:
    """Neither a day too early nor by a minute."""
    identifier = bench.accept(status=status)
    bench.set(due_at=NOT_YET)

    assert 0 == erase(bench.engine, DAYS)
    assert "hello" == bench.row(identifier).body


@pytest.mark.parametrize("status", ["queued", "sending", "retrying"])
def test_what_is_not_at_its_end_is_kept(bench: Bench, status: str) -> None:
    """However old: it is still to be sent, with all of its content."""
    identifier = bench.accept(status=status)
    bench.set(due_at=OVER, created_at=OVER)

    assert 0 == erase(bench.engine, DAYS)
    assert (Status.SENT, "hello") == (bench.deliver(identifier)[0], bench.provider.calls[0].json["body"])


def test_an_end_begins_the_days(bench: Bench) -> None:
    """What was accepted long ago and sent just now is kept from now on."""
    identifier = bench.accept()
    bench.set(created_at=OVER, due_at=OVER)
    bench.deliver(identifier)

    assert 0 == erase(bench.engine, DAYS)


def test_it_goes_in_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction takes more than its share; together they take all, and count it."""
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(5):
        bench.accept(status="sent")
    bench.set(due_at=OVER)
    before = REGISTRY.get_sample_value("notifications_erased_total") or 0

    assert [2, 2, 1, 0] == [erase(bench.engine, DAYS) for _ in range(4)]
    assert before + 5 == REGISTRY.get_sample_value("notifications_erased_total")


def test_the_worker_does_it(bench: Bench) -> None:
    """Nobody has to run anything."""
    identifier = bench.accept(status="sent")
    bench.set(due_at=OVER)
    with bench.working():
        services.until(lambda: not bench.row(identifier).body)


def test_it_is_found_by_its_index(bench: Bench) -> None:
    """A large table is not read for it."""
    plan = services.execute(
        {"DATABASE_URL": bench.environ["DATABASE_URL"] + "?options=-c%20enable_seqscan%3Doff"},
        "EXPLAIN SELECT id FROM notifications"
        " WHERE status IN ('sent', 'dead') AND body <> '' AND due_at < now() - interval '30 days'",
    )

    assert "notifications_kept" in str(plan)
