"""Another product takes the place of the example, and no file of ci/ or runtime/ is edited for it."""

import re
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

import pytest

from ci.ground import errors
from tests import figures, load, proxies, services, shops, swarms, teams
from tests.load import LONG
from tests.shops import Shop
from tests.teams import LOCAL, PROD, Team

ROUNDS = 10 if LONG else 2


@pytest.fixture
def hello(tmp_path: Path) -> Iterator[Team]:
    """A page for everybody: one service without any key, package, database or job."""
    with teams.team("hello", tmp_path, engine=True) as made:
        yield made


@pytest.mark.engine
def test_a_page_without_a_key(hello: Team) -> None:
    """Python's own server is deployed to this machine and to a swarm, changed, and rolled back."""
    hello.inv("deploy")
    here = hello.ask(LOCAL)
    hello.inv("build")
    hello.inv("deploy", f"--env={PROD}", "--yes")
    first = hello.ask(PROD)
    hello.change("site/index.html", "Hello", "Good morning")
    hello.inv("build")
    hello.inv("deploy", f"--env={PROD}", "--yes")
    second = hello.ask(PROD)
    hello.inv("rollback", f"--env={PROD}", "--yes")

    assert ["<h1>Hello</h1>\n"] * 3 == [here, first, hello.ask(PROD)]
    assert "<h1>Good morning</h1>\n" == second
    assert "" == hello.found()
    assert ["runtime/keys.py"] == hello.edited()


@pytest.fixture
def thumbs(tmp_path: Path) -> Iterator[Team]:
    """Two public services in two images, in two languages, with a secret that both have."""
    with teams.team("thumbs", tmp_path, engine=True) as made:
        yield made


def picture(team: Team, environment: str) -> str:
    """Return the picture that the page of the one service links to, from the other."""
    link = re.search(r'src="([^"]+)"', team.ask(environment))
    assert link
    with pytest.raises(HTTPError, match="403"):
        team.ask(environment, "/node/cat?forged")
    return team.ask(environment, link[1])


@pytest.mark.engine
def test_two_languages_in_two_images(thumbs: Team) -> None:
    """A server of Node's beside one of Python's: both get the same secret, and the proxy leads to them by path."""
    thumbs.inv("deploy")
    here = picture(thumbs, LOCAL)
    thumbs.inv("build")
    thumbs.inv("deploy", f"--env={PROD}")
    first = picture(thumbs, PROD)
    thumbs.change("config/prod.env", "128", "256")
    thumbs.change("thumbs/server.js", "pixels wide", "pixels")
    thumbs.inv("build")
    thumbs.inv("deploy", f"--env={PROD}")
    second = picture(thumbs, PROD)
    thumbs.inv("rollback", f"--env={PROD}")

    assert "cat, 64 pixels wide" == here
    assert ["cat, 128 pixels wide"] * 2 == [first, picture(thumbs, PROD)]
    assert "cat, 256 pixels" == second
    assert "" == thumbs.found()
    assert ["runtime/keys.py"] == thumbs.edited()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """The shop on this machine alone."""
    password = secrets.token_urlsafe()
    database, redis = f"postgres://shop:{password}@db.internal:5432/shop", f"redis://:{password}@db.internal/0"
    with shops.shop(tmp_path, database, redis, engine=False) as made:
        yield made


@pytest.fixture
def on_a_swarm(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Shop]:
    """The shop on a swarm, with a Postgres and a Redis that its containers reach."""
    database = services.new_database(postgres_url)
    with swarms.reachable(postgres_url) as postgres, swarms.reachable(redis_url) as redis:
        servers = proxies.moved(database, postgres), proxies.moved(redis_url, redis)
        with shops.shop(tmp_path, *servers, engine=True) as made:
            yield made


@pytest.mark.server
def test_django_on_this_machine(here: Shop) -> None:
    """Values that only a person can give are asked for before anything starts, and stay; its own page is asked."""
    team = here.team

    refused = team.inv("deploy", code=errors.ConfigurationError.code)
    team.inv("set", "--env=local", "--key=STRIPE_SECRET_KEY", text=f"sk_test_{secrets.token_hex(16)}\n")
    team.inv("set", "--env=local", "--key=JWT_PRIVATE_KEY", text=here.pem)
    team.inv("deploy")
    sold = here.sells(LOCAL, "tea")
    team.inv("set", "--env=local", "--key=SENTRY_DSN", text="https://public@127.0.0.1:9/1\n")
    team.inv("deploy")
    command = ("python", "manage.py", "showmigrations", "orders")
    shown = team.inv("exec", "--env=local", "--service=web", "--", *command)

    assert all(f"inv set --env=local --key={key}" in refused for key in ("STRIPE_SECRET_KEY", "JWT_PRIVATE_KEY"))
    assert b"the shop answers at" in team.clone.printed
    assert "[X] 0001_initial" in shown
    assert sold
    assert here.sells(LOCAL, "milk")
    assert ("tea", True) in here.orders(LOCAL)
    assert "" == team.found()
    assert ["runtime/keys.py"] == team.edited()


@pytest.mark.engine
def test_django_on_a_swarm_under_load(on_a_swarm: Shop) -> None:
    """An unmodified gunicorn, by its own name and as a module of Python's, fails no request of any client."""
    team = on_a_swarm.team
    team.inv("build")
    team.inv("deploy", f"--env={PROD}", "--yes")
    sold = on_a_swarm.sells(PROD, "tea")
    team.change("config/schema.yaml", "command: gunicorn", "command: python -m gunicorn")
    team.inv("build")

    with load.upon(team.url(PROD), "/orders/", HTTPStatus.CREATED) as asked:
        for _ in range(ROUNDS):
            team.inv("deploy", f"--env={PROD}", "--yes")
            team.inv("rollback", f"--env={PROD}", "--yes")

    figures.tell(
        f"a shop: {ROUNDS} deploys, {ROUNDS} rollbacks, {asked.asked} requests, {len(asked.failed)} failed"
    )
    assert sold
    assert on_a_swarm.sells(PROD, "milk")
    assert [] == asked.failed
    assert asked.asked > 100 * ROUNDS
    assert "no drift from release" in team.inv("drift", f"--env={PROD}")
    assert "" == team.found()
    assert ["runtime/keys.py"] == team.edited()


@pytest.mark.server
def test_nox_checks_a_product(here: Shop) -> None:
    """Style, types, secrets, parity and tests: a plain `nox` is green, with the packages that the schema names."""
    assert "" == here.team.run("nox")


def test_nox_checks_a_product_without_code(tmp_path: Path) -> None:
    """It has neither types nor tests, and the rest is green."""
    with teams.team("hello", tmp_path, engine=False) as made:
        assert "" == made.run("nox")
