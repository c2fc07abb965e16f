"""Values that are made here: lists that overlap, and single ones."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ci import cli
from ci.ground import errors, ports
from ci.ground.schema import Key
from ci.rotation.providers import Job, generated
from runtime import Secret
from tests import checkouts

TOKENS = checkouts.schema().keys["API_TOKENS"]


def token() -> str:
    return secrets.token_urlsafe(24)


def job_of(old: str, about: Key = TOKENS, url: str = "") -> Job:
    plain = {"PUBLIC_BASE_URL": url or f"http://127.0.0.1:{ports.free()}"}
    return Job("prod", about, plain, Secret(old), f"lockstep-{secrets.token_hex(8)}", yes=True)


def parts(value: Secret) -> list[tuple[str, str]]:
    """Return scope and token of each."""
    return [(scope, bare) for scope, _, bare in (one.rpartition(":") for one in value.reveal().split(","))]


def test_a_list_holds_new_and_old() -> None:
    """Each new token has the scope of the old one in its place, and the old ones follow, as they are."""
    twice = token()
    old = f"{token()},read:{token()},submit:{token()},read:{twice},submit:{twice}"
    job = job_of(old)

    new = generated.make(job)

    made, kept = parts(new)[:5], new.reveal().split(",", maxsplit=5)[5]
    assert old == kept
    assert ["", "read", "submit", "read", "submit"] == [scope for scope, _ in made]
    assert made[3][1] == made[4][1]
    assert 4 == len({bare for _, bare in made} - {bare for _, bare in parts(job.old)})
    assert None is TOKENS.problem(new.reveal())


def test_revoke_leaves_the_new_ones() -> None:
    """What is to be sealed then has as many tokens as there were; the same is said when it is asked again."""
    job = job_of(f"{token()},read:{token()}")
    new = generated.make(job)

    left = cli.follow(generated.revoke(job, job.old, new))

    assert new.reveal() == f"{left.reveal()},{job.old.reveal()}"
    assert (
        left == cli.follow(generated.revoke(job, job.old, left)) == cli.follow(generated.revoke(job, job.old, new))
    )


def test_the_old_ones_go_when_somebody_says_so() -> None:
    """Those who use a token need time to change, so revoke waits; after a leak it does not."""
    job = replace(job_of(token()), yes=False)
    new = generated.make(job)
    with pytest.raises(errors.NotConfirmedError, match="the old values of API_TOKENS are about to be refused"):
        cli.follow(generated.revoke(job, job.old, new))

    left = cli.follow(generated.revoke(replace(job, leaked=True), job.old, new))

    assert 1 == len(parts(left))
    assert left == cli.follow(generated.revoke(job, job.old, left))


def test_given_up() -> None:
    """The old list is left as it was, whether or not the new one still held it."""
    job = replace(job_of(f"{token()},submit:{token()}"), yes=False)
    new = generated.make(job)
    left = cli.follow(generated.revoke(replace(job, leaked=True), job.old, new))

    assert job.old == cli.follow(generated.revoke(job, new, job.old))
    assert job.old == cli.follow(generated.revoke(job, left, job.old))


def test_a_single_value() -> None:
    """It follows its key's template, holds nothing old, and nobody can be asked about it."""
    key = Key("SIGNING_KEY", {"type": "string"}, {"secret": True, "generate": {"prod": "k_{hex}"}})
    job = replace(job_of("old", key), yes=False)

    new = generated.make(job)

    assert (True, 34) == (new.reveal().startswith("k_"), len(new.reveal()))
    assert new == cli.follow(generated.revoke(job, job.old, new))
    assert None is generated.admits(job, new)


def test_a_value_that_was_made_and_lost() -> None:
    """Nothing knows it, so nothing is taken back; the next one is another."""
    job = job_of(token())
    lost = generated.make(job)
    generated.sweep(job)

    assert lost != generated.make(job)


@pytest.mark.parametrize(
    ("statuses", "valid"),
    [
        ([200], True),
        ([204], True),
        ([403], True),
        ([429], True),
        ([401], False),
        ([401, 403], True),
        ([401, 401], False),
        ([401, 500], None),
        ([302], None),
        ([404], None),
        ([503], None),
    ],
)
def test_the_service_is_asked(statuses: list[int], valid: object) -> None:
    """It accepts a value with 2xx, 403 and 429 and refuses it with 401; every other answer says nothing."""
    tokens = [f"read:{token()}" for _ in statuses]
    with answering(dict(zip(tokens, statuses, strict=True))) as (url, asked):
        job = job_of(",".join(tokens), url=url)

        assert valid is generated.admits(job, job.old)

    assert {"/v1/notifications?limit=1"} == set(asked)


def test_a_single_value_is_asked_for() -> None:
    """A key of one value may name where it is checked, and the value is sent as it is."""
    key = Key("ADMIN_TOKEN", {"type": "string"}, {"secret": True, "checked_at": "{PUBLIC_BASE_URL}/admin"})
    value = f"a,b:{token()}"
    with answering({value: 200}) as (url, asked):
        job = job_of(value, key, url)

        assert (True, None) == (generated.admits(job, job.old), generated.admits(job, Secret("other")))

    assert ["/admin"] * 2 == asked


def test_a_url_that_cannot_be_filled_in() -> None:
    """A key that has no plain value there is named."""
    key = Key("ADMIN_TOKEN", {"type": "string"}, {"secret": True, "checked_at": "{NO_SUCH_KEY}/admin"})
    job = job_of(token(), key)

    with pytest.raises(errors.ConfigurationError, match="checked_at of ADMIN_TOKEN names NO_SUCH_KEY"):
        generated.admits(job, job.old)


@contextmanager
def answering(statuses: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Serve an api that answers each value, without its scope, with its status, and any other with 404."""
    asked: list[str] = []
    bearers = {f"Bearer {value.removeprefix('read:')}": status for value, status in statuses.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(bearers.get(self.headers["Authorization"], 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_silence_is_no_refusal() -> None:
    """An api that cannot be reached from here has not refused anything."""
    job = job_of(token())

    assert None is generated.admits(job, job.old)
