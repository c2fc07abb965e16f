import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.gates import parity
from ci.gates.parity import matrix, report, values
from ci.ground.errors import GateError, LockstepError, NoIdentityError
from ci.ground.repo import Repo
from ci.sealing import edit
from config import Secret, generate
from tests import checkouts
from tests.config.test_documents import BOMBS

Change = Callable[[Repo], object]
COPIED = ("app", "worker", "model", "docs", ".github")
WORKFLOW = ".github/workflows/deliver.yml"
SPARE: dict[str, object] = {
    "type": "string",
    "meta": {"services": ["api"], "description": "a spare", "example": "one"},
}
DEPLOYS = """
jobs:
  deliver:
    environment: ${{ matrix.environment }}
    strategy: {matrix: {environment: [dev, staging, prod]}}
    steps:
      - run: ./run inv deploy --env=dev --yes
      - run: ./run inv promote --to staging --yes
      - run: ./run inv promote --to=prod --yes
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        yield made(tmp_path_factory.mktemp("template") / "repo")


def made(folder: Path) -> Path:
    """Return a checkout after `inv init`, with the services and everything else that parity looks at."""
    root = checkouts.initialised(folder).root
    for name in COPIED:
        shutil.copytree(checkouts.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkouts.ROOT / "config/keys.py", root / "config")
    return root


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")


def rules(repo: Repo) -> set[str]:
    return {one.rule.removeprefix("parity/") for one in parity.check(repo)}


def file(place: str, content: str | bytes) -> Change:
    """Return what writes a file."""

    def apply(repo: Repo) -> None:
        path = repo.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return apply


def swap(place: str, pattern: str, new: str) -> Change:
    """Return what replaces the first match of an expression in a file."""

    def apply(repo: Repo) -> None:
        path = repo.root / place
        before = path.read_text()
        after = re.sub(pattern, lambda _: new, before, count=1, flags=re.MULTILINE)
        assert before != after
        path.write_bytes(after.encode())

    return apply


def put(key: str, value: str, name: str = "prod") -> Change:
    """Return what gives a plain key another value."""
    return swap(f"config/{name}.env", rf"^{key}=.*$", f"{key}={value}")


def line(text: str, name: str = "dev") -> Change:
    """Return what adds a line to a plain file."""
    return lambda repo: file(f"config/{name}.env", repo.plain(name).read_text() + f"{text}\n")(repo)


def remove(place: str) -> Change:
    return lambda repo: (repo.root / place).unlink()


def schema(change: Callable[[dict[str, dict[str, object]]], object]) -> Change:
    """Return what changes the schema's keys, and makes anew what is generated from it."""

    def apply(repo: Repo) -> None:
        path = repo.root / "config/schema.yaml"
        document = yaml.safe_load(path.read_text())
        change(document["keys"])
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        fresh = Repo(repo.root).schema
        for place, make in generate.FILES.items():
            (repo.root / place).write_text(make(fresh))

    return apply


def meta(key: str, **about: object) -> Change:
    return schema(lambda keys: keys[key]["meta"].update(about))  # type: ignore[attr-defined]


def code(text: str, place: str = "worker/more.py") -> Change:
    return file(place, text)


def workflow(text: str) -> Change:
    return file(WORKFLOW, text)


def both(*changes: Change) -> Change:
    return lambda repo: [change(repo) for change in changes]


def everywhere(change: Callable[[str], Change]) -> Change:
    return both(*(change(name) for name in ("local", "dev", "staging", "prod")))


def new_environment(repo: Repo) -> None:
    """Add an environment in each place that one must be in."""
    swap("config/environments.yaml", r"\Z", "  qa:\n    engine: swarm\n")(repo)
    text = (repo.root / "config/dev.env").read_text().replace("ENVIRONMENT=dev", "ENVIRONMENT=qa")
    (repo.root / "config/qa.env").write_text(text.replace(".dev.", ".qa."))
    shutil.copy(repo.sealed("dev"), repo.sealed("qa"))
    rule = "  - path_regex: ^secrets/qa\\.enc\\.env$\n    age: []\n"
    (repo.root / ".sops.yaml").write_text((repo.root / ".sops.yaml").read_text() + rule)


BAD: list[tuple[str, Change]] = [
    # a key that an environment lacks
    *(("missing", swap(f"config/{name}.env", r"^SMTP_HOST=.*\n", "")) for name in ("local", "dev", "prod")),
    ("missing", swap("config/prod.env", r"^LOG_LEVEL=.*\n", "")),  # has a default, and dev sets it
    ("missing", swap("config/prod.env", r"^SMTP_HOST=", "#SMTP_HOST=")),
    *(("missing", swap(f"secrets/{name}.enc.env", r"^REDIS_URL=.*\n", "")) for name in ("dev", "prod")),
    (
        "missing",
        both(
            schema(lambda keys: keys.update(SPARE=SPARE)),
            code("def f(config): return config.spare\n", "app/more.py"),
        ),
    ),
    # a key that the schema lacks
    ("extra", line("SMTP_HSOT=smtp.acme.example")),
    ("extra", line("NEW_KEY=1", "prod")),
    ("extra", line("SMTP_HOST_=smtp", "local")),
    ("extra", swap("secrets/dev.enc.env", r"\A", "OLD_TOKEN=ENC[AES256_GCM,data:eA==,type:str]\n")),
    ("extra", swap("secrets/prod.enc.env", r"\A", "smtp_password=ENC[AES256_GCM,data:eA==,type:str]\n")),
    # in the wrong file
    *(
        ("secret-in-plain", line(f"SMTP_PASSWORD={secrets.token_hex()}", name))
        for name in ("local", "dev", "prod")
    ),
    ("secret-in-plain", line(f"API_TOKENS={secrets.token_urlsafe(24)}", "staging")),
    ("plain-in-sealed", swap("secrets/dev.enc.env", r"\A", "LOG_LEVEL=ENC[AES256_GCM,data:eA==,type:str]\n")),
    ("plain-in-sealed", swap("secrets/prod.enc.env", r"\A", "SMTP_HOST=smtp.acme.example\n")),
    # twice
    ("duplicate", line("LOG_LEVEL=info")),
    ("duplicate", line("LOG_LEVEL=debug", "prod")),
    ("duplicate", swap("secrets/dev.enc.env", r"^(REDIS_URL=.*)$", "REDIS_URL=ENC[a]\nREDIS_URL=ENC[b]")),
    # a value that the schema refuses
    ("value", put("SMTP_PORT", "http")),
    ("value", put("SMTP_PORT", "0")),
    ("value", put("SMTP_PORT", "70000")),
    ("value", put("SMTP_PORT", "5_87")),
    ("value", put("DATABASE_POOL_SIZE", "1e3")),
    ("value", put("DATABASE_TIMEOUT_SECONDS", "5s")),
    ("value", put("DATABASE_TIMEOUT_SECONDS", "nan")),
    ("value", put("LOG_LEVEL", "INFO")),
    ("value", put("LOG_LEVEL", "verbose", "dev")),
    ("value", put("SMTP_TLS", "none")),
    ("value", put("PUBLIC_BASE_URL", "notify.acme.example")),
    ("value", put("PUBLIC_BASE_URL", "ftp://notify.acme.example")),
    ("value", put("PUBLIC_BASE_URL", "https://")),
    ("value", put("SMS_PROVIDER_URL", "https//api.twilio.com", "staging")),
    ("value", put("SMS_SENDER", "+0049123")),
    ("value", put("SMS_SENDER", "a name that is too long")),
    ("value", put("SMTP_SENDER", "nobody")),
    ("value", put("WORKER_CONCURRENCY", "true", "local")),
    # empty
    ("empty", put("SMTP_HOST", "")),
    ("empty", put("LOG_LEVEL", "", "local")),
    # only a placeholder
    *(
        ("placeholder", put("SMTP_HOST", value))
        for value in ("CHANGEME", "changeme.acme.example", "TODO", "tbd", "your-mail-server", "xxxxxxxx", "none")
    ),
    *(
        ("placeholder", put("SMTP_USERNAME", value))
        for value in (
            "<user>",
            "${SMTP_USER}",
            "{{ smtp_user }}",
            "$SMTP_USER",
            "$(cat user)",
            "replace-me",
            "...",
        )
    ),
    ("placeholder", put("PUBLIC_BASE_URL", "https://<host>/")),
    ("placeholder", put("PUBLIC_BASE_URL", "https://your-domain.com")),
    ("placeholder", put("SMS_PROVIDER_ACCOUNT", "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "staging")),
    ("placeholder", put("SMTP_SENDER", "todo@acme.example", "dev")),
    # a line that is read differently
    ("line", put("LOG_LEVEL", '"info"')),
    ("line", put("LOG_LEVEL", "'info'")),
    ("line", put("LOG_LEVEL", "info # quiet")),
    ("line", put("LOG_LEVEL", " info")),
    ("line", put("LOG_LEVEL", "info ")),
    ("line", put("LOG_LEVEL", "info\r")),
    ("line", put("SMTP_USERNAME", r"notify\nagain")),
    ("line", put("SMTP_USERNAME", "notify\x00")),
    ("line", line("  # indented")),
    ("line", line("   ")),
    ("line", line("log_format=json")),
    ("line", line("LOG-FORMAT=json")),
    ("line", line("some words")),
    ("line", line("SOMETHING")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "export LOG_LEVEL=")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "LOG_LEVEL =")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "LOG_LEVEL: ")),
    (
        "line",
        lambda repo: repo.plain("dev").write_bytes(
            b"\xef\xbb\xbfENVIRONMENT=dev\n" + repo.plain("dev").read_bytes()
        ),
    ),
    ("line", lambda repo: repo.plain("dev").write_bytes(repo.plain("dev").read_bytes() + b"# \xff\n")),
    ("line", lambda repo: repo.plain("dev").write_bytes(repo.plain("dev").read_bytes().replace(b"\n", b"\r\n"))),
    ("line", lambda repo: repo.plain("dev").write_text(repo.plain("dev").read_text(), encoding="utf-16")),
    # an environment that is not everywhere
    ("environment", remove("config/prod.env")),
    ("environment", remove("config/local.env")),
    ("environment", remove("secrets/staging.enc.env")),
    ("environment", file("config/qa.env", "ENVIRONMENT=qa\n")),
    ("environment", lambda repo: shutil.copy(repo.sealed("dev"), repo.sealed("qa"))),
    ("environment", lambda repo: shutil.copy(repo.sealed("dev"), repo.root / "secrets/local.enc.env")),
    ("environment", swap("config/environments.yaml", r"^  prod:\n(    .*\n)+", "")),
    ("environment", swap("config/environments.yaml", r"\Z", "  qa:\n    engine: swarm\n")),
    ("environment", swap(".sops.yaml", r"secrets/dev", "secrets/qa")),
    ("environment", swap(".sops.yaml", r"  - path_regex: \^secrets/dev.*\n    age:\n.*\n", "")),
    ("environment", remove(".sops.yaml")),
    ("environment", workflow(DEPLOYS.replace("--to=prod", "--to=prd"))),
    ("environment", workflow(DEPLOYS.replace("[dev, staging, prod]", "[dev, staging, production]"))),
    ("environment", workflow("jobs: {a: {environment: prodution}}")),
    ("environment", workflow("jobs: {a: {environment: {name: live, url: 'https://x'}}}")),
    ("environment", workflow("jobs: {a: {steps: [{run: './run inv deploy --env dev'}]}}")),
    ("environment", both(workflow(DEPLOYS), new_environment)),
    (
        "environment",
        workflow(f"on: {{workflow_dispatch: {{inputs: {{environment: {{options: [dev, qa]}}}}}}}}\n{DEPLOYS}"),
    ),
    # what schema.yaml says about all environments together
    ("same-everywhere", meta("LOG_FORMAT", same_everywhere=True)),  # text in local
    (
        "same-everywhere",
        both(put("SMTP_PORT", "25"), put("SMTP_PORT", "587", "local"), meta("SMTP_PORT", same_everywhere=True)),
    ),
    ("differs-everywhere", put("ENVIRONMENT", "staging")),
    ("differs-everywhere", put("ENVIRONMENT", "prod", "dev")),
    ("differs-everywhere", put("PUBLIC_BASE_URL", "https://notify.dev.lockstep.example", "staging")),
    ("differs-everywhere", meta("SMS_SENDER", differs_everywhere=True)),
    # prod that points elsewhere
    *(
        ("foreign-host", put("SMTP_HOST", value))
        for value in (
            "smtp.staging.lockstep.example",
            "smtp-dev.acme.example",
            "dev-smtp.internal",
            "stage.acme.example",
            "smtp.development.acme.example",
            "SMTP.Staging.acme.example",
            "notify.dev.lockstep.example",
        )
    ),
    ("foreign-host", put("PUBLIC_BASE_URL", "https://notify.staging.acme.example:8443/x")),
    ("foreign-host", put("SMS_PROVIDER_URL", "https://sandbox.dev.acme.example")),
    ("foreign-host", put("SMTP_SENDER", "notify@staging.acme.example")),
    (
        "foreign-host",
        both(put("PUBLIC_BASE_URL", "https://n7.acme.example", "dev"), put("SMTP_HOST", "n7.acme.example")),
    ),
    *(
        ("localhost", put("SMTP_HOST", value))
        for value in ("localhost", "127.0.0.1", "127.1.2.3", "LOCALHOST", "localhost.localdomain")
    ),
    ("localhost", put("SMS_PROVIDER_URL", "http://localhost:8010")),
    ("localhost", put("SMS_PROVIDER_URL", "http://[::1]:8010")),
    ("localhost", put("SMS_PROVIDER_URL", "http://host.docker.internal:8010")),
    # the environment read past the loader
    *(
        ("environ-read", code(text))
        for text in (
            "import os\nHOST = os.environ['SMTP_HOST']\n",
            "import os\nHOST = os.getenv('SMTP_HOST', 'x')\n",
            "import os as o\nHOST = o.environ.get('X')\n",
            "from os import environ\n",
            "from os import getenv as g\nHOST = g('X')\n",
            "from os import *\n",
            "def f():\n    import os\n    return os.environ\n",
            "import os\nHOST = os.environb[b'X']\n",
            "import os\nHOST = getattr(os, 'environ')['X']\n",
            "HOST = __import__('os').environ['X']\n",
            "import importlib\nimportlib.import_module('dotenv').load_dotenv()\n",
            "from dotenv import load_dotenv\n",
            "import dotenv\n",
            "import environs\n",
            "from pydantic_settings import BaseSettings\n",
            "from starlette.config import Config as C\n",
            "from posix import environ\n",
            "TEXT = open('.env').read()\n",
            "TEXT = open('config/prod.env').read()\n",
            "TEXT = open('/proc/self/environ').read()\n",
        )
    ),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "app/more.py")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "model/more.py")),
    ("environ-read", code("import os\nHOST = os.environ['X']\n", "app/deep/er/more.py")),
    # keys and those who read them
    ("unread", swap("worker/mail.py", r"config\.smtp_host", "'mail'")),
    (
        "unread",
        both(everywhere(lambda name: line("SPARE=one", name)), schema(lambda keys: keys.update(SPARE=SPARE))),
    ),
    ("unlisted", code("def f(config):\n    return config.smtp_host\n", "app/more.py")),
    ("unlisted", code("import config\nHOST = config.load('api').smtp_host\n", "app/more.py")),
    ("unlisted", code("from config import load\nmine = load('api')\nHOST = mine.smtp_host\n", "app/more.py")),
    ("unlisted", code("from config import Config\ndef f(c: Config): return c.smtp_host\n", "app/more.py")),
    ("unlisted", code("class A:\n    def f(self): return self._config.smtp_password\n", "app/more.py")),
    ("unlisted", code("def f(settings):\n    return getattr(settings, 'api_tokens')\n")),
    ("unlisted", meta("SMTP_HOST", services=["api"])),
    # a key that something else sets
    *(
        ("set-elsewhere", file("Dockerfile", f"FROM scratch\n{text}\n"))
        for text in (
            "ENV LOG_LEVEL=debug",
            "ENV LOG_LEVEL debug",
            "ENV A=1 \\\n    LOG_LEVEL=debug",
            'ENV A="1" LOG_LEVEL=debug',
            "ARG LOG_LEVEL=debug",
            "ENV DATABASE_URL=$DATABASE_URL",
            'CMD ["env", "LOG_LEVEL=debug", "python"]',
            'ENV A="#1" LOG_LEVEL=debug',
            'ENV A="a # b" LOG_LEVEL=debug',
            "CMD LOG_LEVEL=debug python -m app",
        )
    ),
    ("set-elsewhere", file("docker/api.Dockerfile", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    ("set-elsewhere", file("Dockerfile.dev", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    ("set-elsewhere", file("Containerfile", "FROM scratch\nENV LOG_LEVEL=debug\n")),
    *(
        ("set-elsewhere", workflow(text))
        for text in (
            "env:\n  LOG_LEVEL: debug\n",
            "env: {LOG_LEVEL: debug}\n",
            "jobs: {a: {env: {SMTP_PASSWORD: '${{ secrets.SMTP_PASSWORD }}'}}}\n",
            "jobs: {a: {steps: [{run: LOG_LEVEL=debug ./run inv deploy}]}}\n",
            'jobs:\n  a:\n    steps:\n      - run: echo "LOG_LEVEL=debug" >> $GITHUB_ENV\n',
            "jobs:\n  a:\n    steps:\n      - run: export LOG_LEVEL=debug\n",
        )
    ),
    *(
        ("set-elsewhere", file(place, text))
        for place, text in (
            ("compose.yaml", "services: {api: {environment: {LOG_LEVEL: debug}}}\n"),
            ("docker-compose.yml", "services:\n  api:\n    environment:\n      LOG_LEVEL: debug\n"),
            ("docker-compose.prod.yml", "services:\n  api:\n    environment:\n      - LOG_LEVEL=debug\n"),
            ("deploy/compose.yml", "services:\n  api:\n    environment:\n      - LOG_LEVEL\n"),
            ("compose.yml", "x-env: &env\n  'LOG_LEVEL': debug\n"),
            ("stack.yml", 'services: {api: {environment: ["LOG_LEVEL=debug"]}}\n'),
        )
    ),
    ("set-elsewhere", file(".github/actions/deploy/action.yml", "runs: {env: {LOG_LEVEL: debug}}\n")),
    # what is generated
    ("stale", remove("docs/keys.md")),
    ("stale", swap("docs/keys.md", r"the mail server's port", "a port")),
    ("stale", swap("config/keys.py", r"    smtp_port: int\n", "")),
    ("stale", swap("config/schema.yaml", r"the mail server's port", "a port")),
]

GOOD: list[Change] = [
    lambda repo: None,
    # the shape is the same, the values are not
    put("LOG_LEVEL", "debug"),
    put("SMTP_PORT", "465"),
    put("DATABASE_TIMEOUT_SECONDS", "2.5"),
    put("SMTP_USERNAME", "Some One+tag@acme.example"),
    put("SMTP_USERNAME", "p#q"),
    put("SMTP_USERNAME", "a=b==c"),
    put("SMTP_USERNAME", "ü"),
    put("SMTP_USERNAME", "$5 a day"),
    put("SMTP_USERNAME", "100%"),
    put("SMTP_USERNAME", "changes.mexico"),
    put("SMTP_USERNAME", "nonetheless"),
    put("SMS_SENDER", "Acme Corp"),
    line('# a comment, with an = and a "quote"'),
    line(""),
    lambda repo: repo.plain("dev").write_text(repo.plain("dev").read_text().rstrip("\n")),
    lambda repo: repo.plain("dev").write_text("\n".join(sorted(repo.plain("dev").read_text().split("\n"))) + "\n"),
    everywhere(lambda name: swap(f"config/{name}.env", r"^LOG_LEVEL=.*\n", "")),  # the default, in all of them
    # what schema.yaml allows
    schema(lambda keys: keys["SMTP_TLS"].update(allowed=["none", "starttls", "off"])),
    both(
        schema(lambda keys: keys["SMTP_TLS"].update(allowed=["none", "starttls", "off"])),
        put("SMTP_TLS", "none"),
    ),
    meta("SMS_PROVIDER", differs_everywhere=False),
    both(put("LOG_FORMAT", "json", "local"), meta("LOG_FORMAT", same_everywhere=True)),
    # hosts that are everybody's, or prod's own, or only look like another's
    *(
        put("SMTP_HOST", value)
        for value in (
            "smtp.prod.acme.example",
            "smtp.acme.dev",
            "prod-smtp.dev.acme.example",
            "smtp.devices.example",
            "stagingarea.example",
            "mail.local",
            "smtp.localhost-mail.example",
            "10.127.0.1",
            "1127.0.0.1",
            "backstage.acme.example",
        )
    ),
    put("SMS_PROVIDER_URL", "https://api.twilio.com/dev/staging"),
    put("SMTP_USERNAME", "dev"),
    put("SMTP_HOST", "localhost", "dev"),
    put("SMTP_HOST", "smtp.staging.lockstep.example", "dev"),
    put("SMTP_HOST", "smtp.prod.lockstep.example", "staging"),
    # an environment that is everywhere; workflows that deploy all, or none
    both(workflow(DEPLOYS.replace("prod]", "prod, qa]")), new_environment),
    workflow(DEPLOYS),
    # aliases, each looked at once, however many ways lead there
    *[workflow(DEPLOYS + BOMBS[name]) for name in ("billion laughs", "merged laughs", "itself")],
    workflow(f"{DEPLOYS}more: &more {{environment: {{name: *more}}}}\n"),
    workflow(
        f"{DEPLOYS.replace('[dev, staging, prod]', '[dev]')}      - run: inv drift --env=${{{{ inputs.name }}}}\n"
    ),
    workflow("jobs: {pages: {environment: github-pages}}\n"),
    workflow("jobs: {a: {steps: [{run: 'docker run --env dev image'}]}}\n"),
    workflow("jobs: {a: {environment: '${{ inputs.environment }}'}}\n"),
    file(".github/dependabot.yml", "updates: [{package-ecosystem: pip}]\n"),
    swap(".sops.yaml", r"\A", "# path_regex: ^secrets/old\\.enc\\.env$\n"),
    # code that reads no environment
    code("import os\nPATH = os.path.join('a', 'b')\nPID = os.getpid()\n"),
    code('"""Reads no os.environ and no .env file."""\n'),
    code("environ = {}\nHOST = environ.get('X')\n"),
    code("def f(request):\n    return request.environ\n"),
    code("from config import load\nHOST = load('worker').smtp_host\n"),
    code("def f(config):\n    return config.database_url\n", "app/more.py"),
    code("class Row:\n    environment = 'x'\ndef f(row):\n    return row.smtp_host\n", "app/more.py"),
    code("def f(config):\n    return config.smtp_host\n", "model/more.py"),
    file("tools/script.py", "import os\nprint(os.environ)\n"),
    # files that set nothing of ours
    file("Dockerfile", "FROM scratch\n# ENV LOG_LEVEL=debug\nENV PYTHONUNBUFFERED=1\nARG BASE\n"),
    file("Dockerfile", "FROM scratch\nENV MY_LOG_LEVEL=debug LOG_LEVELS=1\n"),
    file("compose.yml", "services: {db: {environment: {POSTGRES_DB: lockstep}}}\n"),
    file("docs/compose.md", "LOG_LEVEL: debug\n"),
    workflow("env:\n  SESSION: tests # not LOG_LEVEL: debug\n"),
    file("app/settings.toml", "LOG_LEVEL = 'debug'\n"),
]


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_what_is_wrong_is_found_by_its_rule(repo: Repo, rule: str, change: Change) -> None:
    """The rule that is meant is found, and no other."""
    change(repo)

    assert {rule} == rules(repo)


@pytest.mark.parametrize("change", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_what_is_right_is_left_alone(repo: Repo, change: Change) -> None:
    """No honest change is stopped."""
    change(repo)

    assert set() == rules(repo)


def test_every_rule_has_a_bad_checkout() -> None:
    """A rule that nothing trips would be a promise without proof; the one of --sealed is below."""
    tripped = {rule for rule, _ in BAD} | {"shared-secret"}

    assert {one.id.removeprefix("parity/") for one in parity.RULES} == tripped


def test_a_finding_tells_place_line_key_and_the_cure(repo: Repo) -> None:
    """A person can act on it without reading anything else, and sees no value."""
    put("SMTP_PORT", "seven-times-seven")(repo)

    (found,) = parity.check(repo)

    number = repo.plain("prod").read_text().split("\n").index("SMTP_PORT=seven-times-seven") + 1
    assert ("config/prod.env", number, "SMTP_PORT") == (found.place, found.line, found.key)
    assert "correct it in config/prod.env; config/schema.yaml says what it may be" == found.hint
    assert "seven" not in repr(found)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (swap("config/prod.env", r"^SMTP_HOST=.*\n", ""), "add SMTP_HOST=value to config/prod.env; docs/keys.md"),
        (swap("secrets/dev.enc.env", r"^REDIS_URL=.*\n", ""), "inv set --env=dev --key=REDIS_URL"),
        (remove("docs/keys.md"), "python -m config.generate"),
    ],
)
def test_the_cure_is_the_commands_own(repo: Repo, change: Change, hint: str) -> None:
    """Environment and key are written into it."""
    change(repo)

    (found,) = parity.check(repo)

    assert found.hint.startswith(hint)


@pytest.mark.parametrize("place", ["config/prod.env", "secrets/dev.enc.env", "compose.yaml"])
def test_no_finding_holds_a_value(repo: Repo, place: str) -> None:
    """Whatever stands in a file, findings repeat only names."""
    canary = secrets.token_hex(8)
    file(place, "".join(f"{key}: {canary}\n{key}={canary}\n{key}='{canary}\n" for key in repo.schema.keys))(repo)

    found = parity.check(repo)

    assert found
    assert canary not in repr(found)


def no_services(repo: Repo) -> None:
    for name in ("app", "worker", "model"):
        shutil.rmtree(repo.root / name)


def folder(place: str) -> Change:
    return both(remove(place), lambda repo: (repo.root / place).mkdir())


@pytest.mark.parametrize(
    "change",
    [
        no_services,
        code("def f(:\n"),
        code("\0"),
        remove("config/schema.yaml"),
        file("config/schema.yaml", "services: {}\nkeys: {}\n"),
        swap("config/schema.yaml", r"type: integer", "type: intege"),
        remove("config/environments.yaml"),
        file("config/environments.yaml", "project: acme\nenvironments: {}\n"),
        folder("config/prod.env"),
        folder("secrets/prod.enc.env"),
        workflow("a: [\n"),
        workflow("a: \x01\n"),
        workflow("[" * 200_000),
        workflow("- " * 50_000),
        code(f"x = {'-' * 100_000}1\n"),
        code(f"x = {'(' * 100_000}\n"),
        code(f"x = a{'.b' * 100_000}\n"),
    ],
)
def test_what_cannot_be_looked_at_is_never_clean(repo: Repo, change: Change) -> None:
    """It is an error of its own."""
    change(repo)

    with pytest.raises(LockstepError):
        parity.check(repo)


FUZZED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZED
@given(data=st.binary(), place=st.sampled_from(["config/dev.env", "secrets/dev.enc.env", ".sops.yaml"]))
def test_any_bytes_are_findings(repo: Repo, place: str, data: bytes) -> None:
    """No content makes the gate fall over, and none is taken for a good file."""
    before = (repo.root / place).read_bytes()
    file(place, data)(repo)

    found = parity.check(repo)

    assert found
    file(place, before)(repo)


@FUZZED
@given(
    data=st.one_of(st.binary(), st.text().map(str.encode)),
    place=st.sampled_from([WORKFLOW, "app/more.py", "Dockerfile", "compose.yaml"]),
)
def test_any_bytes_are_judged_or_an_error(repo: Repo, place: str, data: bytes) -> None:
    """What cannot be read is named."""
    file(place, data)(repo)

    told = place
    try:
        parity.check(repo)
    except GateError as error:
        told = str(error)

    assert place in told
    (repo.root / place).unlink()


@given(st.text())
def test_any_value_can_be_judged(text: str) -> None:
    """Hosts and secrets are looked for in any text without a fault, and what is looked at is not lost."""
    for key in Repo(checkouts.ROOT).schema.keys.values():
        values.judged(key, text)
        assert all(part in text or "url" in key.rules for part in values.material(key, text))
    assert all(host in text.lower() for host in values.hosts(text))


def test_names_of_a_sealed_file() -> None:
    """Its own keys in their order, twice if they are there twice, and nothing of sops."""
    data = b"A=ENC[x]\nB=ENC[y]\n#ENC[z]\nA=ENC[x]\nsops_version=3\nsops_mac=ENC[m]\n"

    assert ["A", "B", "A"] == [name for name, _ in matrix.names(data)]


@pytest.fixture
def opened(repo: Repo) -> dict[str, dict[str, Secret]]:
    return {
        name: {key.name: Secret(checkouts.value(name, key)) for key in repo.schema.secrets()}
        for name in ("dev", "staging", "prod")
    }


def test_sealed_values_that_are_right(repo: Repo, opened: dict[str, dict[str, Secret]]) -> None:
    """Three environments, each with its own secrets, are clean."""
    found = parity.check_sealed(repo, opened)

    assert [] == found
    assert {"opened environments": 3, "sealed values": 15} == found.looked


@pytest.mark.parametrize(
    ("rule", "key", "change"),
    [
        ("value", "API_TOKENS", lambda _: "short"),
        ("value", "DATABASE_URL", lambda _: f"mysql://a:{secrets.token_hex()}@c/d"),
        ("placeholder", "SMTP_PASSWORD", lambda _: "CHANGEME-please"),
        ("placeholder", "REDIS_URL", lambda _: "rediss://:<password>@redis.prod.internal:6379/0"),
        ("localhost", "REDIS_URL", lambda _: f"redis://:{secrets.token_hex()}@localhost:6379/0"),
        ("foreign-host", "DATABASE_URL", lambda of: of["dev"]["DATABASE_URL"].reveal().replace("@", "x@")),
        ("shared-secret", "SMTP_PASSWORD", lambda of: of["dev"]["SMTP_PASSWORD"].reveal()),
        ("shared-secret", "API_TOKENS", lambda of: f"{secrets.token_hex()},{of['dev']['API_TOKENS'].reveal()}"),
        ("shared-secret", "SMTP_PASSWORD", lambda of: of["dev"]["API_TOKENS"].reveal()),
        ("shared-secret", "DATABASE_URL", lambda of: of["dev"]["DATABASE_URL"].reveal().replace("db.dev", "db")),
    ],
)
def test_sealed_values_that_are_wrong(
    repo: Repo,
    opened: dict[str, dict[str, Secret]],
    rule: str,
    key: str,
    change: Callable[[dict[str, dict[str, Secret]]], str],
) -> None:
    """Each is found by its rule, in the sealed file, and never shown."""
    value = change(opened)
    opened["prod"][key] = Secret(value)

    found = parity.check_sealed(repo, opened)

    assert [(f"parity/{rule}", "secrets/prod.enc.env", key)] == [(one.rule, one.place, one.key) for one in found]
    assert value not in repr(found)


def test_a_secret_of_this_machine_that_is_another_environments(
    repo: Repo, opened: dict[str, dict[str, Secret]]
) -> None:
    """`local`'s sealed file is outside of git, and its values are looked at all the same."""
    opened["local"] = {"SMTP_PASSWORD": opened["dev"]["SMTP_PASSWORD"]}

    found = parity.check_sealed(repo, opened)

    told = [(one.rule, one.place, one.key) for one in found]
    assert [("parity/shared-secret", "secrets/local.enc.env", "SMTP_PASSWORD")] == told


def test_a_secret_that_is_the_same_everywhere_by_intent(repo: Repo, opened: dict[str, dict[str, Secret]]) -> None:
    """The schema can say so."""
    meta("SMTP_PASSWORD", same_everywhere=True)(repo)
    shared = Secret(secrets.token_hex())

    found = parity.check_sealed(
        Repo(repo.root), {name: {**have, "SMTP_PASSWORD": shared} for name, have in opened.items()}
    )

    assert [] == found


def test_opening_for_real(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """With identities at hand, two environments with one password are found."""
    password = secrets.token_hex()
    for name in ("dev", "prod"):
        edit.put(repo, name, "SMTP_PASSWORD", password)

    ended = report.show(repo, "", sealed=True)

    told = capsys.readouterr().out
    assert 1 == ended
    assert "parity/shared-secret SMTP_PASSWORD\n  is a secret of dev, too" in told
    assert "3 opened environments" in told
    assert password not in told


def test_the_matrix(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """A row a key, a column an environment, and what is wrong in its place."""
    swap("config/dev.env", r"^SMTP_HOST=.*\n", "SMTP_HSOT=a\n")(repo)

    ended = report.show(repo, "", sealed=False)

    told = capsys.readouterr().out.split("\n\n")[0].splitlines()
    rows = {row.split()[0]: row.split()[1:] for row in told}
    assert 1 == ended
    assert ["local", "dev", "staging", "prod"] == rows["key"]
    assert ["plain", "missing", "plain", "plain"] == rows["SMTP_HOST"]
    assert ["extra"] == rows["SMTP_HSOT"]
    assert ["sealed", "here", "sealed", "sealed", "sealed"] == rows["DATABASE_URL"]


def test_without_an_identity_nothing_is_opened(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """That is a fault, not a clean result."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    for name in ("", "prod"):
        with pytest.raises(NoIdentityError):
            report.show(repo, name, sealed=True)


@pytest.mark.parametrize(("change", "expected"), [(line("# x"), 0), (put("SMTP_PORT", "x"), 1), (no_services, 2)])
def test_exit_codes(repo: Repo, change: Change, expected: int) -> None:
    """0 is clean, 1 are findings, 2 could not look; the last line counts."""
    change(repo)

    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.parity", str(repo.root)],
        cwd=checkouts.ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(repo.root)},
        capture_output=True,
        text=True,
        check=False,
    )

    keys = len(repo.schema.keys)
    counted = re.search(rf"parity: \d findings; looked at 4 environments, {keys} keys, \d+ values", done.stdout)
    assert expected == done.returncode
    assert (expected != GateError.code) == bool(counted)
    assert "Traceback" not in done.stderr


def test_this_repository_is_clean() -> None:
    """What the gate asks of others holds here."""
    assert [] == parity.check(Repo(checkouts.ROOT))
