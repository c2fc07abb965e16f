import time

import pytest
from prometheus_client import REGISTRY

from model import queue
from model.notification import Channel, Status
from tests import services
from tests.worker.bench import EMAIL, Bench
from worker.sweeper import AT_ONCE, PATIENCE, Sweeper

pytestmark = pytest.mark.server
LONG_AGO = f"now() - interval '{PATIENCE.total_seconds() + 1} s'"


def fill(bench: Bench, identifier: str) -> None:
    for _ in range(AT_ONCE):
        queue.nudge(bench.broker, Channel.SMS, identifier, "r")


def swept(bench: Bench) -> int:
    return Sweeper(bench.engine, bench.broker, retention_days=30).sweep()


@pytest.mark.parametrize("status", ["queued", "sending", "retrying"])
@pytest.mark.parametrize("nudged", ["NULL", LONG_AGO])
def test_what_is_due_and_forgotten_is_nudged(bench: Bench, status: str, nudged: str) -> None:
    """Whether nobody was told, the queue lost it, or who had it died: it is found."""
    bench.accept(status=status)
    bench.set(nudged_at=nudged)

    assert 1 == swept(bench) == bench.nudges()


@pytest.mark.parametrize("status", ["queued", "sending", "retrying"])
def test_what_is_not_due_waits(bench: Bench, status: str) -> None:
    """A pause is kept, and a lease."""
    bench.accept(status=status)
    bench.set(nudged_at="NULL", due_at="now() + interval '1 minute'")

    assert 0 == swept(bench) == bench.nudges()


def test_a_fresh_nudge_is_trusted(bench: Bench) -> None:
    """What was told a moment ago is not told again."""
    bench.accept()

    assert 0 == swept(bench)


@pytest.mark.parametrize("status", ["sent", "dead"])
def test_what_is_at_its_end_is_not_found(bench: Bench, status: str) -> None:
    """Nothing arrives twice, and the dead wait for a replay."""
    bench.accept(status=status)
    bench.set(nudged_at="NULL")

    assert 0 == swept(bench)


def test_what_was_swept_is_fresh(bench: Bench) -> None:
    """One finding is one nudge."""
    bench.accept()
    bench.set(nudged_at="NULL")

    assert (1, 0) == (swept(bench), swept(bench))


def test_a_long_queue_is_not_made_longer(bench: Bench) -> None:
    """What waits in a queue that is behind is not lost; that of the other channel may have been."""
    identifier = bench.accept()
    fill(bench, identifier)
    bench.accept(**EMAIL)
    bench.set(nudged_at=LONG_AGO)

    assert (1, 0) == (swept(bench), swept(bench))
    assert (AT_ONCE, 1) == tuple(queue.length(bench.broker, channel) for channel in Channel)


def test_a_long_queue_is_told_what_it_does_not_know(bench: Bench) -> None:
    """A try to be repeated does not wait for as long as new ones keep the queue long."""
    fill(bench, bench.accept())
    bench.accept(status="retrying")
    services.execute(bench.environ, "UPDATE notifications SET nudged_at = NULL WHERE status = 'retrying'")

    assert (1, 0) == (swept(bench), swept(bench))
    assert AT_ONCE + 1 == bench.nudges()


def test_redis_fails_during_a_sweep(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be told stays forgotten, and is found by the next sweep."""
    made = [bench.accept() for _ in range(3)]
    bench.set(nudged_at="NULL")
    nudge = queue.nudge

    def fail(broker: object, channel: str, identifier: str, request: str) -> None:
        if bench.nudges() == 1:
            raise queue.QueueError
        nudge(bench.broker, channel, identifier, request)

    with monkeypatch.context() as patch:
        patch.setattr(queue, "nudge", fail)
        with pytest.raises(queue.QueueError):
            swept(bench)

    assert [None] * 3 == [bench.row(identifier).nudged_at for identifier in made]
    assert 3 == swept(bench)


def test_the_thread_outlives_what_goes_wrong(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Redis, nor Postgres, nor a bug ends it."""
    failures = [queue.QueueError(), RuntimeError()]
    sweeper = Sweeper(bench.engine, bench.broker, retention_days=30)
    sweep = sweeper.sweep

    def fail() -> int:
        if failures:
            raise failures.pop()
        return sweep()

    monkeypatch.setattr(sweeper, "sweep", fail)
    bench.accept()
    bench.set(nudged_at="NULL")
    sweeper.start()
    try:
        services.until(lambda: bench.nudges() == 1)
    finally:
        sweeper.stop()

    assert not sweeper.is_alive()


def test_redis_is_flushed(bench: Bench) -> None:
    """A queue that lost everything costs time, no notification."""
    made = [bench.accept(nudged=True) for _ in range(5)]
    bench.broker.client.flushdb()
    bench.set(nudged_at=LONG_AGO)  # as time passes
    with bench.working():
        services.until(lambda: all(bench.is_(one, Status.SENT) for one in made))

    assert 5 == len(bench.provider.calls)


def test_the_gauges(bench: Bench) -> None:
    """The oldest due notification's wait, the oldest unsent one's, and how many of each kind there are."""
    bench.accept(status="dead")
    bench.accept(status="dead")
    bench.accept(status="dead", to="", body="")
    bench.accept(status="retrying")
    bench.set(due_at="now() + interval '1 hour'", created_at="now() - interval '2 hours'")
    bench.accept()
    bench.accept(status="sent")
    services.execute(
        bench.environ, "UPDATE notifications SET due_at = now() - interval '1 hour' WHERE status = 'queued'"
    )

    Sweeper(bench.engine, bench.broker, retention_days=30).measure()

    assert 2 == REGISTRY.get_sample_value("dead_letters")  # what is forgotten can be sent no more
    assert [1, 0, 1] == [
        REGISTRY.get_sample_value("notifications_unsent", {"status": status})
        for status in ("queued", "sending", "retrying")
    ]
    assert 7200 == pytest.approx(REGISTRY.get_sample_value("unsent_age_seconds"), abs=60)
    assert time.time() == pytest.approx(REGISTRY.get_sample_value("measured_timestamp_seconds"), abs=60)
    assert 3600 == pytest.approx(REGISTRY.get_sample_value("queue_age_seconds"), abs=60)


def test_the_gauges_of_nothing(bench: Bench) -> None:
    """Without notifications all are zero."""
    Sweeper(bench.engine, bench.broker, retention_days=30).measure()

    names = ("dead_letters", "queue_age_seconds", "unsent_age_seconds")
    assert [0, 0, 0] == [REGISTRY.get_sample_value(name) for name in names]
