"""A release by itself: what it holds, what each of its processes gets, and how one is made."""

import json
import re
import secrets
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ci.delivery import release
from ci.delivery.release import FAILED, HEALTHY, UNFINISHED, Image, Job, Release
from ci.ground import errors, git, machine, schema
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from runtime import Secret
from tests import checkouts
from tests.lockstep.delivery import releases

META = {"description": "a key", "example": "x"}
DOCUMENT: dict[str, Any] = {
    "services": {
        "web": {
            "command": "python -m web",
            "port": 8000,
            "public": {"host": "{HOST}"},
            "setup": {"run": ["npm ci"]},
        },
        "shell": {"command": "node server.js"},
    },
    "jobs": {
        "tool": {"command": "python -m tool", "keys": ["shell"]},
        "keys": {"command": "python -m keys", "keys": ["web"]},
    },
    "keys": {
        "HOST": {"type": "string", "meta": META | {"services": ["web"]}},
        "SIZE": {"type": "integer", "default": 4, "meta": META | {"services": ["shell"]}},
        "URL": {
            "type": "string",
            "url": ["https"],
            "meta": META | {"services": ["web"], "secret": True, "provider": "keys", "rotate_days": 90},
        },
        "USER": {"type": "string", "meta": META | {"services": ["shell"], "secret": True, "part_of": "URL.user"}},
    },
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return releases.repository(tmp_path_factory.mktemp("releases") / "repo")


@pytest.fixture(scope="module")
def read() -> Schema:
    return schema.build(DOCUMENT)


def made(repo: Repo, read: Schema, **changed: Any) -> Release:
    given = {"plain": {"HOST": "h", "OLD": "1"}, "sealed": ["URL", "GONE"], "settings": {"a": 1}, "number": 7}
    return release.make(repo, "dev", Image("abc", {"main": "sha256:1"}), read, **{**given, **changed})


def test_a_release_goes_round() -> None:
    """What an engine keeps as JSON is the same release again."""
    whole = releases.release()

    parsed = Release.parse(json.loads(json.dumps(whole.document())))

    assert whole == parsed


@pytest.mark.parametrize(
    ("recorded", "older"), [(1, True), (2, True), (None, True), (4, False), (99, False), ("3", False)]
)
def test_a_release_of_another_format_is_refused(recorded: Any, older: bool) -> None:  # noqa: FBT001
    """It is told how to go on, with what an older version left or with the version that a newer one needs."""
    document = releases.release().document() | {"format": recorded}
    if recorded is None:
        del document["format"]

    with pytest.raises(errors.FormatError) as caught:
        Release.parse(document)

    again = "inv stop --env=dev --purge removes all that it left, then deploy again"
    message = f"release 3 of dev was recorded in format {recorded or 1}, this version reads format 3"
    assert message == str(caught.value)
    assert (again if older else "use the version that recorded it, or a later one") == caught.value.hint


def test_what_runs() -> None:
    """The image and the bundle of each, by service or job."""
    whole = releases.release()

    assert Image("abc", {"main": "sha256:1", "node": "sha256:2"}) == whole.image
    assert ["sha256:1", "sha256:2", "sha256:1"] == [whole.image_of(name) for name in ("web", "shell", "tool")]
    assert {"web": "bundle.web", "shell": "bundle.shell", "tool": "bundle.tool"} == whole.bundles()


def test_each_gets_its_own_keys_alone() -> None:
    """Plain ones by value, as far as the release has them; sealed ones as JSON where Python runs a module."""
    whole = releases.release()
    sealed = {name: secrets.token_urlsafe() for name in ("PASSWORD", "TOKEN", "OTHER")}

    bundle = whole.bundle_for("web", {name: Secret(value) for name, value in sealed.items()})

    assert {"LEVEL": "info"} == whole.plain_for("web")
    assert {"SIZE": "1"} == whole.plain_for("shell")
    assert {"PASSWORD": sealed["PASSWORD"]} == json.loads(bundle.reveal())


def test_a_shell_reads_the_values_as_they_are() -> None:
    """Whatever is in them: quotes, blanks, line ends, and what a shell would expand."""
    values = {"PASSWORD": "it's 'two'\n$HOME `id` \\", "TOKEN": secrets.token_urlsafe()}
    bundle = releases.release().bundle_for("shell", {name: Secret(value) for name, value in values.items()})

    script = f'{bundle.reveal()}printf "%s|%s" "$TOKEN" "$PASSWORD"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert f"{values['TOKEN']}|{values['PASSWORD']}" == done.stdout


def test_the_current_release_is_the_last_healthy_one() -> None:
    """What failed or was not finished after it does not count, and there may be none."""
    results = (HEALTHY, HEALTHY, FAILED, UNFINISHED)
    history = [releases.release(number=number, result=result) for number, result in enumerate(results, start=4)]

    assert history[1] == release.current(history)
    assert None is release.current(history[2:])
    assert 8 == release.following(history)
    assert 8 == release.following(history[::-1])
    assert 1 == release.following([])


def test_a_release_is_made_of_values_and_images(repo: Repo, read: Schema) -> None:
    """Values of keys that the schema does not have are left out, an absent one has its default."""
    whole = made(repo, read, config="def")

    assert ("dev", 7, "abc", {"main": "sha256:1"}) == (whole.environment, whole.number, whole.sha, whole.images)
    assert {"HOST": "h", "SIZE": "4"} == whole.plain
    assert ["URL", "USER"] == whole.sealed
    assert ("def", {"a": 1}, "Story", "") == (whole.config, whole.settings, whole.who, whole.result)
    assert git.sha(repo.root) == made(repo, read).config
    assert whole.when <= release.now()


def test_its_services_and_jobs(repo: Repo, read: Schema) -> None:
    """Each with its replicas, its keys and a bundle of its own; a provider's job runs where somebody rotates."""
    whole = made(repo, read)

    assert [("web", 1, "acme.dev.7.web"), ("shell", 3, "acme.dev.7.shell")] == [
        (name, one.replicas, one.bundle) for name, one in whole.services.items()
    ]
    assert [["HOST", "URL"], ["SIZE", "USER"]] == [one.keys for one in whole.services.values()]
    assert {"tool": Job(read.jobs["tool"], ["SIZE", "USER"], "acme.dev.7.tool")} == whole.jobs
    assert None is whole.services["web"].declared.setup
    assert read.services["shell"] == whole.services["shell"].declared


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("web.example", "web.example"),
        ("https://u@Web.example:8443/a", "web.example"),
        ("mailto://", ""),
        ("http://[::1", "http://[::1"),
    ],
)
def test_a_host_that_is_a_key(repo: Repo, read: Schema, value: str, expected: str) -> None:
    """It is the key's value, of a URL the host; what is no URL is refused by its name later."""
    public = made(repo, read, plain={"HOST": value}).services["web"].declared.public

    assert public
    assert expected == public.host


def test_a_host_that_is_a_name(repo: Repo) -> None:
    """It is taken as it is; a service that is not public has none."""
    services = {**DOCUMENT["services"], "web": {**DOCUMENT["services"]["web"], "public": {"host": "HOST"}}}

    public = made(repo, schema.build(DOCUMENT | {"services": services})).services["web"].declared.public

    assert public
    assert "HOST" == public.host


def test_a_host_without_a_value_is_refused(repo: Repo, read: Schema) -> None:
    """It is told which key it is."""
    with pytest.raises(errors.ConfigurationError) as caught:
        made(repo, read, plain={})

    assert "HOST, the host of web, has no plain value" == str(caught.value)
    assert "public.host of web in config/schema.yaml names a plain key of every environment it exists in" == (
        caught.value.hint
    )


def test_a_release_again(repo: Repo) -> None:
    """A rollback has everything of the old one but who made it, when and why, and what came of it."""
    old = releases.release()

    new = release.again(repo, old, 9, "a rollback")

    kept = {"sha", "plain", "sealed", "images", "config", "services", "jobs", "revision", "lives_with", "format"}
    assert {name: vars(old)[name] for name in kept} == {name: vars(new)[name] for name in kept}
    assert (9, "Story", "a rollback", "") == (new.number, new.who, new.why, new.rotates)
    assert (UNFINISHED, "") == (new.result, new.ended)
    assert old.when < new.when


def test_the_name_of_an_image(repo: Repo) -> None:
    """The project, and twelve characters of the commit, after the image's name when there are several."""
    commit = "0123456789abcdef"

    assert "acme:0123456789ab" == release.tag(repo, commit)
    assert "acme:node-0123456789ab" == release.tag(repo, commit, "node")
    assert "0123456789ab" == release.version(commit)


def test_who_is_at_work(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom git names, and where it names nobody, the machine's user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    checkouts.git(tmp_path, "init", "-q")

    assert ("Story", machine.user()) == (release.person(repo), release.person(Repo(tmp_path)))


def test_now_is_a_second_of_utc() -> None:
    """As ISO 8601 has it."""
    now = release.now()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(now)) < timedelta(minutes=10)
