import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import structlog

from model.notification import Status
from tests import services
from tests.worker.bench import EMAIL, SMS, Bench
from worker.delivery import LEASE_TIMEOUTS

pytestmark = pytest.mark.server


def test_an_sms_is_sent(bench: Bench) -> None:
    """The provider gets the content once, under the row's id."""
    identifier = bench.accept(body="ünï 🔑")

    assert (Status.SENT, 1, None) == bench.deliver(identifier)
    [call] = bench.provider.calls
    assert {"to": "+14155550123", "from": "Lockstep", "body": "ünï 🔑"} == call.json
    assert identifier == call.headers["Idempotency-Key"]
    assert bench.row(identifier).sent_at


def test_an_email_is_sent(bench: Bench) -> None:
    """The mail server gets it whole, from our sender, with the row's id in its Message-ID."""
    identifier = bench.accept(**EMAIL | {"subject": "ünï 🔑", "body": "line ü\n.\n..\nFrom here\n" + "x" * 2000})

    assert (Status.SENT, 1, None) == bench.deliver(identifier)
    [message] = bench.mail.messages
    assert ("ünï 🔑", "anna@example.com", bench.environ["SMTP_SENDER"]) == tuple(
        str(message[name]) for name in ("Subject", "To", "From")
    )
    assert "line ü\n.\n..\nFrom here\n" + "x" * 2000 == message.get_content().replace("\r\n", "\n").rstrip("\n")
    assert f"<{identifier}@lockstep.example>" == message["Message-ID"]
    assert message["Date"]


def test_through_the_queue(bench: Bench) -> None:
    """A nudge is all that a worker needs, for either channel."""
    made = [bench.accept(nudged=True, **fields) for fields in (SMS, EMAIL)]
    with bench.working():
        services.until(lambda: all(bench.is_(one, Status.SENT) for one in made))

    assert (1, 1) == (len(bench.provider.calls), len(bench.mail.messages))


def test_failures_are_retried_until_it_is_sent(bench: Bench) -> None:
    """Pauses later, the same SMS with the same key arrives; the reason is gone."""
    bench.provider.statuses[:] = [503, 429]
    identifier = bench.accept(nudged=True)
    with bench.working():
        services.until(lambda: bench.is_(identifier, Status.SENT))

    assert (Status.SENT, 3, None) == bench.state(identifier)
    assert [identifier] * 3 == [call.headers["Idempotency-Key"] for call in bench.provider.calls]


def test_between_two_tries_it_waits(bench: Bench) -> None:
    """A failed one is tried again, not before a pause, and says why; an early nudge does nothing."""
    bench.provider.statuses[:] = [500]
    slow = {"DELIVERY_BACKOFF_SECONDS": "60", "DELIVERY_BACKOFF_MAX_SECONDS": "60"}
    identifier = bench.accept()

    first = bench.deliver(identifier, **slow)
    second = bench.deliver(identifier, **slow)

    assert (Status.RETRYING, 1, "provider unavailable (500)") == first == second
    assert [(True, True)] == services.execute(
        bench.environ,
        "SELECT due_at > now() + interval '25 s', due_at <= now() + interval '60 s' FROM notifications",
    )
    assert 1 == len(bench.provider.calls)


@pytest.mark.parametrize(("attempts", "longest"), [(1, 0.5), (2, 1), (3, 2), (4, 3), (50, 3)])
def test_pauses_double_up_to_the_longest(bench: Bench, attempts: int, longest: float) -> None:
    """Each is between half and whole of its length, and not all are the same."""
    deliverer = bench.deliverer(DELIVERY_BACKOFF_SECONDS="0.5", DELIVERY_BACKOFF_MAX_SECONDS="3")
    pauses = {deliverer._pause(attempts) for _ in range(50)}

    assert longest / 2 <= min(pauses) < max(pauses) <= longest


def test_tried_often_enough_it_is_dead_until_it_is_replayed(bench: Bench) -> None:
    """DELIVERY_ATTEMPTS tries, then no more; what a replay does to the row makes it go out."""
    bench.provider.statuses[:] = [503, 503, 503]
    identifier = bench.accept(nudged=True)
    with bench.working():
        services.until(lambda: bench.is_(identifier, Status.DEAD))
        dead = bench.state(identifier)
        bench.set(status="'queued'", attempts="0", reason="NULL", due_at="now()")
        bench.nudge(identifier)
        services.until(lambda: bench.is_(identifier, Status.SENT))

    assert (Status.DEAD, 3, "provider unavailable (503)") == dead
    assert (Status.SENT, 1, None) == bench.state(identifier)
    assert 4 == len(bench.provider.calls)


@pytest.mark.parametrize("status", [400, 402, 410, 422])
def test_what_the_provider_refuses_is_dead_at_once(bench: Bench, status: int) -> None:
    """It would refuse it again."""
    bench.provider.statuses[:] = [status]

    assert (Status.DEAD, 1, f"refused by the provider ({status})") == bench.deliver(bench.accept())


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 429, 500, 502, 503, 301])
def test_what_may_pass_is_tried_again(bench: Bench, status: int) -> None:
    """A key in rotation, an address that is being mended and a load are no reason to give up."""
    bench.provider.statuses[:] = [status]

    assert (Status.RETRYING, 1, f"provider unavailable ({status})") == bench.deliver(bench.accept())


def test_a_provider_that_is_not_there(bench: Bench) -> None:
    """It may come back."""
    status, _, reason = bench.deliver(bench.accept(), SMS_PROVIDER_URL=services.refused_url(bench.provider.url))

    assert (Status.RETRYING, "provider unreachable (ConnectError)") == (status, reason)


def test_a_provider_that_is_silent(bench: Bench) -> None:
    """A try ends after DELIVERY_TIMEOUT_SECONDS."""
    bench.provider.open.clear()

    status, _, reason = bench.deliver(bench.accept(), DELIVERY_TIMEOUT_SECONDS="0.2")

    assert (Status.RETRYING, "provider unreachable (ReadTimeout)") == (status, reason)


def test_a_bug_is_a_failure_like_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expects is retried after a pause, not when the lease ends, and not forever."""

    def fail(*_: object) -> None:
        raise KeyError("do-not-tell")

    deliverer = bench.deliverer(DELIVERY_ATTEMPTS="2")
    monkeypatch.setattr(deliverer._sms, "send", fail)
    identifier = bench.accept()

    deliverer.deliver(identifier, "r")
    first = bench.state(identifier)
    bench.set(due_at="now()")
    deliverer.deliver(identifier, "r")

    assert (Status.RETRYING, 1) == first[:2]
    assert (Status.DEAD, 2) == bench.state(identifier)[:2]
    assert "do-not-tell" not in str(bench.state(identifier)[2])


def test_many_nudges_are_one_sms(bench: Bench) -> None:
    """A nudge too many finds nothing to do."""
    identifier = bench.accept()
    for _ in range(20):
        bench.nudge(identifier)
    with bench.working():
        services.until(lambda: bench.nudges() == 0)

    assert (Status.SENT, 1, None) == bench.state(identifier)
    assert 1 == len(bench.provider.calls)


def test_two_workers_take_a_row_once(bench: Bench) -> None:
    """However many claim the same rows at the same moment, each row is sent by one."""
    made = [bench.accept() for _ in range(10)]
    workers = [bench.deliverer() for _ in range(4)]
    start = threading.Barrier(len(workers))

    def work(number: int) -> None:
        start.wait()
        for identifier in made:
            workers[number].deliver(identifier, "r")

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, range(len(workers))))

    assert sorted(made) == sorted(call.headers["Idempotency-Key"] for call in bench.provider.calls)


def test_a_nudge_for_nothing(bench: Bench) -> None:
    """An id that is not there is no error."""
    bench.deliverer().deliver(str(uuid4()), "r")

    assert [] == bench.provider.calls


@pytest.mark.parametrize("status", ["sent", "dead"])
def test_what_is_at_its_end_is_left_there(bench: Bench, status: str) -> None:
    """No nudge sends again what arrived or is dead."""
    identifier = bench.accept(status=status)

    assert (status, 0, None) == bench.deliver(identifier)
    assert [] == bench.provider.calls


# Leases


def test_while_one_sends_no_other_does(bench: Bench) -> None:
    """A row that is on its way is nobody else's until its lease ends."""
    bench.provider.open.clear()
    identifier = bench.accept()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(bench.deliver, identifier)
        services.until(lambda: bench.provider.calls)
        second = bench.deliver(identifier)
        bench.provider.open.set()

    assert Status.SENDING == second[0]
    assert (Status.SENT, 1, None) == first.result()
    assert 1 == len(bench.provider.calls)


def test_a_lease_is_long_enough_for_a_try(bench: Bench) -> None:
    """It ends when all that a try may wait for has timed out."""
    bench.provider.open.clear()
    identifier = bench.accept()
    with ThreadPoolExecutor() as pool:
        pool.submit(bench.deliver, identifier)
        services.until(lambda: bench.provider.calls)
        [(lease,)] = services.execute(
            bench.environ, "SELECT extract(epoch FROM due_at - now()) FROM notifications"
        )
        bench.provider.open.set()

    assert 0 < float(lease) <= 5 * LEASE_TIMEOUTS


def overtaken(bench: Bench, late: int, meanwhile: Any) -> str:
    """Let one worker's lease end while it sends, do something `meanwhile`, then let the provider answer `late`."""
    bench.provider.open.clear()
    bench.provider.statuses[:] = [late]
    identifier = bench.accept()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(bench.deliver, identifier)
        services.until(lambda: bench.provider.calls)
        bench.set(due_at="now()")
        meanwhile(identifier)
        bench.provider.open.set()
        first.result()
    return identifier


def test_who_comes_late_changes_nothing(bench: Bench) -> None:
    """A worker whose lease ended does not write over what the next one is at."""

    def next_one(identifier: str) -> None:
        bench.set(attempts="2", due_at="now() + interval '1 minute'")

    identifier = overtaken(bench, 400, next_one)

    assert (Status.SENDING, 2, None) == bench.state(identifier)


def test_who_comes_late_after_a_replay_changes_nothing(bench: Bench) -> None:
    """After a replay attempts begin anew: the first try of before is not the first try of now."""

    def replayed_and_claimed(identifier: str) -> None:
        bench.set(status="'sending'", attempts="1", due_at="now() + interval '1 minute'")

    identifier = overtaken(bench, 400, replayed_and_claimed)

    assert (Status.SENDING, 1, None) == bench.state(identifier)


def test_after_the_lease_another_sends(bench: Bench) -> None:
    """What a dead worker had is taken by the next, and counts as a try."""
    identifier = bench.accept(status="sending", attempts=1)

    assert (Status.SENT, 2, None) == bench.deliver(identifier)


def test_what_kills_every_worker_is_given_up(bench: Bench) -> None:
    """A row whose workers all died is dead after the last try, unsent."""
    identifier = bench.accept(status="sending", attempts=3)

    assert (Status.DEAD, "its last try was cut off") == bench.deliver(identifier)[::2]
    assert [] == bench.provider.calls


def test_sent_is_written_down_although_postgres_was_away(bench: Bench) -> None:
    """A connection that breaks during the send is replaced; nothing is sent twice."""
    bench.provider.open.clear()
    identifier = bench.accept()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(bench.deliver, identifier)
        services.until(lambda: bench.provider.calls)
        services.execute(
            bench.environ,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'"
            " AND datname = current_database()",
        )
        bench.provider.open.set()

    assert (Status.SENT, 1, None) == first.result()


def test_the_log_tells_no_content(bench: Bench) -> None:
    """Neither a body nor a whole address is logged, whatever happens."""
    bench.provider.statuses[:] = [201, 500, 400]
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            bench.deliver(bench.accept(body="do-not-tell", to="+14155557777"))

    assert ["sent", "retry", "dead"] == [line["event"] for line in said]
    assert not [word for word in ("do-not-tell", "5557777") if word in str(said)]
