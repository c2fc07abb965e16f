"""Limits: of a token's rate, of requests at once, of what waits unsent, and of a body's time."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from app.destinations import Destinations
from app.limits import LOOK_SECONDS, Rate, Recipients
from app.problems import Problem
from tests import services
from tests.app.asked import EMAIL, PATH, SMS, Api, inside

pytestmark = pytest.mark.server


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Return the status, the title, and when to come back."""
    return answer.status_code, answer.json()["title"], answer.headers["Retry-After"]


# Rate


def test_a_token_that_asks_too_often(api: Api) -> None:
    """It is told when to come back, and nothing is kept; another token is served, and so are machines."""
    with inside(api.environ, RATE_PER_SECOND="0.1") as one:
        answers = [one.post(PATH, json=SMS) for _ in range(2)]
        other = one.get(PATH, headers={"Authorization": f"Bearer {api.tokens[1]}"})
        health = one.get("/healthz")

    assert 202 == answers[0].status_code
    status, title, seconds = told(answers[1])
    assert (429, "this token asks too often") == (status, title)
    assert 0 < int(seconds) <= 10  # less by what the test took
    assert (200, 200) == (other.status_code, health.status_code)
    assert 1 == len(api.rows())


def test_who_comes_back_when_told_is_served(api: Api) -> None:
    """Retry-After is no less than the token has to wait."""
    with inside(api.environ, RATE_PER_SECOND="0.2") as one:
        first, second = (one.get(PATH) for _ in range(2))
        time.sleep(int(second.headers["Retry-After"]))
        again = one.get(PATH)

    assert [200, 429, 200] == [answer.status_code for answer in (first, second, again)]


def test_a_rate_allows_a_burst_and_then_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not used is saved up for two seconds, no longer."""
    now = [0.0]
    monkeypatch.setattr("app.limits.time.monotonic", lambda: now[0])
    rate = Rate(10)

    def taken() -> int:
        count = 0
        try:
            while True:
                rate.take()
                count += 1
        except Problem:
            return count

    counts = []
    for moment in (0, 0, 1, 100):
        now[0] = moment
        counts.append(taken())

    assert [20, 0, 10, 20] == counts


def test_a_refusal_says_after_how_many_seconds_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one request in two seconds the second is told two."""
    monkeypatch.setattr("app.limits.time.monotonic", lambda: 0.0)
    rate = Rate(0.5)
    rate.take()

    with pytest.raises(Problem) as refused:
        rate.take()

    assert refused.value.headers == {"Retry-After": "2"}


def test_a_stranger_uses_up_nobodys_rate(api: Api) -> None:
    """Requests without a good token are refused before they are counted."""
    with inside(api.environ, RATE_PER_SECOND="0.5") as one:
        strangers = [one.get(PATH, headers={"Authorization": "Bearer x"}).status_code for _ in range(5)]
        status = one.get(PATH).status_code

    assert ([401] * 5, 200) == (strangers, status)


# Recipients


def test_a_recipient_that_gets_too_many(api: Api) -> None:
    """It is told when there is room, nothing is kept, and other recipients are served."""
    with inside(api.environ, RECIPIENT_PER_HOUR="2") as one:
        answers = [one.post(PATH, json=SMS | {"body": f"{number}"}) for number in range(3)]
        other = one.post(PATH, json=SMS | {"to": "+14155550124"})
        mail = [one.post(PATH, json=EMAIL | {"to": to}).status_code for to in ("a@b.com", "A@b.com", "a@B.com")]

    assert [202, 202] == [answer.status_code for answer in answers[:2]]
    status, title, seconds = told(answers[2])
    assert (429, "too many for this recipient") == (status, title)
    assert 0 < int(seconds) <= 1800
    assert (202, [202, 202, 429]) == (other.status_code, mail)
    assert 5 == len(api.rows())


def test_a_retry_takes_no_room(api: Api) -> None:
    """What was accepted before is confirmed, and what is refused for another reason counts for nothing."""
    with inside(api.environ, RECIPIENT_PER_HOUR="2") as one:
        statuses = [one.post(PATH, json=SMS | {"idempotency_key": "a"}).status_code for _ in range(3)]
        conflict = one.post(PATH, json=SMS | {"idempotency_key": "a", "body": "other"}).status_code
        invalid = one.post(PATH, json=SMS | {"body": ""}).status_code
        new = [one.post(PATH, json=SMS).status_code for _ in range(2)]
        known = one.post(PATH, json=SMS | {"idempotency_key": "a"}).status_code

    assert ([202] * 3, 409, 422, [202, 429], 202) == (statuses, conflict, invalid, new, known)


def test_a_flood_upon_one_recipient(api: Api) -> None:
    """However many come at once, no more than the limit are kept."""
    with inside(api.environ, RECIPIENT_PER_HOUR="5") as one, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: one.post(PATH, json=SMS).status_code, range(50)))

    assert (5, 45) == (statuses.count(202), statuses.count(429))
    assert 5 == len(api.rows())


def test_what_is_not_kept_takes_no_room(api: Api) -> None:
    """While the database is away nothing is accepted, and nothing used up."""
    recipients = Recipients(1)
    for _ in range(3):
        recipients.take("a")
        recipients.give_back("a")

    recipients.take("a")

    with pytest.raises(Problem):
        recipients.take("a")


def test_a_recipient_has_room_again_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four an hour are four at once, or one in each quarter of it; not more after a long silence."""
    now = [0.0]
    monkeypatch.setattr("app.limits.time.monotonic", lambda: now[0])
    recipients = Recipients(4)

    def taken() -> tuple[int, str]:
        for count in range(10):
            try:
                recipients.take("a")
            except Problem as refused:
                return count, (refused.headers or {})["Retry-After"]
        return 10, ""

    counts = []
    for moment in (0, 0, 899, 900, 2700, 100_000):
        now[0] = moment
        counts.append(taken())

    assert [(4, "900"), (0, "900"), (0, "1"), (1, "900"), (2, "900"), (4, "900")] == counts


def test_recipients_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the one that was sent to longest ago goes first."""
    monkeypatch.setattr("app.limits.MOST_RECIPIENTS", 2)
    recipients = Recipients(1)
    for recipient in ("a", "b", "c", "a"):
        recipients.take(recipient)

    with pytest.raises(Problem):
        recipients.take("c")


# Destinations


NOT_THERE = "the number is not in one of SMS_COUNTRIES"
COSTLY = "the number may cost more than a phone's"


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("+25292345678", NOT_THERE),
        ("+882160000000", NOT_THERE),  # a satellite's
        ("+979123456789", NOT_THERE),  # of no country, at a premium
        ("+18765550123", NOT_THERE),  # Jamaica has the United States' code
        ("+77011234567", NOT_THERE),
        ("+10000000000", NOT_THERE),  # in no plan
        ("+19005550199", COSTLY),
        ("+491371234567", COSTLY),
    ],
)
def test_a_number_that_sms_may_not_go_to(api: Api, number: str, what: str) -> None:
    """Other countries, numbers of none, and those that cost their caller more are refused, and nothing is kept."""
    answer = api.client.post(PATH, json=SMS | {"to": number})

    assert (422, [{"where": "body.to", "what": what}]) == (answer.status_code, answer.json()["problems"])
    assert number not in answer.text
    assert [] == api.rows()


def test_countries_are_what_the_key_says(api: Api) -> None:
    """One more country in SMS_COUNTRIES is served, and e-mail goes anywhere."""
    with inside(api.environ, SMS_COUNTRIES="JM,KZ") as one:
        jamaica, kazakhstan, states = (
            one.post(PATH, json=SMS | {"to": to}).status_code for to in ("+18765550123", "+77011234567", SMS["to"])
        )
        mail = one.post(PATH, json=EMAIL).status_code

    assert (202, 202, 422, 202) == (jamaica, kazakhstan, states, mail)


def test_a_country_that_does_not_exist() -> None:
    """An api does not start with one: all its SMS there would be refused."""
    with pytest.raises(ValueError, match="SMS_COUNTRIES names UK, which is not a country"):
        Destinations("GB,UK")


# Backlog


def test_a_full_backlog(api: Api) -> None:
    """What goes beyond BACKLOG_MAX is not accepted; what was accepted before is still confirmed."""
    with inside(api.environ, BACKLOG_MAX="2") as one:
        first = one.post(PATH, json=SMS | {"idempotency_key": "a"})
        one.post(PATH, json=SMS)
        refused = one.post(PATH, json=SMS | {"idempotency_key": "b"})
        confirmed = one.post(PATH, json=SMS | {"idempotency_key": "a"})

    assert (503, "too many wait to be sent", "5") == told(refused)
    assert (202, first.json()["id"]) == (confirmed.status_code, confirmed.json()["id"])
    assert 2 == len(api.rows())


@pytest.mark.parametrize("status", ["sent", "dead"])
def test_a_backlog_that_drains(api: Api, status: str) -> None:
    """A second after some are at their end, there is room again."""
    with inside(api.environ, BACKLOG_MAX="1") as one:
        before = [one.post(PATH, json=SMS).status_code for _ in range(2)]
        services.execute(api.environ, f"UPDATE notifications SET status = '{status}'")
        time.sleep(LOOK_SECONDS)
        after = one.post(PATH, json=SMS).status_code

    assert ([202, 503], 202) == (before, after)


def test_a_full_backlog_refuses_a_replay(api: Api) -> None:
    """A dead one stays dead, and can be replayed later."""
    dead, _ = api.submit()["id"], services.execute(api.environ, "UPDATE notifications SET status = 'dead'")
    api.submit()
    with inside(api.environ, BACKLOG_MAX="1") as one:
        answer = one.post(f"{PATH}/{dead}/replay")

    assert (503, "too many wait to be sent", "5") == told(answer)
    assert [("dead",), ("queued",)] == api.rows("status")


def test_what_another_replica_accepted_counts(api: Api) -> None:
    """The backlog is that of the database, not of one process."""
    api.submit()
    with inside(api.environ, BACKLOG_MAX="1") as one:
        status = one.post(PATH, json=SMS).status_code

    assert 503 == status


# Requests at once


def test_more_at_once_than_the_api_may_work_on(api: Api) -> None:
    """While the database holds up API_CONCURRENCY requests, the next is refused at once, and health answers."""
    with (
        inside(api.environ, API_CONCURRENCY="1") as one,
        psycopg.connect(api.environ["DATABASE_URL"]) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute("LOCK TABLE notifications")
        held = pool.submit(one.post, PATH, json=SMS)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        services.until(lambda: services.execute(api.environ, waiting) != [(0,)])
        refused, health = one.post(PATH, json=SMS), one.get("/healthz")
        other.rollback()
        status = held.result().status_code
        after = one.post(PATH, json=SMS).status_code

    assert (503, "too many requests at once", "5") == told(refused)
    assert (200, 202, 202) == (health.status_code, status, after)
    assert 2 == len(api.rows())


def test_a_flood(api: Api) -> None:
    """Every request of many is answered; what got a 202 is kept, what got a 503 is not."""
    with inside(api.environ, API_CONCURRENCY="2") as one, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: one.post(PATH, json=SMS).status_code, range(100)))

    assert {202, 503} == set(statuses)
    assert statuses.count(202) == len(api.rows())


def test_a_body_that_comes_too_slowly(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who announces a body and does not send it is cut off."""
    monkeypatch.setattr("app.requests.BODY_SECONDS", 0.2)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.tokens[0]}\r\n"
    with inside(api.environ) as one:
        port = one.base_url.port
        with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())
            with connection.makefile("rb") as answer:
                text = answer.read()

    assert text.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come in time" in text
