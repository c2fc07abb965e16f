"""What a person is shown about an environment."""

import time

from ci.delivery import engines
from ci.delivery.deploy import Deploy
from ci.ground import console, errors
from ci.ground.repo import Repo


def deployed(deploy: Deploy) -> None:
    """Say what was delivered, and where to look."""
    for one in deploy.deliveries:
        console.say(f"{one.channel:<5}  {one.to:<22}  delivered in {one.seconds:.2f} s")
    plain = deploy.environment.plain
    console.say()
    console.say(f"inbox   {plain['SMS_PROVIDER_URL']}/")
    console.say(f"api     {plain['PUBLIC_BASE_URL']}/docs")
    console.say("token   inv decrypt --env=local | grep API_TOKENS")
    console.say("next    inv status, inv logs --follow, inv stop")


def status(repo: Repo, name: str) -> None:
    """Show the current release and its replicas; NotRunningError when there are none."""
    engine = engines.of(repo, name)
    replicas = engine.replicas(repo, name)
    if not replicas:
        raise errors.NotRunningError(f"{name} does not run", f"inv deploy --env={name} starts it")
    release = engine.history(repo, name)[-1]
    console.say(f"{name}: release {release.number}, {release.sha}, by {release.who} at {release.when}")
    console.table(
        ["service", "release", "health", "process", "address", "up"],
        [
            [
                one.service,
                str(one.release),
                "ready" if engine.healthy(one) else "not ready",
                str(one.pid),
                one.address,
                f"{time.time() - one.since:.0f} s",
            ]
            for one in replicas
        ],
    )
