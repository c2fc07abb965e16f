"""The runbooks hold: every command in them runs, in a clone or on a swarm, and prints what the page says."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import psycopg
import pytest
import redis
from psycopg import sql

from ci.ground import dotenv
from tests import checkouts, kills, proxies, redises, services, shops, swarms
from tests.checkouts import Clone
from tests.teams import LOCAL, PROD

FOLDER = checkouts.ROOT / "docs/runbooks"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
PARTS = ("**When**", "**You need**", "**It worked when**", "**Undo**")
BLOCK = re.compile(r"(?ms)^( *)```console\n(.*?)^\1```$")
EXAMPLE = " # example"  # a command's first line ends so when it names what is the example product's
# What is at a person's hand: a clipboard, and GitHub, which takes what it is given.
GIVEN = """
xclip() { cat ~/clipboard; }
gh() { cat > ~/given; }
"""
# What the team of a shop types instead of the example's commands, in their order.
SHOP = {
    "add-a-key": [
        "KEY=SUPPORT_EMAIL SERVICE=web ENVIRONMENTS='local prod'",
        "echo 'SUPPORT_EMAIL = os.environ[\"SUPPORT_EMAIL\"]' >> shop/settings.py",
    ],
    "add-a-service": ["ENV=prod"],
    "add-an-environment": [
        "FROM=prod",
        r"""printf '%s\n' \
            "DJANGO_SECRET_KEY=$(new)" \
            "DATABASE_URL=postgres://shop:$(new)@db.qa.internal/shop" \
            "REDIS_URL=redis://:$(new)@redis.qa.internal:6379/0" \
            "STRIPE_SECRET_KEY=sk_test_$(new)" \
            "JWT_PRIVATE_KEY=\"$(openssl genpkey -algorithm ed25519 | awk '{ printf "%s\\n", $0 }')\"" |
            inv encrypt --env=qa""",
        *["true"] * 3,  # this team has no deliver.yml
    ],
    "deploy-hangs": ["ENV=prod"],
    "pipeline-identity": ["ENV=prod KEY=DATABASE_URL"],
    "roll-back": ["ENV=prod"],
    "rotate-a-key": ["ENV=prod KEY=REDIS_URL"],
    "rotate-the-database-password": ["ENV=prod KEY=DATABASE_URL"],
    "secret-committed": ["ENV=prod KEY=DJANGO_SECRET_KEY"],
    "secret-in-chat": ["ENV=prod KEY=DJANGO_SECRET_KEY"],
    "someone-leaves": [
        "ENV=prod BY_HAND='STRIPE_SECRET_KEY\nJWT_PRIVATE_KEY'",
        """echo "sk_test_$(openssl rand -hex 16)" | inv rotate --env=prod --key=STRIPE_SECRET_KEY --commit --yes
openssl genpkey -algorithm ed25519 | inv rotate --env=prod --key=JWT_PRIVATE_KEY --commit --yes""",
    ],
}


def steps(page: str, product: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page, as the team of a product types it, and what it should print."""
    own = iter(SHOP[page] if product == "shop" else ())
    for indent, block in BLOCK.findall((FOLDER / f"{page}.md").read_text()):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        for part in re.split(r"(?m)^\$ ", "\n".join(lines))[1:]:
            first, *rest = part.splitlines()
            count = next((number for number, line in enumerate(rest) if not line.startswith(">")), len(rest))
            more = [line.removeprefix(">").removeprefix(" ") for line in rest[:count]]
            command = "\n".join([first, *more])
            if product == "shop" and first.endswith(EXAMPLE):
                command = next(own)
            yield command, "\n".join(rest[count:]).strip()
    assert [] == list(own)


def pattern(expected: str) -> str:
    """Return an expression for what a page shows: a line of `…` alone is any number of lines."""
    return "".join(
        "(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in expected.splitlines()
    )


@dataclass(frozen=True)
class Scene:
    """The clone of a product's team, a secret of its prod, what changes a plain value there, and its database."""

    clone: Clone
    project: str
    key: str
    tweak: Callable[[], object]
    admin: str = ""

    def commit(self, about: str) -> None:
        """Commit everything."""
        checkouts.git(self.clone.repo.root, "add", "-A")
        checkouts.git(self.clone.repo.root, "commit", "-qm", about)

    def value(self) -> str:
        """Return what prod's secret is now."""
        values, _ = dotenv.parse(self.clone.inv("decrypt", f"--env={PROD}").encode())
        return values[self.key]


@contextmanager
def redis_of_our_own(folder: Path) -> Iterator[str]:
    """Run a Redis, and return its URL."""
    folder.mkdir()
    url = redises.url()
    with redises.running(folder, url):
        yield url


@contextmanager
def platform(folder: Path, postgres_url: str) -> Iterator[Scene]:
    """The example product in dev, staging and prod on a swarm; prod has users of its own at the servers."""
    (folder / "project").mkdir()
    with (
        redis_of_our_own(folder / "redis") as redis_url,
        swarms.project(folder / "project", postgres_url, redis_url) as made,
    ):
        checkouts.named(made.clone.repo.root)
        values, _ = dotenv.parse(made.inv("decrypt", f"--env={PROD}").encode())
        login = user(made.databases[PROD], redis_url)
        values |= {key: as_user(values[key], login) for key in ("DATABASE_URL", "REDIS_URL")}
        with made.sandbox.client() as client:
            key = client.post("/v1/keys", json={"name": "runbooks"}).raise_for_status().json()
        values["SMS_PROVIDER_API_KEY"] = f"{key['id']}:{key['secret']}"
        made.inv("encrypt", f"--env={PROD}", text=dotenv.render(values))
        path = "config/environments.yaml"
        made.write(path, re.sub(r"(api|worker): 2", r"\1: 1", made.read(path)))
        made.commit("users of its own, and one replica")
        made.build()
        made.inv("deploy", "--env=dev")
        made.inv("promote", "--to=staging")
        made.inv("promote", f"--to={PROD}", "--yes")
        yield Scene(made.clone, made.name, "SMS_PROVIDER_API_KEY", lambda: made.tweak(PROD), made.databases[PROD])


@contextmanager
def shop(folder: Path, postgres_url: str) -> Iterator[Scene]:
    """The shop in prod on a swarm, with users of its own at the servers."""
    database = services.new_database(postgres_url)
    (folder / "shop").mkdir()
    with (
        redis_of_our_own(folder / "redis") as redis_url,
        swarms.reachable(postgres_url) as postgres,
        swarms.reachable(redis_url) as at_redis,
    ):
        login = user(database, redis_url)
        moved = proxies.moved(database, postgres), proxies.moved(redis_url, at_redis)
        with shops.shop(folder / "shop", *(as_user(url, login) for url in moved), engine=True) as made:
            checkouts.named(made.team.root)
            made.team.inv("build")
            made.team.inv("deploy", f"--env={PROD}", "--yes")
            yield shop_of(made, database)


def shop_of(made: shops.Shop, admin: str = "") -> Scene:
    """Return the scene of a shop."""

    def tweak() -> None:
        path = made.team.root / f"config/{PROD}.env"
        path.write_text(re.sub(r"(ALLOWED_HOSTS=.*)", r"\1,again.example", path.read_text()))
        made.team.commit("one more name")
        made.team.inv("build")  # this prod follows no other environment, and runs the image of HEAD

    return Scene(made.team.clone, made.team.project, "DJANGO_SECRET_KEY", tweak, admin)


def user(admin: str, redis_url: str) -> str:
    """Make a role that owns a database, and a user of Redis; return `name:password` of both."""
    name, password = f"prod_{secrets.token_hex(3)}", secrets.token_urlsafe()
    with psycopg.connect(admin, autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, role))
    with redis.Redis.from_url(redis_url) as client:
        rights = {"keys": ["*"], "channels": ["*"], "commands": ["+@all"]}
        client.acl_setuser(name, enabled=True, passwords=f"+{password}", **rights)
    return f"{name}:{password}"


def as_user(url: str, login: str) -> str:
    """Return a URL with another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(scope="module")
def on_a_swarm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> Iterator[Scene]:
    """A product whose environments run on a swarm."""
    make = {"example": platform, "shop": shop}[request.param]
    with make(tmp_path_factory.mktemp(request.param), postgres_url) as made:
        yield made


@contextmanager
def clone_of_the_example(folder: Path) -> Iterator[Scene]:
    """A clone after `inv init`."""
    clone = checkouts.clone(folder)
    clone.inv("init", "--name=acme", text=checkouts.answers(clone.repo))
    made = Scene(clone, "acme", "SMTP_PASSWORD", lambda: None)
    made.commit("ours")
    yield made
    if (clone.repo.state_of(LOCAL) / "logs").exists():
        clone.inv("stop", "--purge")


@contextmanager
def clone_of_the_shop(folder: Path) -> Iterator[Scene]:
    """The shop's clone after `inv init`, with what local cannot generate."""
    servers = [f"{kind}://shop:{secrets.token_urlsafe()}@db.internal" for kind in ("postgres", "redis")]
    with shops.shop(folder, f"{servers[0]}:5432/shop", f"{servers[1]}:6379/0", engine=False) as made:
        made.team.inv("set", "--env=local", "--key=STRIPE_SECRET_KEY", text=f"sk_test_{secrets.token_hex(16)}\n")
        made.team.inv("set", "--env=local", "--key=JWT_PRIVATE_KEY", text=made.pem)
        yield shop_of(made)


@pytest.fixture
def in_a_clone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A clone in which nothing was deployed."""
    make = {"example": clone_of_the_example, "shop": clone_of_the_shop}[request.param]
    with make(tmp_path) as made:
        yield made


def as_it_is(_scene: Scene) -> None:
    """Change nothing."""


def committed_secret(scene: Scene) -> None:
    """Commit a note that holds a password."""
    (scene.clone.repo.root / "docs/notes.md").write_text(f"{scene.key}={secrets.token_urlsafe(20)}\n")
    scene.commit("how to do it by hand")


def cut_off(scene: Scene) -> None:
    """Kill a deploy of prod in the midst of it, and have its lock be one of another machine."""
    scene.tweak()
    kills.told(scene.clone, "apply", "deploy", f"--env={PROD}", "--yes")
    configs = docker.from_env().configs
    [held] = configs.list(filters={"name": f"{scene.project}.{PROD}.lock"})
    about: dict[str, Any] = held.attrs["Spec"]
    holder = json.loads(base64.b64decode(about["Data"])) | {"host": "runner-7"}
    held.remove()
    configs.create(name=about["Name"], data=json.dumps(holder).encode(), labels=about["Labels"])


def wrong_values(scene: Scene) -> None:
    """Deploy two releases of prod that nobody wants."""
    for _ in range(2):
        scene.tweak()
        scene.clone.inv("deploy", f"--env={PROD}", "--yes")


def database_admin(scene: Scene) -> None:
    """Have an admin of prod's database among psql's services."""
    url = urlsplit(scene.admin)
    where = f"host={url.hostname}\nport={url.port}\ndbname={url.path[1:]}\nuser={url.username}\n"
    (scene.clone.home / ".pg_service.conf").write_text(f"[admin]\n{where}password={url.password}\n")


def pasted_secret(scene: Scene) -> None:
    """Have a secret of prod in the clipboard."""
    (scene.clone.home / "clipboard").write_text(scene.value())


def somebody(scene: Scene) -> None:
    """Let Anna decrypt prod, whose role at the database may do everything."""
    program, file = scene.clone.repo.tool("age-keygen"), scene.clone.home / "anna.agekey"
    subprocess.run([program, "-o", file], check=True, capture_output=True)
    done = subprocess.run([program, "-y", file], check=True, capture_output=True)
    scene.clone.inv(
        "recipients.add", f"--env={PROD}", f"--recipient={done.stdout.decode().strip()}", "--name=Anna"
    )
    scene.commit("Anna may decrypt prod")
    values, _ = dotenv.parse(scene.clone.inv("decrypt", f"--env={PROD}").encode())
    with psycopg.connect(scene.admin, autocommit=True) as connection:
        role = sql.Identifier(str(urlsplit(values["DATABASE_URL"]).username))
        connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(role))


IN_CLONE = {
    "add-a-key": as_it_is,
    "add-an-environment": as_it_is,
    "pipeline-identity": as_it_is,
    "secret-committed": committed_secret,
}
ON_SWARM = {
    "add-a-service": as_it_is,
    "deploy-hangs": cut_off,
    "roll-back": wrong_values,
    "rotate-a-key": as_it_is,
    "rotate-the-database-password": database_admin,
    "secret-in-chat": pasted_secret,
    "someone-leaves": somebody,
}


@pytest.mark.parametrize("page", IN_CLONE)
@pytest.mark.parametrize("in_a_clone", ["example", "shop"], indirect=True)
def test_a_runbook_in_a_clone(request: pytest.FixtureRequest, page: str, in_a_clone: Scene) -> None:
    """A page that deploys to this machine at most, for the example and for a shop."""
    IN_CLONE[page](in_a_clone)

    follow(page, request.node.callspec.params["in_a_clone"], in_a_clone.clone)


@pytest.mark.engine
@pytest.mark.parametrize("page", ON_SWARM)
@pytest.mark.parametrize("on_a_swarm", ["example", "shop"], indirect=True, scope="module")
def test_a_runbook_on_a_swarm(request: pytest.FixtureRequest, page: str, on_a_swarm: Scene) -> None:
    """A page about what runs, for the example and for a shop."""
    ON_SWARM[page](on_a_swarm)

    follow(page, request.node.callspec.params["on_a_swarm"], on_a_swarm.clone)


def follow(page: str, product: str, clone: Clone) -> None:
    """Run each command in turn, in one shell; it prints what is below it and ends as the page says."""
    mark = secrets.token_hex(8)
    commands = list(steps(page, product))
    script = GIVEN + "".join(f"{command}\ncode=$?; echo; echo {mark} $code\n" for command, _ in commands)
    who = {
        f"GIT_{role}_{what}": "story@lockstep.example"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    programs = f"{Path(sys.executable).parent}:{clone.repo.tools}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=clone.repo.root,
        env={**clone.environ(), **who, "PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,  # one page rotates five secrets, each with a deploy
        check=False,
    )

    printed = re.findall(rf"(?s)(.*?)\n{mark} (\d+)\n", done.stdout)
    assert len(commands) == len(printed) > 0, done.stdout
    for (command, expected), (output, code) in zip(commands, printed, strict=True):
        lines = [*output.strip().splitlines(), *([f"(exit code {code})"] if code != "0" else [])]
        shown = "".join(f"{line}\n" for line in lines)
        assert re.fullmatch(pattern(expected), shown), f"{command}\n--- the page\n{expected}\n--- here\n{shown}"


def test_every_page_is_followed() -> None:
    """No page is left out, and a shop's team has its own commands for each that has the example's."""
    marked = {page for page in PAGES if EXAMPLE in (FOLDER / f"{page}.md").read_text()}

    assert sorted([*IN_CLONE, *ON_SWARM]) == PAGES
    assert marked == set(SHOP)


@pytest.mark.parametrize("page", PAGES)
def test_a_runbook_has_its_parts(page: str) -> None:
    """When, what one needs, how to know that it worked, how to undo it; and the list names it."""
    text = (FOLDER / f"{page}.md").read_text()

    assert [] == [part for part in PARTS if part not in text]
    assert f"({page}.md)" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run(page: str) -> None:
    """No page has a code block that the test above passes over."""
    text = (FOLDER / f"{page}.md").read_text()

    assert text.count("```") == 2 * len(BLOCK.findall(text))
