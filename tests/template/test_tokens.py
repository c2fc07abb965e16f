"""The tokens of a list, as the running api takes them."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci import cli
from ci.rotation.providers import Job, generated
from runtime import Secret
from tests import checkouts, services


def token() -> str:
    return secrets.token_urlsafe(24)


@pytest.fixture
def api(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A running api's URL, and its tokens, each of which may ask once in ten seconds."""
    environ = services.environment(services.new_database(postgres_url), services.numbered(redis_url, 9))
    environ |= {"API_TOKENS": f"read:{token()},submit:{token()}", "RATE_PER_SECOND": "0.1"}
    code, said = services.migrate(environ, tmp_path / "migrate.log")
    assert 0 == code, said
    with services.running("api", environ, tmp_path / "api.log") as running:
        yield running.url, environ["API_TOKENS"]


@pytest.mark.server
def test_the_api_is_asked(api: tuple[str, str]) -> None:
    """A list is taken when any of its tokens is, of whatever scope, however often it asked; else it is refused."""
    url, tokens = api
    about, plain = checkouts.schema().keys["API_TOKENS"], {"PUBLIC_BASE_URL": url}
    job = Job("prod", about, plain, Secret(tokens), f"lockstep-{secrets.token_hex(8)}", yes=True)
    new = generated.make(job)
    left = cli.follow(generated.revoke(job, job.old, new))
    submits = Secret(tokens.split(",")[1])

    assert (True, True, True, False) == tuple(generated.admits(job, one) for one in (job.old, submits, new, left))
