"""What a person is shown about an environment."""

import shlex
import time

from ci.cli import console
from ci.delivery import deploy as deploys
from ci.delivery import drift as drifts
from ci.delivery import engines
from ci.delivery.deploy import Deploy, Options
from ci.delivery.release import UNFINISHED, current
from ci.ground import errors
from ci.ground.repo import Repo

CHANGES = 3  # the exit code of a plan that has something to do


def deployed(deploy: Deploy) -> None:
    """Say what was delivered, and where to look."""
    if not deploy.verified:
        return
    for delivery in deploy.deliveries:
        console.say(f"{delivery.channel:<5}  {delivery.to:<22}  delivered in {delivery.seconds:.2f} s")
    plain = deploy.release.plain
    console.say()
    console.say(f"inbox   {plain['SMS_PROVIDER_URL']}/")
    console.say(f"api     {plain['PUBLIC_BASE_URL']}/docs")
    console.say(f"token   inv decrypt --env={deploy.name} | grep API_TOKENS")
    console.say("next    inv status, inv logs --follow, inv stop")


def planned(repo: Repo, name: str, options: Options) -> int:
    """Show what a deploy would change and return the exit code: 0 nothing, 3 changes."""
    plan = deploys.preview(repo, name, options)
    for line in plan.lines():
        console.say(line)
    return 0 if plan.idle else CHANGES


def status(repo: Repo, name: str) -> None:
    """Show the current release and its replicas; NotRunningError when it has none."""
    with engines.open(repo, name) as engine:
        replicas = engine.replicas()
        if not replicas:
            raise errors.NotRunningError(f"{name} does not run", f"inv deploy --env={name} starts it")
        history = engine.history()
        rows = [
            [
                replica.service,
                str(replica.release or "-"),
                "ready" if engine.healthy(replica) else replica.state or "not ready",
                str(replica.pid),
                replica.address,
                f"{time.time() - replica.since:.0f} s",
            ]
            for replica in replicas
        ]
    if release := current(history):
        console.say(f"{name}: release {release.number}, {release.sha}, by {release.who} at {release.when}")
    if history and history[-1].result == UNFINISHED:
        number = history[-1].number
        console.say(f"release {number} is not finished: under way, or interrupted; a deploy completes it")
    console.table(["service", "release", "health", "process", "address", "up"], rows)


def history(repo: Repo, name: str) -> None:
    """Show the releases, the newest first."""
    with engines.open(repo, name) as engine:
        past = engine.history()
    now = current(past)
    console.table(
        ["release", "image", "config", "result", "when", "who", "why"],
        [
            [
                f"{release.number}{' *' if release is now else ''}",
                release.sha,
                release.config,
                release.result or "not finished",
                release.when,
                release.who,
                release.why,
            ]
            for release in reversed(past)
        ],
    )


def drift(repo: Repo, name: str) -> int:
    """Show what was changed by hand, and what HEAD would change; return 1 when there is a hand edit."""
    report = drifts.look(repo, name)
    for line in report.by_hand:
        console.say(f"{name}: {line}")
    for line in report.behind:
        console.say(f"HEAD differs: {line}")
    if not report.by_hand:
        console.say(f"{name}: no drift from release {report.release}")
    return 1 if report.by_hand else 0


def once(repo: Repo, name: str, service: str, line: str) -> int:
    """Run a module with a service's environment, show what it printed, and return its exit code."""
    with engines.open(repo, name) as engine:
        release = current(engine.history())
        if release is None:
            raise errors.NotRunningError(f"{name} has no release", f"inv deploy --env={name} makes one")
        if service not in release.services:
            raise errors.UsageError(f"no service {service}", f"take one of {', '.join(release.services)}")
        if not line:
            raise errors.UsageError("no module to run", f"inv run --env={name} -- model.migrate")
        code, lines = engine.run(release, service, shlex.split(line))
    for text in lines:
        console.say(text)
    return code
