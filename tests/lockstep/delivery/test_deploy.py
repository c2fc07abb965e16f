"""A deploy's steps: all of them, or what ran before; the lock; the confirmation; the number of a killed one."""

import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ci.delivery import deploy, engines
from ci.ground import errors, git
from ci.sealing import edit, environment
from tests import checkouts, kills
from tests.lockstep.delivery import fake
from tests.lockstep.delivery.projects import Project

FAULTS = {"prepare": errors.StartError, "migrate": errors.MigrationError, "apply": errors.StartError}
FAULTS |= {"wait": errors.StartError, "record": errors.StartError}


def test_the_steps_are_the_runbook() -> None:
    """The tuple reads as the runbook does; a rollback is the same without what needs the repository."""
    names = [step.__name__ for step in deploy.STEPS]
    back = [step.__name__ for step in deploy.BACK]

    steps = "lock plan confirm decrypt prepare migrate apply wait smoke record verify unlock"
    assert steps.split() == names
    assert back == [name for name in names if name not in ("decrypt", "migrate", "verify")]


@pytest.mark.parametrize(
    ("form", "hint"),
    [
        (None, "inv stop --env=dev --purge removes all that it left, then deploy again"),
        (1, "inv stop --env=dev --purge removes all that it left, then deploy again"),
        (2, "inv stop --env=dev --purge removes all that it left, then deploy again"),
        (4, "use the version that recorded it, or a later one"),
    ],
)
def test_a_release_of_another_format_is_refused(project: Project, form: int | None, hint: str) -> None:
    """What another version of Lockstep recorded is neither guessed nor lost; an old one may be removed."""
    project.deploy()
    [release] = fake.state(project.repo, "dev")["releases"]
    changed = release | {"format": form} if form else {key: release[key] for key in release if key != "format"}
    fake.change(project.repo, "dev", releases=[changed])

    with pytest.raises(errors.FormatError, match=f"release 1 of dev was recorded in format {form or 1}") as caught:
        project.deploy()

    assert hint == caught.value.hint
    with engines.open(project.repo, "dev") as engine:
        engine.stop(purge=True)
    assert 1 == project.deploy().release.number


def test_a_service_gets_its_own_keys_alone(project: Project) -> None:
    """Of a release each service gets the plain and the sealed values of the keys that name it, and no other."""
    release = project.deploy().release
    sealed = environment.sealed(project.repo, "dev")
    bundle = {name: json.loads(release.bundle_for(name, sealed).reveal()) for name in release.services}

    assert {"api", "worker"} == bundle.keys()
    for name, values in bundle.items():
        own = {key.name for key in project.repo.schema.of(name)}
        assert own == {*values, *release.plain_for(name)}
        assert values == {key: sealed[key].reveal() for key in own & sealed.keys()}
    assert {"API_TOKENS"} == bundle["api"].keys() - bundle["worker"].keys()
    assert "SMTP_PASSWORD" in bundle["worker"].keys() - bundle["api"].keys()


def test_a_release_says_what_it_is(project: Project) -> None:
    """The record names image, commits, keys, bundles, who and when; of a secret it has the name alone."""
    project.deploy()

    release = project.current()
    assert release.sha == release.config == git.sha(project.root)
    assert ["main"] == list(release.images)
    assert release.images["main"].startswith("sha256:")
    assert "info" == release.plain["LOG_LEVEL"]
    assert "SMTP_PASSWORD" in release.sealed
    assert "acme.dev.1.worker" == release.services["worker"].bundle
    assert "API_TOKENS" not in release.services["worker"].keys
    assert ("healthy", "0001") == (release.result, release.revision)
    assert release.who
    assert release.when <= release.ended


@pytest.mark.parametrize("step", FAULTS)
def test_a_failed_step_leaves_what_ran(project: Project, step: str) -> None:
    """Whichever step fails, the old release runs, the failure is recorded with its reason, the lock is gone."""
    project.deploy()
    project.commit()
    project.fail(step)

    with pytest.raises(FAULTS[step]):
        project.deploy()

    assert {1} == project.runs()
    why = "the migration failed, nothing was started" if step == "migrate" else f"{step} failed on purpose"
    assert ["healthy", f"failed: {why}"] == [one.result for one in project.history()]
    assert {"acme.dev.1.api", "acme.dev.1.migrate", "acme.dev.1.worker"} == set(
        fake.state(project.repo, "dev")["bundles"]
    )
    assert fake.state(project.repo, "dev")["lock"] is None


def test_the_proxy_goes_back_too(project: Project) -> None:
    """A failed deploy ends when the proxy answers with what ran before, and with nothing else."""
    project.deploy()
    project.commit()
    project.fail("wait")
    releases = iter([2, 1, 2, 2])
    answered = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answered.append(next(releases, 1))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"release": answered[-1]}).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever).start()
        fake.change(project.repo, "dev", url=f"http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(errors.StartError, match="wait failed on purpose"):
            project.deploy()
        proxy.shutdown()

    assert [2, 1, 2, 2, 1, 1, 1, 1, 1] == answered


def test_what_ran_cannot_be_put_back(project: Project) -> None:
    """When the way back fails, too, both reasons are told, and who finishes it."""
    project.deploy()
    project.commit()
    fake.change(project.repo, "dev", fails={"wait": "never healthy", "undo": "the engine is gone"})

    with pytest.raises(errors.EngineError) as caught:
        project.deploy()

    assert "never healthy; rolling back also failed: the engine is gone" == str(caught.value)
    assert "the next inv deploy --env=dev completes it or rolls it back" in caught.value.hint


@pytest.mark.parametrize("step", FAULTS)
def test_a_failed_first_deploy_leaves_nothing(project: Project, step: str) -> None:
    """Without a release before, nothing runs after a failure, and the next deploy gets through."""
    project.fail(step)
    with pytest.raises(FAULTS[step]):
        project.deploy()
    left = project.runs()
    project.fail("")

    project.deploy()

    assert set() == left
    assert {2} == project.runs()


def test_a_bad_value_stops_a_deploy_before_it_begins(project: Project) -> None:
    """A value that does not fit the schema is refused before a number is claimed."""
    project.plain("dev", "LOG_LEVEL=info", "LOG_LEVEL=loud")

    with pytest.raises(errors.ConfigurationError):
        project.deploy()

    assert [] == project.history()


def test_a_tree_that_is_not_committed(project: Project) -> None:
    """What cannot be found again in git is not deployed."""
    (project.root / "config/dev.env").write_text("")

    with pytest.raises(errors.RefusedError, match="differs from its commit"):
        project.deploy()


def test_a_tree_that_git_cannot_compare(project: Project) -> None:
    """No answer is not the answer that nothing differs."""
    (project.root / ".git/index").write_text("damaged")

    with pytest.raises(errors.TrackedError, match="git cannot say"):
        project.deploy()


def test_a_setting_that_hides_files_from_status(project: Project) -> None:
    """A file that git does not know is seen, whatever the user's configuration leaves out."""
    checkouts.git(project.root, "config", "status.showUntrackedFiles", "no")
    (project.root / "config/new.env").write_text("")

    with pytest.raises(errors.RefusedError, match="differs from its commit"):
        project.deploy()


@pytest.mark.parametrize("typed", ["", "production"])
def test_a_protected_environment_wants_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Anything but the name, and the absence of a terminal, end the deploy before it begins."""
    project.about("dev", protected=True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: bool(typed), raising=False)
    monkeypatch.setattr("builtins.input", lambda _: typed)

    with pytest.raises(errors.NotConfirmedError, match="dev is protected"):
        project.deploy(yes=False)

    assert [] == project.history()


def test_the_name_is_typed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the environment, typed, is enough."""
    project.about("dev", protected=True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "dev")

    project.deploy(yes=False)

    assert {1} == project.runs()


def test_two_deploys_at_once(project: Project) -> None:
    """The second is told who is at work."""
    with engines.open(project.repo, "dev") as engine, engine.lock():  # noqa: SIM117, the lock is what is tested
        with pytest.raises(errors.LockedError, match=f"process {os.getpid()}"):
            project.deploy()


@pytest.mark.parametrize("step", ["lock", "plan", "decrypt", "prepare", "migrate", "apply", "wait", "record"])
def test_a_killed_deploy_is_finished_by_the_next(project: Project, step: str) -> None:
    """After SIGKILL behind any step the next deploy ends with one release, no lost lock and no orphan bundle."""
    project.deploy()
    project.commit()
    kills.deploy(project.root, "dev", "", step)

    project.deploy()

    number = project.current().number
    assert {number} == project.runs()
    assert "" not in [one.result for one in project.history()]
    healthy = [one for one in project.history() if one.result == "healthy"]
    wanted = {bundle for one in healthy for bundle in one.bundles().values()}
    assert wanted == set(fake.state(project.repo, "dev")["bundles"])
    assert fake.state(project.repo, "dev")["lock"] is None


def test_a_new_secret_gets_a_new_bundle(project: Project) -> None:
    """Each release has bundles of its own, so that a rollback finds the old values."""
    project.deploy()
    edit.put(project.repo, "dev", "SMTP_PASSWORD", "another value")
    project.commit()

    project.deploy()

    assert "acme.dev.2.api" == project.current().services["api"].bundle
    assert 6 == len(fake.state(project.repo, "dev")["bundles"])


def test_an_image_by_its_commit(project: Project) -> None:
    """--sha takes the image of that commit, with the values of HEAD."""
    old = project.commit()
    new = project.plain("dev", "LOG_LEVEL=info", "LOG_LEVEL=debug")

    project.deploy(sha=old)

    assert (old, new) == (project.current().sha, project.current().config)
    assert "debug" == project.current().plain["LOG_LEVEL"]


def test_local_goes_back_by_git(project: Project) -> None:
    """A rollback of local is refused with what does the same there."""
    with pytest.raises(errors.UsageError, match="working tree") as caught:
        project.rollback("local")

    assert "git checkout, then inv deploy --env=local" == caught.value.hint


HOOKS = "{{command: 'true', keys: api, when: {}}}"


def test_hooks_run_at_their_moments(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the migration, and after the release is recorded; those of another moment do not run."""
    project.declare("jobs", first=HOOKS.format("before_migrate"), last=HOOKS.format("after_release"))
    project.declare("jobs", never=HOOKS.format("on_failure"))

    project.deploy()

    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines() if ": done" in line]
    assert ["first:", "last:"] == lines


@pytest.mark.parametrize(("when", "left"), [("before_migrate", set()), ("after_release", {1})])
def test_a_hook_that_fails(project: Project, when: str, left: set[int]) -> None:
    """One that comes first ends the deploy before anything starts, one that comes last after it is recorded."""
    project.declare("jobs", hook=HOOKS.format(when))
    project.fail("hook")

    with pytest.raises(errors.JobError, match="the job hook failed with 1") as caught:
        project.deploy()

    assert ["hook failed on purpose"] == list(caught.value.detail)
    assert left == project.runs()


def test_a_hook_of_failures_sees_the_old_release_restored(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs when a deploy has failed, and the reason of the failure is what is told."""
    project.declare("jobs", report=HOOKS.format("on_failure"))
    project.deploy()
    project.commit()
    project.fail("wait")

    with pytest.raises(errors.StartError, match="wait failed on purpose"):
        project.deploy()

    assert "report: done" in capsys.readouterr().out
    assert {1} == project.runs()


def test_the_check_of_a_release_fails(project: Project) -> None:
    """The release runs and is recorded, which the hint says, with the end of what the job printed."""
    project.declare("jobs", verify="{command: 'true', keys: api}")
    project.fail("verify")

    with pytest.raises(errors.SmokeError, match="the job verify failed with 1") as caught:
        project.deploy()

    assert ["verify failed on purpose"] == list(caught.value.detail)
    assert "release 1 runs and is recorded" in caught.value.hint
    assert "healthy" == project.current().result


def test_no_value_is_in_what_a_job_printed(project: Project) -> None:
    """The end of what a job printed is shown without the sealed values."""
    value = environment.sealed(project.repo, "dev")["DATABASE_URL"].reveal()
    fake.change(project.repo, "dev", fails={"migrate": f"cannot reach {value}"})

    with pytest.raises(errors.MigrationError) as caught:
        project.deploy()

    assert ("cannot reach ***",) == caught.value.detail


@pytest.mark.parametrize("options", [{"sha": "HEAD"}, {"promote": True}])
def test_the_working_tree_is_no_image(project: Project, options: dict[str, Any]) -> None:
    """An environment that runs it takes no other commit's image."""
    with pytest.raises(errors.UsageError, match="local runs the working tree, not an image"):
        project.deploy("local", **options)


def test_an_old_image_runs_as_its_own_commit_says(project: Project) -> None:
    """Services, jobs and keys are those of the image's commit; a value that came later is left out."""
    old = project.commit()
    project.declare("services", worker="{command: python -m other, description: new}")
    project.declare("keys", COLOUR="{type: string, meta: {services: [api], description: new, example: red}}")
    project.write("config/dev.env", (project.root / "config/dev.env").read_text() + "COLOUR=red\n")

    project.deploy(sha=old)

    assert ("python", "-m", "worker") == project.current().services["worker"].declared.command[:3]
    assert "COLOUR" not in project.current().plain
    project.deploy()
    assert ("python", "-m", "other") == project.current().services["worker"].declared.command
    assert "red" == project.current().plain["COLOUR"]


def test_an_old_image_needs_its_own_keys(project: Project) -> None:
    """A value that the old code requires and that is gone is told before anything is done."""
    old = project.commit()
    project.declare(
        "keys", LOG_FORMAT="{type: string, default: text, meta: {services: [api], description: x, example: x}}"
    )
    project.declare("keys", SMTP_SENDER=None)
    text = (project.root / "config/dev.env").read_text()
    project.write(
        "config/dev.env", "\n".join(line for line in text.splitlines() if "SMTP_SENDER" not in line) + "\n"
    )

    with pytest.raises(errors.ConfigurationError) as caught:
        project.deploy(sha=old)

    assert ["SMTP_SENDER is missing"] == list(caught.value.detail)
    assert [] == project.history()


def test_a_default_is_a_value_of_the_release(project: Project) -> None:
    """What the plain file leaves out reaches the environment of a service as the text of the default."""
    text = (project.root / "config/dev.env").read_text()
    project.write("config/dev.env", re.sub("(?m)^(LOG_FORMAT|DATABASE_TIMEOUT_SECONDS)=.*\n", "", text))

    project.deploy()

    plain = project.current().plain_for("api")
    assert ("json", "5.0") == (plain["LOG_FORMAT"], plain["DATABASE_TIMEOUT_SECONDS"])


def test_a_service_of_one_environment(project: Project) -> None:
    """It, its jobs and the keys that it alone reads exist nowhere else."""
    project.declare("services", extra="{command: extra, environments: [dev]}")
    project.declare("keys", ONLY="{type: string, meta: {services: [extra], description: x, example: x}}")
    project.declare("jobs", once="{command: once, keys: [extra, api]}")
    project.write("config/dev.env", (project.root / "config/dev.env").read_text() + "ONLY=here\n")

    project.deploy()
    project.promote("staging")

    dev, staging = project.current("dev"), project.current("staging")
    assert {"extra"} == dev.services.keys() - staging.services.keys()
    assert {"once"} == dev.jobs.keys() - staging.jobs.keys()
    assert {"ONLY"} == dev.plain.keys() - staging.plain.keys()


def test_the_host_of_a_public_service_may_be_a_plain_value(project: Project) -> None:
    """The release has it filled in; one that no plain value has is refused."""
    project.declare("services", api="{command: a, port: 80, public: {host: '{SMTP_HOST}'}}")

    project.deploy()

    public = project.current().services["api"].declared.public
    assert public
    assert project.current().plain["SMTP_HOST"] == public.host
    project.declare("services", api="{command: a, port: 80, public: {host: '{SMTP_PASSWORD}'}}")
    with pytest.raises(errors.ConfigurationError, match="SMTP_PASSWORD, the host of api, has no plain value"):
        project.deploy()
