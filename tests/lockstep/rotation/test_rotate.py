"""What a rotation does with a provider that cannot be asked, or whose value holds old and new."""

import io
import json
import secrets
import sys
from pathlib import Path

import pytest

from ci import cli
from ci.delivery import engines
from ci.ground import dotenv, errors, git
from ci.rotation import rotate, state
from ci.sealing import change, edit, environment, exposed, recipients
from runtime import Secret
from tests import checkouts
from tests.lockstep.delivery.projects import Project, make
from tests.lockstep.sealing import vaults

LIST, BY_HAND, PROVIDED = "API_TOKENS", "SMTP_PASSWORD", "SMS_PROVIDER_API_KEY"
YES = rotate.Options(yes=True, commit=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose dev runs on the fake engine; nobody reaches its api, and nobody is at a terminal."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    made = make(tmp_path / "repo")
    made.plain("dev", "https://notify.dev.lockstep.example", "http://127.0.0.1:9")
    checkouts.named(made.root)
    made.deploy()
    return made


def sealed(project: Project, key: str) -> str:
    return environment.sealed(project.repo, "dev")[key].reveal()


def give(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Have this on stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{value}\n".encode())))


def stopped(project: Project, key: str) -> None:
    """Rotate until somebody has to confirm."""
    with pytest.raises(errors.NotConfirmedError):
        cli.follow(rotate.run(project.repo, "dev", key, rotate.Options(commit=True)))


def test_a_list_is_deployed_twice(project: Project) -> None:
    """Both values first; the new one alone when somebody confirms that those who use it have it."""
    old = sealed(project, LIST)
    stopped(project, LIST)
    between = sealed(project, LIST)
    cli.follow(rotate.run(project.repo, "dev", LIST, YES))

    assert between == f"{sealed(project, LIST)},{old}"
    assert (3, {3}) == (project.current().number, project.runs())
    assert [LIST] == [one["key"] for one in state.records(project.repo, "dev")]


def test_a_list_after_a_leak(project: Project) -> None:
    """Nobody is waited for, and the old value is in nothing that is sealed or runs."""
    old = sealed(project, LIST)
    cli.follow(rotate.run(project.repo, "dev", LIST, rotate.Options(yes=True, commit=True, leaked=True)))

    assert not set(old.split(",")) & set(sealed(project, LIST).split(","))
    assert {project.current().number} == project.runs()


def test_a_list_given_up(project: Project) -> None:
    """The old list is sealed and deployed as it was."""
    old = sealed(project, LIST)
    stopped(project, LIST)
    cli.follow(rotate.abort(project.repo, "dev", LIST, YES))

    assert old == sealed(project, LIST)
    assert (3, {3}) == (project.current().number, project.runs())
    assert None is state.read(project.repo, "dev", LIST)


def test_a_deploy_that_was_not_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a kill comes between a deploy and its note, there is nothing to deploy again, and that is no fault."""
    give(monkeypatch, secrets.token_urlsafe())
    with monkeypatch.context() as patch:
        patch.setattr(rotate, "STEPS", rotate.STEPS[: rotate.STEPS.index(rotate.deploy)])
        patch.setattr(state, "end", lambda _repo, _state: None)
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))
    project.deploy()
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert (2, {2}) == (project.current().number, project.runs())


@pytest.mark.parametrize("step", ["wait", "record"])
def test_the_second_deploy_fails(project: Project, step: str) -> None:
    """The same command does it again, and the end is the same."""
    old = sealed(project, LIST)
    stopped(project, LIST)
    project.fail(step)
    with pytest.raises(errors.LockstepError, match="failed on purpose"):
        cli.follow(rotate.run(project.repo, "dev", LIST, YES))
    project.fail("")
    cli.follow(rotate.run(project.repo, "dev", LIST, YES))

    assert not set(old.split(",")) & set(sealed(project, LIST).split(","))
    assert {project.current().number} == project.runs()


def test_by_hand(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is given once; that the old one is gone is confirmed, and said to be no proof."""
    value = secrets.token_urlsafe()
    give(monkeypatch, value)
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert (value, {2}) == (sealed(project, BY_HAND), project.runs())


def test_by_hand_what_somebody_knew(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value leaves the list of what is known, in the commit that has the new one."""
    who = recipients.Recipient("age1anna", "Anna")
    change.apply(project.repo, exposed.added(project.repo, "dev", [BY_HAND, LIST], who))
    project.commit()
    give(monkeypatch, secrets.token_urlsafe())
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert [LIST] == [one.key for one in exposed.read(project.repo)]
    assert not git.sha(project.root).endswith("-dirty")


def test_by_hand_the_gap_is_confirmed_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a yes nothing is asked for and nothing begins."""
    give(monkeypatch, secrets.token_urlsafe())
    old = sealed(project, BY_HAND)
    stopped(project, BY_HAND)

    assert old == sealed(project, BY_HAND)
    assert None is state.read(project.repo, "dev", BY_HAND)


def test_by_hand_a_value_that_does_not_fit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before it is kept, and another may be given."""
    give(monkeypatch, "short")
    with pytest.raises(errors.BadValueError, match="is shorter than 8 characters"):
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))
    value = secrets.token_urlsafe()
    give(monkeypatch, value)
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert value == sealed(project, BY_HAND)


def test_by_hand_a_value_is_given_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed deploy the same command goes on with the value that it has."""
    value = secrets.token_urlsafe()
    give(monkeypatch, value)
    project.fail("wait")
    with pytest.raises(errors.StartError):
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))
    project.fail("")
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert (value, {3}) == (sealed(project, BY_HAND), project.runs())


def test_by_hand_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be asked whether the old value is still valid, so a person says that it is."""
    old = sealed(project, BY_HAND)
    give(monkeypatch, secrets.token_urlsafe())
    project.fail("wait")
    with pytest.raises(errors.StartError):
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))
    project.fail("")
    with pytest.raises(errors.NotConfirmedError, match="whether the old value is still valid"):
        cli.follow(rotate.abort(project.repo, "dev", BY_HAND, rotate.Options(commit=True)))
    cli.follow(rotate.abort(project.repo, "dev", BY_HAND, YES))

    assert old == sealed(project, BY_HAND)
    assert {project.current().number} == project.runs()


def test_by_hand_no_way_back_from_revoke(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once somebody said that the old value is gone, a rotation only goes forward."""
    give(monkeypatch, secrets.token_urlsafe())
    with monkeypatch.context() as patch:
        patch.setattr(rotate, "STEPS", rotate.STEPS[: rotate.STEPS.index(rotate.verify)])
        patch.setattr(state, "end", lambda _repo, _state: None)
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    with pytest.raises(errors.RotationError, match="the old value is revoked"):
        cli.follow(rotate.abort(project.repo, "dev", BY_HAND, YES))
    cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))

    assert None is state.read(project.repo, "dev", BY_HAND)
    with engines.open(project.repo, "dev") as engine:
        assert [] == engine.drift()


def keys(project: Project) -> list[str]:
    """Return the keys that the project's own provider accepts."""
    return list(json.loads((project.root / ".local/keys.json").read_text()))


@pytest.fixture
def provided(project: Project) -> Project:
    """The project with the code of its job, which gives out keys."""
    checkouts.copy(checkouts.project("worker", "requirements"), project.root)
    project.commit()
    return project


def test_a_job_of_the_product(provided: Project) -> None:
    """It makes the new key and revokes the old one, in the product's own environment."""
    old = sealed(provided, PROVIDED)
    cli.follow(rotate.run(provided.repo, "dev", PROVIDED, YES))

    assert [sealed(provided, PROVIDED)] == keys(provided)
    assert old not in keys(provided)
    assert {2} == provided.runs()


def test_a_job_given_up(provided: Project) -> None:
    """The old key is sealed as before, and the new one is revoked."""
    old = sealed(provided, PROVIDED)
    provided.fail("wait")
    with pytest.raises(errors.StartError):
        cli.follow(rotate.run(provided.repo, "dev", PROVIDED, YES))
    between = keys(provided)
    provided.fail("")
    cli.follow(rotate.abort(provided.repo, "dev", PROVIDED, YES))

    assert old == sealed(provided, PROVIDED)
    assert ([old], 2) == (keys(provided), len(between))


@pytest.fixture
def verified(project: Project) -> Project:
    """The project, whose dev has the job `verify` as well."""
    path = project.root / "config/schema.yaml"
    text = path.read_text().replace("keys: [api, sandbox], environments: [local]", "keys: api")
    project.write("config/schema.yaml", text)
    project.deploy()
    return project


def test_the_product_says_that_it_works(
    verified: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the old value is revoked, the job `verify` runs with the new release, where there is one."""
    give(monkeypatch, secrets.token_urlsafe())
    cli.follow(rotate.run(verified.repo, "dev", BY_HAND, YES))

    assert "run release 3, verify python -m sandbox.verify" in capsys.readouterr().err


def test_the_product_says_that_it_does_not_work(verified: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old value is not revoked; the same command goes on when the fault is fixed."""
    give(monkeypatch, secrets.token_urlsafe())
    stepped = rotate.STEPS[: rotate.STEPS.index(rotate.confirm)]
    with monkeypatch.context() as patch:
        patch.setattr(rotate, "STEPS", stepped)
        patch.setattr(state, "end", lambda _repo, _state: None)
        cli.follow(rotate.run(verified.repo, "dev", BY_HAND, YES))
    verified.fail("verify")
    with pytest.raises(errors.SmokeError, match="the job verify failed with 1"):
        cli.follow(rotate.run(verified.repo, "dev", BY_HAND, YES))

    under_way = state.read(verified.repo, "dev", BY_HAND)
    assert under_way
    assert "deploy" == under_way.done[-1]


def test_a_secret_that_was_never_set(project: Project) -> None:
    """It is to be set first; no rotation is begun that neither ends nor can be given up."""
    values = {key: value.reveal() for key, value in environment.sealed(project.repo, "dev").items()}
    del values[BY_HAND]
    edit.encrypt(project.repo, "dev", dotenv.render(values))

    with pytest.raises(errors.UsageError, match=f"{BY_HAND} of dev has no value yet"):
        cli.follow(rotate.run(project.repo, "dev", BY_HAND, YES))
    assert state.read(project.repo, "dev", BY_HAND) is None


def test_values_of_several_lines_are_kept(project: Project) -> None:
    """What a rotation keeps sealed until it has ended comes back byte for byte."""
    rotation = state.State("dev", BY_HAND, leaked=False, who="", begun="", tag="")
    values = {state.OLD: Secret(vaults.LINES), state.NEW: Secret(f"{vaults.LINES}\\n")}

    state.hold(project.repo, rotation, values)

    assert values == state.held(project.repo, rotation)
