"""What a person is shown about an environment."""

import time
from collections.abc import Sequence

from ci.cli import console
from ci.cli.progress import follow
from ci.delivery import deploy as deploys
from ci.delivery import drift as drifts
from ci.delivery import engines, oneoff
from ci.delivery.deploy import Deploy, Options
from ci.delivery.oneoff import Reader
from ci.delivery.release import UNFINISHED, current
from ci.ground import errors
from ci.ground.redaction import Stream
from ci.ground.repo import Repo

CHANGES = 3  # the exit code of a plan that has something to do


def deployed(repo: Repo, deploy: Deploy) -> None:
    """Show what the job `verify` printed, but for the line that its step shows, and where to look."""
    for line in deploy.shown[:-1]:
        console.say(line)
    if not deploy.urls:
        return
    console.say()
    width = max(map(len, [*deploy.urls, "next"])) + 2
    for service, url in deploy.urls.items():
        console.say(f"{service:<{width}}{url}")
    if deploy.name == repo.environments.default:
        console.say(f"{'next':<{width}}inv status, inv logs --follow, inv stop")


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


def ran(repo: Repo, name: str, reader: Reader, argv: Sequence[str]) -> int:
    """Run a command once in an environment's engine, show what it printed, and return its exit code."""
    code, lines = oneoff.run(repo, name, reader, argv)
    for line in lines:
        console.say(line)
    return code


def executed(repo: Repo, name: str, service: str, argv: Sequence[str], *, redacted: bool) -> int:
    """Run a command here with an environment's values, show what it prints without them, and return its code."""
    given = follow(oneoff.given(repo, name, service, argv))
    if not redacted:
        return oneoff.here(given, argv)
    streams = {number: Stream(given.redaction) for number in (1, 2)}
    return oneoff.here(given, argv, lambda number, data: console.write(number, streams[number].shown(data)))
