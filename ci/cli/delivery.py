"""What a person is shown about an environment."""

import shlex
import time

from ci.cli import console
from ci.delivery import deploy as deploys
from ci.delivery import drift as drifts
from ci.delivery import engines
from ci.delivery.deploy import Deploy, Wish
from ci.delivery.release import UNFINISHED, current
from ci.ground import errors
from ci.ground.repo import LOCAL, Repo

CHANGES = 3  # the exit code of a plan that has something to do


def deployed(deploy: Deploy) -> None:
    """Say what was delivered, and where to look."""
    if deploy.name != LOCAL:
        return
    for one in deploy.deliveries:
        console.say(f"{one.channel:<5}  {one.to:<22}  delivered in {one.seconds:.2f} s")
    plain = deploy.release.plain
    console.say()
    console.say(f"inbox   {plain['SMS_PROVIDER_URL']}/")
    console.say(f"api     {plain['PUBLIC_BASE_URL']}/docs")
    console.say("token   inv decrypt --env=local | grep API_TOKENS")
    console.say("next    inv status, inv logs --follow, inv stop")


def planned(repo: Repo, name: str, wish: Wish) -> int:
    """Show what a deploy would change and return the exit code: 0 nothing, 3 changes."""
    plan = deploys.preview(repo, name, wish)
    for line in plan.lines():
        console.say(line)
    return 0 if plan.idle else CHANGES


def status(repo: Repo, name: str) -> None:
    """Show the current release and its replicas; NotRunningError when there are none."""
    engine = engines.of(repo, name)
    replicas = engine.replicas(repo, name)
    if not replicas:
        raise errors.NotRunningError(f"{name} does not run", f"inv deploy --env={name} starts it")
    history = engine.history(repo, name)
    if release := current(history):
        console.say(f"{name}: release {release.number}, {release.sha}, by {release.who} at {release.when}")
    if history and history[-1].result == UNFINISHED:
        console.say(f"release {history[-1].number} is not finished: under way, or cut off; a deploy puts it right")
    console.table(
        ["service", "release", "health", "process", "address", "up"],
        [
            [
                one.service,
                str(one.release or "-"),
                "ready" if engine.healthy(one) else one.state or "not ready",
                str(one.pid),
                one.address,
                f"{time.time() - one.since:.0f} s",
            ]
            for one in replicas
        ],
    )


def history(repo: Repo, name: str) -> None:
    """Show the releases, the newest first."""
    past = engines.of(repo, name).history(repo, name)
    now = current(past)
    console.table(
        ["release", "image", "config", "result", "when", "who", "why"],
        [
            [
                f"{one.number}{' *' if one is now else ''}",
                one.sha,
                one.config,
                one.result or "not finished",
                one.when,
                one.who,
                one.why,
            ]
            for one in reversed(past)
        ],
    )


def drift(repo: Repo, name: str) -> int:
    """Show what was changed by hand, and what HEAD would change; return 1 when there is a hand edit."""
    found = drifts.look(repo, name)
    for line in found.by_hand:
        console.say(f"{name}: {line}")
    for line in found.behind:
        console.say(f"HEAD differs: {line}")
    if not found.by_hand:
        console.say(f"{name}: all that runs is as release {found.release} says")
    return 1 if found.by_hand else 0


def once(repo: Repo, name: str, service: str, line: str) -> int:
    """Run a module with a service's environment, show what it printed, and return its exit code."""
    engine = engines.of(repo, name)
    release = current(engine.history(repo, name))
    if release is None:
        raise errors.NotRunningError(f"{name} has no release", f"inv deploy --env={name} makes one")
    if service not in release.services:
        raise errors.UsageError(f"no service {service}", f"take one of {', '.join(release.services)}")
    if not line:
        raise errors.UsageError("no module to run", f"inv run --env={name} -- model.migrate")
    code, lines = engine.run(repo, release, service, shlex.split(line))
    for one in lines:
        console.say(one)
    return code
