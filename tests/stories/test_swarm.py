"""One image through dev, staging and prod on a real swarm: no request lost, nothing half done or in clear."""

import re
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import docker
import httpx
import pytest
import trustme

from ci.delivery import engines
from ci.delivery.release import HEALTHY
from ci.ground import dotenv, errors, ports
from ci.ground.repo import Repo
from tests import figures, kills, load, services, swarms
from tests.load import LONG
from tests.stories.test_failed_deploys import BAD_MIGRATION
from tests.swarms import Project

pytestmark = pytest.mark.engine
STEPS = ("decrypt", "prepare", "migrate", "apply", "wait", "smoke", "record")
ROUNDS, ENOUGH = (20, 100_000) if LONG else (1, 1_000)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Project]:
    """A project whose first image runs in dev."""
    with swarms.project(tmp_path_factory.mktemp("swarm"), postgres_url, redis_url) as made:
        made.build()
        made.inv("deploy", "--env=dev")
        yield made


def release(project: Project, name: str = "dev") -> int:
    return int(swarms.version(project.url(name))["release"])


def names(project: Project, kind: str) -> set[str]:
    """Return the names of all configs or secrets of dev."""
    found = getattr(docker.from_env(), kind).list(filters={"label": f"lockstep.project={project.name}"})
    return {one.name.removeprefix(f"{project.name}.dev.") for one in found if f"{project.name}.dev." in one.name}


def images(project: Project) -> set[str]:
    wanted = [(name, service) for name in swarms.ENVIRONMENTS for service in ("api", "worker")]
    specs = [project.service(*one).attrs["Spec"]["TaskTemplate"]["ContainerSpec"] for one in wanted]
    return {one["Image"] for one in specs}


def test_one_image_from_dev_to_prod_and_back(project: Project) -> None:
    """dev, staging and prod run one image; a second release and its rollback follow; no request fails."""
    project.inv("promote", "--to=staging")
    refused = project.inv("promote", "--to=prod", code=errors.NotConfirmedError.code)
    project.inv("promote", "--to=prod", "--yes")
    same = images(project)

    with load.upon(project.url("prod")) as asked:
        project.tweak("prod")
        project.inv("deploy", "--env=prod", "--yes")
        second = release(project, "prod")
        values = project.service("prod", "worker").attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]
        project.inv("rollback", "--env=prod", "--yes")

    figures.tell(f"{asked.asked} requests, {len(asked.failed)} failed")
    back = project.service("prod", "worker").attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]
    assert 1 == len(same)
    assert "prod is protected" in refused
    assert (2, 3) == (second, release(project, "prod"))
    assert "DELIVERY_ATTEMPTS=17" in values
    assert "DELIVERY_ATTEMPTS=16" in back
    assert [] == asked.failed
    assert asked.asked > 500
    assert "rollback to release 1" in project.inv("history", "--env=prod")
    assert 4 == project.inv("status", "--env=prod").count(" ready ") - 1
    for name in ("staging", "prod"):  # the other stories have the machine to themselves
        project.inv("stop", f"--env={name}", "--yes")


def test_deploys_and_rollbacks_under_load(project: Project) -> None:
    """New images, new values and the way back, again and again: every request is answered by a whole release.

    What is accepted while workers come and go is delivered once: none lost, none handed over twice.
    """
    shas = [project.sha("dev"), another(project)]
    with load.upon(project.url("dev")) as asked, load.messages(project.url("dev"), project.token("dev")) as sent:
        rounds = 0
        while rounds < ROUNDS or asked.asked < ENOUGH:
            rounds += 1
            project.tweak("dev")
            project.inv("deploy", "--env=dev", f"--sha={shas[rounds % 2]}")
            project.inv("rollback", "--env=dev")

    services.until(lambda: set(sent.accepted) <= project.arrived(), 60)
    told = f"{rounds} deploys, {rounds} rollbacks, {asked.asked} requests, {len(asked.failed)} failed"
    figures.tell(f"{told}; {len(sent.accepted)} messages accepted, {len(sent.refused)} refused, all arrived")
    assert ([], []) == (asked.failed, sent.refused)
    assert len(sent.accepted) > 100
    assert 0 == project.sandbox.log.read_text().count("was delivered before")


def another(project: Project) -> str:
    """Commit and build another image."""
    with (project.clone.repo.root / "app/__init__.py").open("a") as file:
        file.write("# another\n")
    sha = project.commit("another image")
    project.build()
    return sha


def test_the_proxy_speaks_tls(project: Project, tmp_path: Path, restored: None) -> None:
    """A certificate that the swarm keeps is the proxy's; a deploy that does not trust it fails."""
    authority, name = trustme.CA(), f"{project.name}-tls"
    made = authority.issue_cert("127.0.0.1")
    pair = b"".join(one.bytes() for one in (*made.cert_chain_pems, made.private_key_pem))
    subprocess.run(["docker", "secret", "create", name, "-"], input=pair, check=True, capture_output=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    path = "config/environments.yaml"
    text = project.read(path)
    port = f"port: {project.ports['dev']}"
    project.write(path, text.replace(port, f"{port}\n        certificate: {name}"))
    project.commit("tls")
    trusting = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}

    refused = project.inv("deploy", "--env=dev", f"--sha={project.sha('dev')}", code=errors.SmokeError.code)
    project.inv("deploy", "--env=dev", f"--sha={project.sha('dev')}", environ=trusting)

    url = f"https://127.0.0.1:{project.ports['dev']}/version"
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    answer = httpx.get(url, verify=context).json()
    assert "does not answer with release" in refused
    assert answer["release"] > 1
    project.write(path, text)
    project.commit("no tls")
    project.inv("deploy", "--env=dev", f"--sha={answer['sha']}")
    subprocess.run(["docker", "secret", "rm", name], check=True, capture_output=True)


def test_a_command_runs_once_with_the_environment(project: Project) -> None:
    """`inv run` has the values of the service, shows what was printed, and ends as the command does."""
    printed = project.inv("run", "--env=dev", "--job=migrate")
    failed = project.inv("run", "--env=dev", "--service=worker", "--", "python", "-m", "no.such.module", code=1)

    assert '"event": "migrated"' in printed
    assert "No module named" in failed
    assert "job" not in project.inv("status", "--env=dev")


def test_the_proxy_counts(project: Project) -> None:
    """Its metrics are for those in its network, not for the public port."""
    client: Any = docker.from_env()
    labels = [f"lockstep.project={project.name}", "lockstep.environment=dev", "lockstep.service=api"]
    api = client.containers.list(filters={"label": labels})[0]
    program = (
        f"import urllib.request as r; print(r.urlopen('http://{project.name}-dev-proxy:8404/metrics').read())"
    )

    seen = api.exec_run(["python", "-c", program]).output.decode()
    public = [httpx.get(f"{project.url('dev')}/{path}") for path in ("metrics", "%6Detrics", "metrics/", "readyz")]

    assert "haproxy_backend_http_responses_total" in seen
    assert [404] * 4 == [answer.status_code for answer in public]
    assert not [answer.text for answer in public if "haproxy_" in answer.text or "lockstep_" in answer.text]


def crash(project: Project) -> str:
    text = project.read("worker/__main__.py")
    project.write(
        "worker/__main__.py", text.replace("    main()\n", "    raise RuntimeError('crashed on purpose')\n")
    )
    project.commit("crash")
    project.build()
    return "HEAD"


def sick(project: Project) -> str:
    text = project.read("model/health.py")
    project.write("model/health.py", text.replace("set(parts.values()) == {OK}", "False"))
    project.commit("never healthy")
    project.build()
    return "HEAD"


def migration(project: Project) -> str:
    project.write("model/migrations/versions/9999_bad.py", BAD_MIGRATION)
    project.commit("a bad migration")
    project.build()
    return "HEAD"


def secret(project: Project) -> str:
    password = secrets.token_urlsafe()
    values, _ = dotenv.parse(project.inv("decrypt", "--env=dev").encode())
    url = re.sub(r":[^:@/]*@", f":{password}@", values["REDIS_URL"])
    project.inv("set", "--env=dev", "--key=REDIS_URL", text=url)
    project.commit("a bad secret")
    return project.sha("dev")


def missing(project: Project) -> str:
    project.write("README.md", "another")
    return project.commit("nobody builds it")


@pytest.fixture
def restored(project: Project) -> Iterator[None]:
    """The commit of before, when the test is over."""
    words, root = ["git", "rev-parse", "HEAD"], project.clone.repo.root
    head = subprocess.run(words, cwd=root, capture_output=True, check=True).stdout.decode().strip()
    yield
    subprocess.run(["git", "reset", "-q", "--hard", head], cwd=root, check=True)


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (crash, errors.StartError.code, "RuntimeError: crashed on purpose"),
        (
            sick,
            errors.StartError.code,
            'health: /readyz answered 503: {"database":"ok","schema":"ok","queue":"ok"}',
        ),
        (migration, errors.MigrationError.code, "no_such_function() does not exist"),
        (secret, errors.StartError.code, '{"database":"ok","schema":"ok","queue":"does not answer"}'),
        (missing, errors.EngineError.code, "there is no image"),
    ],
)
def test_a_failed_deploy_under_load(
    project: Project, restored: None, fault: FunctionType, code: int, told: str
) -> None:
    """Whatever fails, the old release goes on without a failed request, and what failed is shown."""
    before = release(project)
    sha = fault(project)

    with load.upon(project.url("dev")) as asked:
        begun = time.monotonic()
        shown = project.inv("deploy", "--env=dev", f"--sha={sha}", code=code)
        seconds = time.monotonic() - begun

    figures.tell(
        f"{fault.__name__}: {asked.asked} requests, {len(asked.failed)} failed, back after {seconds:.1f} s"
    )
    assert told in shown
    assert 'Traceback (most recent call last):\n  File "/work' not in shown
    assert before == release(project)
    assert [] == asked.failed
    assert "no drift from release" in project.inv("drift", "--env=dev")


@pytest.mark.parametrize("step", ["lock", "plan", *STEPS, *(f"in {step}" for step in STEPS if LONG)])
def test_a_killed_deploy_is_finished_by_the_next(project: Project, step: str) -> None:
    """After SIGKILL behind or in any step the next one leaves one release, no lost lock and no orphan secret."""
    sha = project.sha("dev")
    project.tweak("dev")
    kills.deploy(project.clone.repo.root, "dev", sha, step, project.clone.environ())
    project.tweak("dev")

    project.inv("deploy", "--env=dev", f"--sha={sha}")

    history = project.inv("history", "--env=dev")
    number = release(project)
    assert f"{number} *" in history
    assert "not finished" not in history
    assert {number} == {int(line.split()[1]) for line in rows(project, "dev") if line.split()[0] != "proxy"}
    assert (
        bundles(project)
        >= names(project, "secrets")
        >= {f"{number}.{reader}" for reader in ("api", "worker", "migrate")}
    )
    assert "lock" not in names(project, "configs")


def bundles(project: Project) -> set[str]:
    """Return the bundles of dev's healthy releases; a rollback's are those of the release that it restored."""
    with engines.open(Repo(project.clone.repo.root), "dev") as engine:
        past = engine.history()
    found = {bundle for one in past if one.result == HEALTHY for bundle in one.bundles().values()}
    return {one.removeprefix(f"{project.name}.dev.") for one in found}


def rows(project: Project, name: str) -> list[str]:
    return [line for line in project.inv("status", f"--env={name}").splitlines() if " ready " in line]


def test_two_deploys_at_once(project: Project) -> None:
    """The second is told by name who is at work, and the first gets through."""
    project.tweak("dev")
    sha = project.sha("dev")
    first = subprocess.Popen(
        [sys.executable, "-m", "invoke", "deploy", "--env=dev", f"--sha={sha}"],
        cwd=project.clone.repo.root,
        env=project.clone.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while "lock" not in names(project, "configs"):
        time.sleep(0.05)

    shown = project.inv("deploy", "--env=dev", f"--sha={sha}", code=errors.LockedError.code)

    assert f"process {first.pid}," in shown
    assert 0 == first.wait(timeout=120)


STRAY = "run -d --rm --name P-stray --label lockstep.project=P --label lockstep.environment=dev"


@pytest.mark.parametrize(
    "edits",
    [
        {
            "service update -d --env-add LOG_FORMAT=text P-dev-api": "api differs in its environment: LOG_FORMAT",
            "service update -d --image P:by-hand P-dev-worker": "worker differs in its image",
            "service update -d --publish-add mode=host,published=FREE,target=8404 P-dev-proxy": (
                "proxy differs in its ports"
            ),
        },
        {
            "service scale -d P-dev-api=2": "api has 2 replicas, 1 wanted",
            # Else the swarm itself would go back, to what has the secret.
            "service update -d --update-failure-action=pause --secret-rm P.dev.N.worker P-dev-worker": (
                "worker differs in its secrets"
            ),
        },
        {
            "service rm P-dev-worker": "worker does not run",
            f"{STRAY} python:3.11-slim-bookworm sleep 600": "container P-stray was started by hand",
        },
    ],
)
def test_what_was_changed_by_hand_is_found_and_put_right(project: Project, edits: dict[str, str]) -> None:
    """Each edit is named, with exit code 1, and a deploy of the same release puts all of them right."""
    number = str(release(project))
    subprocess.run(
        ["docker", "tag", f"{project.name}:{project.sha('dev')}", f"{project.name}:by-hand"], check=True
    )
    for edit in edits:
        words = re.sub(r"\bP\b", project.name, edit).replace(".N.", f".{number}.")
        words = words.replace("FREE", str(ports.free()))
        subprocess.run(["docker", *words.split()], check=True, capture_output=True)

    shown = project.inv("drift", "--env=dev", code=1)
    project.inv("deploy", "--env=dev", f"--sha={project.sha('dev')}")

    assert [] == [told for told in edits.values() if told.replace("P-", f"{project.name}-") not in shown]
    assert "no drift from release" in project.inv("drift", "--env=dev")
