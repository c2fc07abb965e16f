"""Where a leaked value occurs, and what could not be looked at."""

import base64
import gzip
import io
import json
import secrets
import subprocess
import tarfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from ci import cli
from ci.cli import rotation
from ci.delivery import image
from ci.ground import errors, git
from ci.ground.environments import TEMPLATE
from ci.ground.repo import Repo
from ci.rotation import leaked
from ci.rotation.leaked import COMMIT, ENVIRONMENT, IMAGE, RELEASE, Report
from ci.rotation.search import Sought
from ci.sealing import edit, environment, identity, init, keys, members, proposal
from tests import checkouts, engines
from tests.lockstep.delivery import fake, projects
from tests.lockstep.delivery.projects import Project
from tests.lockstep.sealing import vaults

NOWHERE = "tcp://127.0.0.1:9"  # where no engine answers
PASSWORD, TOKENS, SMS = "SMTP_PASSWORD", "API_TOKENS", "SMS_PROVIDER_API_KEY"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project on the fake engine, on a machine without a Docker engine."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    return projects.make(tmp_path / "repo")


def value() -> str:
    """Return a value with characters that URLs and JSON escape."""
    return f'>>>???{secrets.token_hex(4)}/"é {secrets.token_hex(4)}+=\\'  # the first six are +/ in base64


def of(project: Project, key: str, name: str = "dev") -> str:
    return environment.sealed(project.repo, name)[key].reveal()


def places(report: Report, kind: str) -> list[tuple[str, str]]:
    return [(one.where, one.what) for one in report.found if one.kind == kind]


def shown(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a person is shown of it."""
    rotation.leaked(report)
    return capsys.readouterr().out


def test_a_value_of_today(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Environment, key, the commit of its version and the command that replaces it are told, the value is not."""
    secret = of(project, PASSWORD)

    report = cli.follow(leaked.look(project.repo, f"{secret}\n"))

    text = shown(report, capsys)
    assert [("dev", f"{PASSWORD} in secrets/dev.enc.env")] == places(report, ENVIRONMENT)
    assert [f"{PASSWORD}, sealed"] == [what for _, what in places(report, COMMIT)]
    assert text.endswith(f"next: inv rotate --env=dev --key={PASSWORD} --leaked\n")
    assert 1 == report.code
    assert secret not in text


def test_a_part_of_a_value(project: Project) -> None:
    """A password is found in the URL that holds it, a token in the list, in every environment that has it."""
    token = of(project, TOKENS)
    for name in ("staging", "prod"):
        edit.put(project.repo, name, TOKENS, f"{secrets.token_urlsafe(24)},read:{token}")
    password = urllib.parse.urlsplit(of(project, "DATABASE_URL")).password

    assert [("dev", TOKENS), ("staging", TOKENS), ("prod", TOKENS)] == cli.follow(
        leaked.look(project.repo, token)
    ).rotate
    assert [("dev", "DATABASE_URL")] == cli.follow(leaked.look(project.repo, password or "")).rotate


def test_a_value_of_before(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Old versions are opened, with the identity that was replaced since, and there is nothing to rotate."""
    secret = of(project, PASSWORD)
    edit.put(project.repo, "dev", TOKENS, secrets.token_urlsafe(32))
    project.commit()
    edit.put(project.repo, "dev", PASSWORD, secrets.token_urlsafe(32))
    keys.begin(project.repo, "dev")
    keys.finish(project.repo, "dev")
    project.commit()

    report = cli.follow(leaked.look(project.repo, secret))

    [(where, what)] = places(report, COMMIT)
    assert f"{PASSWORD}, sealed, and in 1 later versions" == what
    assert where.endswith(":secrets/dev.enc.env")
    assert [] == places(report, ENVIRONMENT)
    assert "see that its provider refuses it" in shown(report, capsys)


def packed(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda secret: f"x{secret}y".encode(),
    "line": lambda text: f"a: 1\nb={text}\nc: 2\n".encode(),
    "json": lambda secret: json.dumps({"a": secret}).encode(),
    "json in UTF-8": lambda secret: json.dumps({"a": secret}, ensure_ascii=False).encode(),
    "json in json": lambda secret: json.dumps(json.dumps({"a": secret})).encode(),
    "json with slashes": lambda secret: json.dumps(secret).replace("/", "\\/").encode(),
    "url": lambda secret: f"https://u:{urllib.parse.quote(secret, safe='')}@h/".encode(),
    "url in small letters": lambda secret: urllib.parse.quote(secret, safe="").lower().encode(),
    "url, half": lambda secret: urllib.parse.quote(secret).encode(),
    "form": lambda secret: urllib.parse.urlencode({"p": secret}).encode(),
    "url in url": lambda secret: urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe="").encode(),
    "base64": lambda secret: base64.b64encode(secret.encode()),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).rstrip(b"="),
    "base64, one before": lambda secret: base64.b64encode(f"u{secret}!".encode()),
    "base64, two before": lambda secret: base64.b64encode(f"u:{secret}!!".encode()),
    "base64 in lines": lambda secret: base64.encodebytes(b"u" * 70 + secret.encode() + b"u" * 70),
    "utf-16": lambda secret: secret.encode("utf-16"),
    "binary": lambda text: b"\0\xff" + text.encode() + b"\0",
    "gzip": lambda secret: gzip.compress(secret.encode()),
    "tar": lambda secret: packed("a/b", secret.encode()),
    "tar in gzip": lambda secret: gzip.compress(packed("a/b", secret.encode())),
}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """A value, and what was found of it in a repository that holds it in every form."""
    folder, secret = tmp_path_factory.mktemp("forms"), value()
    with checkouts.at_home(folder / "home"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", NOWHERE)
        repo = vaults.committed(checkouts.empty(folder / "repo"))
        for name, form in FORMS.items():
            (repo.root / name).write_bytes(form(secret))
            (repo.root / f"{name} of another").write_bytes(form(value()))
            vaults.commit(repo)
            (repo.root / name).unlink()
        return secret, cli.follow(leaked.look(repo, secret))


@pytest.mark.parametrize("name", FORMS)
def test_a_value_in_every_form(forms: tuple[str, Report], name: str) -> None:
    """As it is, escaped for URLs and JSON, in base64, in archives: it is found, and another value is not."""
    found = [where.partition(":")[2].partition("!")[0] for where, _ in places(forms[1], COMMIT)]

    assert 1 == found.count(name)
    assert 0 == found.count(f"{name} of another")


def test_every_kind_of_object(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages, names, tags, branches, stashes, what is staged and what nothing leads to are looked at."""
    secret, root = secrets.token_hex(16), project.root
    project.write("README.md", "a file")

    def written(text: str) -> str:
        done = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"], cwd=root, input=text.encode(), capture_output=True, check=True
        )
        return done.stdout.decode()[:12]

    message = project.commit(f"use {secret}")
    name = project.write(f"notes/{secret}.txt", "nothing")
    checkouts.git(root, "tag", "-a", "v1", "-m", secret)
    checkouts.git(root, "branch", f"fix-{secret}")
    (root / "README.md").write_text(secret)
    checkouts.git(root, "stash")
    (root / "staged").write_text(f"staged {secret}")
    checkouts.git(root, "add", "staged")
    loose = written(f"loose {secret}")

    report = cli.follow(leaked.look(project.repo, secret))

    found = [where for where, _ in places(report, COMMIT)]
    head = git.commit(root, "HEAD")[:12]
    assert {f"{message}:(commit)", f"{name}:notes/***", f"{head}:refs/heads/***", f"{loose}:(blob)"} <= set(found)
    assert 1 == sum(where.endswith(":(tag)") for where in found)
    assert 1 == sum(where.endswith(":README.md") for where in found)
    assert 2 == sum(where.endswith(":(blob)") for where in found)
    assert secret not in shown(report, capsys)


def test_releases_by_their_values(project: Project) -> None:
    """A plain value is found in each release that has it, a sealed one in those whose commit's file held it."""
    secret, sender = of(project, PASSWORD), "+14155550199"
    project.plain("dev", "SMS_SENDER=", f"SMS_SENDER={sender}\n#")
    project.deploy()
    edit.put(project.repo, "dev", PASSWORD, secrets.token_urlsafe(32))
    project.commit()
    project.deploy()

    found = cli.follow(leaked.look(project.repo, secret))

    assert [("dev 1", f"{PASSWORD}, sealed")] == places(found, RELEASE)
    assert [] == found.rotate
    assert [("dev 1", "SMS_SENDER in clear"), ("dev 2 *", "SMS_SENDER in clear")] == places(
        cli.follow(leaked.look(project.repo, sender)), RELEASE
    )


def test_a_release_that_runs_with_the_value(project: Project) -> None:
    """A value that is replaced in the file and still runs is to be rotated all the same."""
    secret = of(project, PASSWORD)
    project.deploy()
    edit.put(project.repo, "dev", PASSWORD, secrets.token_urlsafe(32))
    project.commit()

    report = cli.follow(leaked.look(project.repo, secret))

    assert [("dev 1 *", f"{PASSWORD}, sealed")] == places(report, RELEASE)
    assert [("dev", PASSWORD)] == report.rotate


def test_a_plain_file_and_a_proposal(project: Project) -> None:
    """A secret that stands in clear is named with its file, and so is one that somebody proposes."""
    secret = secrets.token_urlsafe(32)
    (project.root / "config/dev.env").write_text(f"SMTP_HOST=h\n# {secret}\n")
    (project.root / "config/prod.env").write_text(f"SMTP_HOST={secret}\n")
    path = proposal.propose(project.repo, "dev", PASSWORD, secret)

    report = cli.follow(leaked.look(project.repo, secret))

    where = str(path.relative_to(project.root))
    assert [
        ("dev", "in clear, in config/dev.env"),
        ("dev", f"{PASSWORD} in {where}"),
        ("prod", "SMTP_HOST in clear, in config/prod.env"),
    ] == places(report, ENVIRONMENT)
    assert [] == report.rotate


def without_identity(project: Project) -> None:
    identity.path(project.repo, "prod").unlink()


def tampered(project: Project) -> None:
    path = project.repo.sealed("prod")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]).replace("SMTP_PASSWORD=", "SMTP_PASSWORDS="))


def unreachable(project: Project) -> None:
    project.about("prod", engine="swarm", swarm={"docker": NOWHERE})


def archived(project: Project) -> None:
    (project.root / "backup.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    project.commit()


def unknown_commit(project: Project) -> None:
    project.deploy()
    [release] = fake.state(project.repo, "dev")["releases"]
    fake.change(project.repo, "dev", releases=[release | {"config": "0123456789ab"}])


def no_history(project: Project) -> None:
    head = git.commit(project.root, "HEAD")
    (project.root / ".git/shallow").write_text(f"{head}\n")


@pytest.mark.parametrize(
    ("change", "kind", "where", "why"),
    [
        (without_identity, ENVIRONMENT, "prod", "secrets/prod.enc.env: no identity at hand opens prod.enc.env"),
        (without_identity, COMMIT, ":secrets/prod.enc.env", "no identity at hand opens prod.enc.env"),
        (tampered, ENVIRONMENT, "prod", "changed by something other than sops"),
        (unreachable, RELEASE, "prod", f"no docker engine answers at {NOWHERE}"),
        (unreachable, IMAGE, NOWHERE, "no docker engine answers"),
        (archived, COMMIT, ":backup.7z", "an archive that cannot be opened"),
        (unknown_commit, RELEASE, "dev 1 *", "git ls-tree failed here"),
        (no_history, COMMIT, "the whole history", "this is a shallow clone"),
    ],
)
def test_what_could_not_be_looked_at_is_listed(
    project: Project, change: Callable[[Project], None], kind: str, where: str, why: str
) -> None:
    """Nothing was found, but not everywhere: exit code 2, and the place with its reason."""
    change(project)

    report = cli.follow(leaked.look(project.repo, secrets.token_urlsafe(32)))

    listed = [one for one in report.unseen if one.kind == kind and one.where.endswith(where) and why in one.what]
    assert 1 == len(listed), report.unseen
    assert 2 == report.code


def test_nowhere_is_said_when_all_was_looked_at(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every identity and engine at hand it is 0; without a Docker engine it is not."""
    project.deploy()
    secret = secrets.token_urlsafe(32)
    without = cli.follow(leaked.look(project.repo, secret))
    monkeypatch.setattr(leaked, "_images", lambda it: it.looked("images", 0))

    report = cli.follow(leaked.look(project.repo, secret))

    assert [(IMAGE, "this machine", "no docker engine answers here")] == [
        (one.kind, one.where, one.what) for one in without.unseen
    ]
    assert (2, 0) == (without.code, report.code)
    assert "not looked at  where" in shown(without, capsys)
    assert "no places; looked at 4 environments, " in shown(report, capsys)


def test_the_templates_versions_are_told_and_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the history has from before `inv init` was sealed for nobody, and would let a 0 never come."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    with checkouts.at_home(tmp_path / "nobody"):
        template = checkouts.initialised(tmp_path / "repo")
    path = template.root / "config/environments.yaml"
    path.write_text(path.read_text().replace("project: acme", f"project: {TEMPLATE}"))
    repo = Repo(vaults.committed(template).root)
    before = cli.follow(leaked.look(repo, secrets.token_urlsafe(32)))
    init.init(repo, "theirs", checkouts.value)
    repo = Repo(repo.root)
    vaults.commit(repo)

    report = cli.follow(leaked.look(repo, secrets.token_urlsafe(32)))

    assert {ENVIRONMENT} == {one.kind for one in before.unseen if one.kind in (ENVIRONMENT, COMMIT)}
    assert [] == [one for one in report.unseen if one.kind in (ENVIRONMENT, COMMIT)]
    assert ["left out: 3 sealed versions of before inv init, which the template sealed for nobody"] == report.notes


def test_a_colleagues_version_counts(project: Project) -> None:
    """A version that was sealed for others after `inv init` is listed, for it may hold the value."""
    colleague, own = vaults.person(project.repo)
    members.add(project.repo, "dev", colleague, "Colleague")
    project.commit()
    identity.path(project.repo, "dev").write_text(own.reveal())

    report = cli.follow(leaked.look(project.repo, secrets.token_urlsafe(32)))

    [one] = [one for one in report.unseen if one.kind == COMMIT]
    assert one.where.endswith(":secrets/dev.enc.env")
    assert [] == [one for one in report.unseen if one.kind == ENVIRONMENT]


@pytest.mark.parametrize("short", ["", "abcdefg", "   abcdefg  \n"])
def test_a_short_value_is_refused(project: Project, short: str) -> None:
    """Seven characters are found in too many places to mean anything."""
    with pytest.raises(errors.BadValueError, match="shorter than 8 characters"):
        cli.follow(leaked.look(project.repo, short))


def test_a_needle_shows_nothing() -> None:
    """Neither its text nor its repr has the value, and a place that holds it is masked."""
    secret = f"{secrets.token_hex(8)}/{secrets.token_hex(8)}"
    sought = Sought(secret)

    assert secret not in f"{sought} {sought!r}"
    assert "a/***" == sought.masked(f"a/{base64.b64encode(secret.encode()).decode()}")
    assert "***" == sought.masked(f"abc:{secret}")
    assert "abc:docs/old.md" == sought.masked("abc:docs/old.md")


@pytest.mark.engine
def test_layers_configuration_and_history_of_an_image(tmp_path: Path) -> None:
    """A file of any layer, hidden by a later one too, a label, a variable and a build step are found by image."""
    with engines.project(tmp_path / "project", checkouts.fixture) as repo:
        secret, other = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        name = repo.environments.project
        (tmp_path / "context").mkdir()
        (tmp_path / "context/file.gz").write_bytes(gzip.compress(secret.encode()))
        (tmp_path / "context/Dockerfile").write_text(
            f"FROM {engines.BASE}\nCOPY file.gz /srv/\nRUN rm /srv/file.gz\n"
            f"ENV PASSWORD={secret}\nRUN : {secret}\nLABEL {image.OCI}.title={name}\n"
        )
        engines.client().images.build(path=str(tmp_path / "context"), tag=f"{name}:one", rm=True)

        found = cli.follow(leaked.look(repo, secret))
        nothing = cli.follow(leaked.look(repo, other))

        inside = [what for where, what in places(found, IMAGE) if where == f"{name}:one"]
        assert any(what.endswith("srv/file.gz!unpacked") for what in inside), inside
        assert any(what.endswith(".json") for what in inside), inside
        assert [] == places(nothing, IMAGE)
        assert [] == [one for one in nothing.unseen if one.kind == IMAGE]
        assert 1 == nothing.looked["images"]
