"""The plan: what a deploy would change, told before it does."""

import pytest

from ci.cli import delivery as report
from ci.delivery.deploy import Options
from ci.ground import errors
from ci.sealing import edit
from tests import checkouts
from tests.lockstep.delivery import fake
from tests.lockstep.delivery.projects import Project


def changes(project: Project, name: str = "dev") -> list[str]:
    return list(project.preview(name).changes)


def test_the_first_deploy(project: Project) -> None:
    """The plan of a first deploy names the image, every key, the services and the migration; no secret's value."""
    shown = "\n".join(project.preview().lines())

    assert "dev: nothing → release 1" in shown
    assert "plain     + LOG_LEVEL=info" in shown
    assert "sealed    + DATABASE_URL\n" in shown
    assert "service   + api, 1 replica" in shown
    assert "migration none → 0001" in shown


def test_nothing_to_do(project: Project) -> None:
    """A second deploy of the same has nothing to do, and makes no release."""
    project.deploy()

    deployed = project.deploy()

    assert deployed.plan.idle
    assert [1] == [one.number for one in project.history()]


@pytest.mark.parametrize(("deployed", "expected"), [(True, 0), (False, 3)])
def test_the_exit_code_of_a_plan(project: Project, deployed: bool, expected: int) -> None:  # noqa: FBT001
    """--plan ends with 0 when there is nothing to do and with 3 when there is; it changes nothing."""
    if deployed:
        project.deploy()
    before = project.history()

    code = report.planned(project.repo, "dev", Options())

    assert expected == code
    assert before == project.history()


def test_the_commits_between(project: Project) -> None:
    """The image's change is told as the commits between the two."""
    project.deploy()
    old = project.current().sha
    project.commit("first")
    new = project.commit("second")

    told = changes(project)

    assert f"image     {old} → {new}, 2 commits" == told[0]
    assert [line.split()[-1] for line in told[1:]] == ["second", "first"]


def test_a_commit_that_git_does_not_know(project: Project) -> None:
    """A release of a commit that is not in this clone is told apart from one that is."""
    project.deploy()
    project.root.joinpath(".git").rename(project.root / ".gone")
    project.root.joinpath(".gitignore").write_text("/.local/\n/.tools\n/.gone\n")
    checkouts.git(project.root, "init", "-q", "-b", "main")
    project.commit("another history")

    told = changes(project)

    assert told[0].endswith("of commits that are not in this clone")
    assert "sealed    cannot be compared, this clone has not the commit of the release that runs" in told


def test_a_plain_value(project: Project) -> None:
    """A changed plain value is told, and one that is left out by the default that takes its place."""
    project.deploy()
    project.plain("dev", "LOG_LEVEL=info\n", "LOG_LEVEL=debug\n")
    project.plain("dev", "DATABASE_TIMEOUT_SECONDS=5\n", "")

    told = changes(project)

    assert ["plain     ~ DATABASE_TIMEOUT_SECONDS: 5 → 5.0", "plain     ~ LOG_LEVEL: info → debug"] == told[-2:]


def test_a_sealed_value(project: Project) -> None:
    """A changed secret is told by its name alone, and without an identity."""
    project.deploy()
    edit.put(project.repo, "dev", "SMTP_PASSWORD", "another value")
    project.commit()
    for identity in (project.root.parent / "home").rglob("*.agekey"):
        identity.unlink()

    told = changes(project)

    assert ["sealed    ~ SMTP_PASSWORD"] == [line for line in told if line.startswith("sealed")]


def test_replicas_and_settings(project: Project) -> None:
    """What differs in environments.yaml is in the plan, the engine's own settings included."""
    project.deploy()
    project.about("dev", replicas={"api": 3, "worker": 1}, fake={"note": "big"})

    told = changes(project)

    assert ["replicas  api 1 → 3", "note      big"] == told[-2:]


def test_a_migration(project: Project) -> None:
    """A migration is announced."""
    project.deploy()
    project.migration("0002", "0001")

    assert "migration 0001 → 0002" == changes(project)[-1]


def test_drift_is_put_right(project: Project) -> None:
    """What was changed by hand is in the plan, and a deploy of the same puts it right."""
    project.deploy()
    fake.change(project.repo, "dev", running=[])

    drift = project.preview().drift
    project.deploy()

    assert ["0 replicas run, 2 should"] == list(drift)
    assert {2} == project.runs()


def test_nothing_to_do_names_the_release_that_runs(project: Project) -> None:
    """After a failed release the current one is an earlier one, and that is the one that is named."""
    project.deploy()
    project.plain("dev", "LOG_LEVEL=info", "LOG_LEVEL=debug")
    project.fail("wait")
    with pytest.raises(errors.StartError):
        project.deploy()
    project.fail("")
    project.plain("dev", "LOG_LEVEL=debug", "LOG_LEVEL=info")

    lines = list(project.preview(sha=project.current().sha).lines())

    assert ["dev: already up to date with release 1"] == lines
    assert [1, 2] == [release.number for release in project.history()]


def test_a_setup_is_no_part_of_a_release(project: Project) -> None:
    """How the packages of a service come to a machine changes nothing of what runs."""
    project.declare("services", other="{command: node other.js, setup: {run: [npm ci]}}")
    project.deploy()

    assert project.preview().idle
