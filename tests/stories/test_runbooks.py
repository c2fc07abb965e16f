"""The runbooks hold: every command in them runs, in a clone or on a swarm, and prints what the page says."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
from tests import checkouts, kills, redises, swarms
from tests.checkouts import Clone
from tests.swarms import Project

FOLDER = checkouts.ROOT / "docs/runbooks"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
PARTS = ("**When**", "**You need**", "**It worked when**", "**Undo**")
BLOCK = re.compile(r"(?ms)^( *)```console\n(.*?)^\1```$")
# What a person would type, copy or paste: values, made when the page is run; and GitHub, which takes them.
GIVEN = """
new_password() { openssl rand -hex 16; }
pasted() { cat ~/pasted; }
gh() { cat > ~/given; }
secrets_of() {
    for key in DATABASE_URL=postgresql://app:%@db.$1.internal/app REDIS_URL=rediss://:%@redis.$1.internal:6379/0 \\
        API_TOKENS=% SMS_PROVIDER_API_KEY=SK1:% SMTP_PASSWORD=%
    do printf '%s\\n' "$key" | sed "s/%/$(openssl rand -hex 16)/"; done
}
"""


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page, and what it should print."""
    for indent, block in BLOCK.findall((FOLDER / f"{page}.md").read_text()):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        for part in re.split(r"(?m)^\$ ", "\n".join(lines))[1:]:
            first, *rest = part.splitlines()
            count = next((number for number, line in enumerate(rest) if not line.startswith(">")), len(rest))
            more = [line.removeprefix(">").removeprefix(" ") for line in rest[:count]]
            yield "\n".join([first, *more]), "\n".join(rest[count:]).strip()


def pattern(expected: str) -> str:
    """Return an expression for what a page shows: a line of `…` alone is any number of lines."""
    lines = ("(?s:.*)" if line == "…" else re.escape(line).replace("…", ".*") for line in expected.splitlines())
    return "\n".join(lines)


@dataclass(frozen=True)
class Shell:
    """Where a page is run: in a clone, and with what a user's shell holds there."""

    clone: Clone
    environ: Mapping[str, str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Project]:
    """A project that runs in dev, staging and prod, each of which has users of its own at the servers."""
    folder, redis_url = tmp_path_factory.mktemp("runbooks"), redises.url()
    for name in ("redis", "project"):
        (folder / name).mkdir()
    with (
        redises.running(folder / "redis", redis_url),
        swarms.project(folder / "project", postgres_url, redis_url) as made,
    ):
        checkouts.named(made.clone.repo.root)
        for name in swarms.ENVIRONMENTS:
            users(made, name, postgres_url, redis_url)
        path = "config/environments.yaml"
        made.write(path, re.sub(r"(api|worker): 2", r"\1: 1", made.read(path)))
        made.commit("users of its own for each, and one replica")
        made.build()
        made.inv("deploy", "--env=dev")
        made.inv("promote", "--to=staging")
        made.inv("promote", "--to=prod", "--yes")
        yield made


def users(project: Project, name: str, postgres_url: str, redis_url: str) -> None:
    """Give an environment its own role, in dev a superuser, its own user of Redis, and its own key for SMS."""
    user = f"{name}_{secrets.token_hex(3)}"
    values, _ = dotenv.parse(project.inv("decrypt", f"--env={name}").encode())
    for key in ("DATABASE_URL", "REDIS_URL"):
        where = urlsplit(values[key]).netloc.rpartition("@")[2]
        values[key] = urlsplit(values[key])._replace(netloc=f"{user}:{secrets.token_urlsafe()}@{where}").geturl()
    with psycopg.connect(project.databases[name], autocommit=True) as connection:
        words = "CREATE ROLE {} LOGIN PASSWORD {} " + ("SUPERUSER" if name == "dev" else "")
        password = sql.Literal(urlsplit(values["DATABASE_URL"]).password)
        connection.execute(sql.SQL(words).format(sql.Identifier(user), password))
        owner = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        connection.execute(owner.format(sql.Identifier(connection.info.dbname), sql.Identifier(user)))
    with redis.Redis.from_url(redis_url) as client:
        words = str(urlsplit(values["REDIS_URL"]).password)
        client.acl_setuser(
            user, enabled=True, passwords=f"+{words}", keys=["*"], channels=["*"], commands=["+@all"]
        )
    with project.sandbox.client() as client:
        made = client.post("/v1/keys", json={"name": user}).raise_for_status().json()
    values["SMS_PROVIDER_API_KEY"] = f"{made['id']}:{made['secret']}"
    project.inv("encrypt", f"--env={name}", text=dotenv.render(values))


@pytest.fixture
def shell(request: pytest.FixtureRequest, tmp_path: Path, page: str) -> Iterator[Shell]:
    """A clone after `inv init`, or the project on a swarm, in the situation that the page is for."""
    if page in ON_SWARM:
        made = request.getfixturevalue("project")
        ON_SWARM[page](made)
        yield Shell(made.clone, made.clone.environ())
        return
    clone = checkouts.clone(tmp_path)
    clone.inv("init", "--name=acme", text=checkouts.answers(clone.repo))
    checkouts.git(clone.repo.root, "add", "-A", ":!.tools")
    checkouts.git(clone.repo.root, "commit", "-qm", "ours")
    IN_CLONE.get(page, as_it_is)(clone)
    yield Shell(clone, clone.environ())
    if (clone.repo.state_of("local") / "logs").exists():
        clone.inv("stop", "--purge")


def as_it_is(_where: object) -> None:
    """Change nothing."""


def committed_secret(clone: Clone) -> None:
    """Commit a note that holds a password."""
    (clone.repo.root / "docs/notes.md").write_text(f"SMTP_PASSWORD={secrets.token_urlsafe(20)}\n")
    checkouts.git(clone.repo.root, "add", "docs")
    checkouts.git(clone.repo.root, "commit", "-qm", "how to send mail by hand")


def cut_off(project: Project) -> None:
    """Kill a deploy of prod in the midst of it, and have its lock be one of another machine."""
    project.tweak("prod")
    kills.told(project.clone, "apply", "deploy", "--env=prod", "--yes")
    configs = docker.from_env().configs
    [held] = configs.list(filters={"name": f"{project.name}.prod.lock"})
    about: dict[str, Any] = held.attrs["Spec"]
    holder = json.loads(base64.b64decode(about["Data"])) | {"host": "runner-7"}
    held.remove()
    configs.create(name=about["Name"], data=json.dumps(holder).encode(), labels=about["Labels"])


def wrong_values(project: Project) -> None:
    """Deploy two releases of prod that nobody wants."""
    for _ in range(2):
        project.tweak("prod")
        project.inv("deploy", "--env=prod", "--yes")


def database_admin(project: Project) -> None:
    """Have an admin of prod's database among psql's services."""
    url = urlsplit(project.databases["prod"])
    where = f"host={url.hostname}\nport={url.port}\ndbname={url.path[1:]}\nuser={url.username}\n"
    file = project.clone.home / ".pg_service.conf"
    file.write_text(f"[admin]\n{where}password={url.password}\n")


def pasted_secret(project: Project) -> None:
    """Paste prod's key for SMS."""
    values, _ = dotenv.parse(project.inv("decrypt", "--env=prod").encode())
    (project.clone.home / "pasted").write_text(values["SMS_PROVIDER_API_KEY"])


def somebody(project: Project) -> None:
    """Let Anna open dev."""
    program, file = project.clone.repo.tool("age-keygen"), project.clone.home / "anna.agekey"
    subprocess.run([program, "-o", file], check=True, capture_output=True)
    done = subprocess.run([program, "-y", file], check=True, capture_output=True)
    project.inv("recipients.add", "--env=dev", f"--recipient={done.stdout.decode().strip()}", "--name=Anna")
    project.commit("Anna opens dev")


IN_CLONE = {"secret-committed": committed_secret}
ON_SWARM = {
    "add-a-service": as_it_is,
    "deploy-hangs": cut_off,
    "roll-back": wrong_values,
    "rotate-the-database-password": database_admin,
    "rotate-the-sms-key": as_it_is,
    "secret-in-chat": pasted_secret,
    "someone-leaves": somebody,
}


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.engine] if page in ON_SWARM else []) for page in PAGES]
)
def test_a_runbook_does_what_it_says(page: str, shell: Shell) -> None:
    """Each command in turn, in one shell, prints what stands below it and ends as the page says."""
    mark = secrets.token_hex(8)
    told = list(steps(page))
    script = GIVEN + "".join(f"{command}\ncode=$?; echo; echo {mark} $code\n" for command, _ in told)
    who = {
        f"GIT_{role}_{what}": "story@lockstep.example"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    programs = f"{Path(sys.executable).parent}:{shell.clone.repo.tools}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=shell.clone.repo.root,
        env={**shell.environ, **who, "PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )

    printed = re.findall(rf"(?s)(.*?)\n{mark} (\d+)\n", done.stdout)
    assert len(told) == len(printed) > 0
    for (command, expected), (output, code) in zip(told, printed, strict=True):
        shown = output.strip() + (f"\n(exit code {code})" if code != "0" else "")
        assert re.fullmatch(pattern(expected), shown.strip()), (
            f"{command}\n--- the page\n{expected}\n--- here\n{shown}"
        )


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
