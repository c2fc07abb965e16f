"""On a real engine: a deploy against the raw calls that do the same, a plan, an image against `docker build`.

Needs a Docker engine that is a swarm's manager, and fails without one; `.ci/engine` starts one.
"""

import copy
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from bench.measure import Row
from ci.delivery import image
from ci.delivery.engines.swarm import specs
from ci.delivery.image.source import Source
from ci.ground import dotenv, git
from tests import engines, swarms
from tests.swarms import Project

ROUNDS, DEPLOYS = 5, 10
MB = 1e6


def rows() -> list[Row]:
    """Return seconds, ratios and megabytes beside their bounds."""
    with tempfile.TemporaryDirectory() as folder, swarms.alone(Path(folder)) as project:
        built = list(_images(project, Path(folder)))
        project.inv("deploy", "--env=dev")
        return [*built, *_deploys(project)]


def _images(project: Project, folder: Path) -> Iterator[Row]:
    """Compare rebuilds after a change of one source file; both have the packages of before."""
    repo, engine = project.clone.repo, engines.client()
    project.build()
    ours, plain = [], []
    for number in range(ROUNDS):
        engines.commit(repo, {"app/extra.py": f"ONE = {number}\n"})
        ours.append(_seconds(project.build))
        context = folder / f"context-{number}"
        context.mkdir()
        source = Source(repo, git.commit(repo.root, "HEAD"))
        with engines.packages(repo) as packages, source.context(packages).tar as packed:
            subprocess.run(["tar", "-x", "-C", context], stdin=packed, check=True)  # noqa: S603, S607
        (context / "app/extra.py").write_text(f"TWO = {number}\n", encoding="utf-8")
        words = ["docker", "build", "--quiet", "--tag", f"{project.name}:plain", str(context)]
        plain.append(_seconds(lambda words=words: _run(words)))  # type: ignore[misc]
    base = engine.images.get(engines.BASE).attrs["Size"]
    size = next(image.build(repo)).size
    yield "image, rebuild / plain docker build", statistics.median(ours) / statistics.median(plain), 1.3
    yield "image above its base, MB", (size - base) / MB, 120
    yield "image, all of it, MB", size / MB, None


def _deploys(project: Project) -> Iterator[Row]:
    """Compare a deploy of one changed value with the calls of the SDK that change the same.

    The least of each, for what the swarm takes varies by a second, and never to less.
    """
    values, _ = dotenv.parse(project.inv("decrypt", "--env=dev").encode())
    bundles = {
        name: json.dumps({key.name: values[key.name] for key in project.clone.repo.schema.of(name) if key.secret})
        for name in ("api", "worker")
    }
    project.tweak("dev")
    deploy = ("deploy", "--env=dev", f"--sha={project.sha('dev')}")
    plan = [_seconds(lambda: project.inv(*deploy, "--plan", code=3)) for _ in range(ROUNDS)]
    ours, raw = [], []
    for number in range(DEPLOYS):
        project.tweak("dev")
        ours.append(_seconds(lambda: project.inv(*deploy)))
        raw.append(_seconds(lambda number=number: _raw(project, bundles, number)))  # type: ignore[misc]
    yield "inv deploy --plan, s", statistics.median(plan), 1.5
    yield "inv deploy, s", min(ours), None
    yield "inv deploy less the same by raw SDK calls, s", min(ours) - min(raw), 0.5


def _raw(project: Project, bundles: Mapping[str, str], number: int) -> None:
    """Migrate, then give both services another value and another bundle until the old ones are gone, no more."""
    api: Any = docker.from_env().api
    names = {name: f"{project.name}-dev-{name}" for name in bundles}
    found = {name: api.inspect_service(service)["Spec"] for name, service in names.items()}
    for name, spec in found.items():
        container = spec["TaskTemplate"]["ContainerSpec"]
        label = {"lockstep.project": project.name, "lockstep.environment": "dev", "lockstep.kind": "bundle"}
        secret = f"{project.name}.dev.raw-{number}.{name}"
        made = api.create_secret(secret, bundles[name].encode(), label)
        container["Secrets"][0] |= {"SecretID": made["ID"], "SecretName": secret}
        container["Env"] = [one for one in container["Env"] if not one.startswith("DELIVERY_ATTEMPTS=")]
        container["Env"] += [f"DELIVERY_ATTEMPTS={number + 40}"] if name == "worker" else []
    _migrate(api, found["api"])
    for name, service in names.items():
        spec, now = found[name], api.inspect_service(service)
        api.update_service(
            now["ID"],
            now["Version"]["Index"],
            task_template=spec["TaskTemplate"],
            name=spec["Name"],
            labels=spec["Labels"],
            mode=spec["Mode"],
            update_config=spec["UpdateConfig"],
            endpoint_spec=spec["EndpointSpec"],
        )
    while not all(_replaced(api, service) for service in names.values()):
        time.sleep(0.1)


def _migrate(api: Any, spec: dict[str, Any]) -> None:
    task = copy.deepcopy(spec["TaskTemplate"]) | {"RestartPolicy": {"Condition": "none"}}
    options = ["--bundle", specs.BUNDLE, "--service", "migrate"]
    task["ContainerSpec"]["Args"] = [*options, "--", "python", "-m", "model.migrate"]
    task["ContainerSpec"].pop("Healthcheck")
    job = api.create_service(task, name=f"{spec['Name']}-migrate", labels=spec["Labels"])["ID"]
    while [one["Status"]["State"] for one in api.tasks({"service": [job]})] != ["complete"]:
        time.sleep(0.1)
    api.remove_service(job)


def _replaced(api: Any, service: str) -> bool:
    state = api.inspect_service(service)["UpdateStatus"]["State"]
    assert "rollback" not in state, f"{service} could not be updated"  # noqa: S101, a failure is not fast, it is wrong
    leaving = api.tasks({"service": service, "desired-state": "shutdown"})
    return state == "completed" and "running" not in [one["Status"]["State"] for one in leaving]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _run(words: Sequence[str]) -> None:
    environ = os.environ | {"DOCKER_BUILDKIT": "0"}  # the builder that the SDK has
    subprocess.run(words, env=environ, check=True, capture_output=True)  # noqa: S603
