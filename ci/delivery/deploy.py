"""A deploy, step by step. It ends with the new release healthy everywhere, or with the previous one untouched."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from ci.delivery import confirm as confirms
from ci.delivery import engines, migrations, promote, rollback, routes
from ci.delivery import plan as plans
from ci.delivery import release as releases
from ci.delivery import smoke as smokes
from ci.delivery.release import HEALTHY, Image, Release, current
from ci.ground import errors, events, git
from ci.ground.events import Events, Line
from ci.ground.redaction import Redaction
from ci.ground.repo import Repo
from ci.ground.services import AFTER_RELEASE, BEFORE_MIGRATE, MIGRATE, ON_FAILURE, VERIFY
from ci.sealing import environment as environments
from ci.sealing import init
from runtime import Secret


@dataclass(frozen=True)
class Options:
    """What was asked for.

    `sha` names a commit's image, which a promotion must find in the environment before; `force` says why it may
    skip that one, `rotates` which key's new value it brings.
    """

    sha: str = ""
    promote: bool = False
    force: str = ""
    yes: bool = False
    rotates: str = ""


@dataclass
class Deploy:
    """What the steps of one deploy hand on to each other."""

    repo: Repo
    name: str
    make: Callable[[Sequence[Release]], Release]
    yes: bool
    engine: engines.Engine
    held: ExitStack = field(default_factory=ExitStack)
    plan: plans.Plan = field(init=False)
    release: Release = field(init=False)
    sealed: Mapping[str, Secret] = field(default_factory=dict)
    redaction: Redaction = field(default_factory=lambda: Redaction(()))
    replicas: list[engines.Replica] = field(default_factory=list)
    database: Sequence[str] = ()
    begun: bool = False
    recorded: bool = False
    shown: list[str] = field(default_factory=list)  # what the job `verify` printed
    urls: Mapping[str, str] = field(default_factory=dict)  # of the public services


LAST_LINES = 15
Text = str | None  # what a step reports; None where there is nothing to report
Step = Callable[[Deploy], Text | Events[Text]]


def lock(deploy: Deploy) -> None:
    """Hold the environment against other deploys."""
    deploy.held.enter_context(deploy.engine.lock())


def plan(deploy: Deploy) -> Events[None]:
    """Make the release, and show what it would change."""
    before = deploy.engine.history()
    deploy.plan = _plan(deploy.repo, deploy.engine, before, deploy.make)
    deploy.release, deploy.database = deploy.plan.after, before[-1].lives_with if before else ()
    if deploy.engine.versioned:
        yield from map(Line, deploy.plan.lines())


def confirm(deploy: Deploy) -> Events[None]:
    """Have the name of a protected environment typed; NotConfirmedError without it."""
    if deploy.plan.asks and not deploy.yes:
        yield from confirms.typed(deploy.name, f"{deploy.name} is protected")


def decrypt(deploy: Deploy) -> str:
    """Open the environment in memory and check every value."""
    opened = environments.opened(deploy.repo, deploy.name)
    if deploy.engine.versioned:
        environments.check(opened, plans.schema(deploy.repo, deploy.name, deploy.engine, deploy.release.sha))
    deploy.sealed, deploy.redaction = opened.sealed, Redaction(opened.stored())
    return f"{len(opened.plain)} plain and {len(opened.sealed)} sealed values fit the schema"


def prepare(deploy: Deploy) -> str | Events[str]:
    """Remove what a killed deploy left, claim the number, start what the services rely on."""
    deploy.begun = True
    return deploy.engine.prepare(deploy.release, deploy.sealed)


def migrate(deploy: Deploy) -> Events[str | None]:
    """Run the jobs that come first, then bring the database to this release's revision."""
    yield from _hooks(deploy, BEFORE_MIGRATE, "nothing was started, the database was not migrated")
    if MIGRATE not in deploy.release.jobs:
        return None
    before, deploy.database = deploy.database, deploy.release.lives_with
    code, lines = deploy.engine.run(deploy.release, MIGRATE, (), deploy.sealed)
    if code:
        deploy.database = migrations.failed(deploy.release, before)
        fix = "fix it, then deploy again; the lines above are the end of what it printed"
        raise errors.MigrationError("the migration failed, nothing was started", fix, lines[-LAST_LINES:])
    return "the database is at this release's revision"


def apply(deploy: Deploy) -> str:
    """Start the release beside what runs."""
    deploy.replicas = deploy.engine.apply(deploy.release, deploy.sealed)
    return f"{', '.join(deploy.release.services)} of release {deploy.release.number} started"


def wait(deploy: Deploy) -> str:
    """Wait until every replica is healthy."""
    deploy.engine.wait(deploy.release, deploy.replicas)
    return "every replica is ready"


def smoke(deploy: Deploy) -> str | None:
    """Ask the proxy, as a client would, until it answers with this release alone."""
    try:
        return _answers(deploy, deploy.release)
    except errors.SmokeError as error:
        log: list[str] = []
        with suppress(errors.LockstepError):  # a log that cannot be read must not hide why the smoke test failed
            log = list(deploy.engine.logs("proxy", follow=False))
        raise errors.SmokeError(str(error), error.hint, log[-LAST_LINES:]) from None


def record(deploy: Deploy) -> str:
    """Make it the current release; the previous one drains and ends."""
    deploy.release = replace(deploy.release, result=HEALTHY, ended=releases.now())
    deploy.engine.record(deploy.release)
    deploy.recorded = True
    deploy.urls = {
        route.service: smokes.address(url, route)
        for route in routes.public(deploy.release)
        if (url := deploy.engine.url(deploy.release, route.service))
    }
    return f"release {deploy.release.number} is the current one"


def verify(deploy: Deploy) -> Events[str | None]:
    """Run the jobs that come last: the product's own check of the release, then the others."""
    text = None
    if VERIFY in deploy.release.jobs:
        lines = verified(deploy.engine, deploy.release, deploy.sealed)
        deploy.shown = list(map(deploy.redaction.text, lines))
        text = deploy.shown[-1] if deploy.shown else "the job verify says that it works"
    yield from _hooks(deploy, AFTER_RELEASE, f"release {deploy.release.number} runs and is recorded")
    return text


def verified(engine: engines.Engine, release: Release, sealed: engines.Sealed) -> list[str]:
    """Run the job `verify` and return what it printed; SmokeError when it fails."""
    code, lines = engine.run(release, VERIFY, (), sealed)
    if code:
        hint = f"release {release.number} runs and is recorded; inv logs --env={release.environment} shows more"
        raise errors.SmokeError(f"the job {VERIFY} failed with {code}", hint, lines[-LAST_LINES:])
    return lines


def unlock(deploy: Deploy) -> None:
    """Let others at the environment."""
    deploy.held.close()


STEPS: tuple[Step, ...] = (
    lock,
    plan,
    confirm,
    decrypt,
    prepare,
    migrate,
    apply,
    wait,
    smoke,
    record,
    verify,
    unlock,
)
BACK: tuple[Step, ...] = tuple(step for step in STEPS if step not in (decrypt, migrate, verify))


def run(repo: Repo, name: str, options: Options) -> Events[Deploy]:
    """Deploy, or promote, an environment and return what was done."""
    with engines.open(repo, name) as engine:
        deploy = Deploy(repo, name, forward(repo, name, engine, options), options.yes, engine)
        return (yield from _walk(STEPS, deploy))


def back(repo: Repo, name: str, to: int | None, *, why: str, yes: bool) -> Events[Deploy]:
    """Restore image and config of an old release and return what was done."""
    with engines.open(repo, name) as engine:
        if not engine.versioned:
            hint = f"git checkout, then inv deploy --env={name}"
            raise errors.UsageError(f"{name} runs the working tree, not an image", hint)
        deploy = Deploy(repo, name, lambda before: rollback.make(repo, before, to, why), yes, engine)
        return (yield from _walk(BACK, deploy))


def preview(repo: Repo, name: str, options: Options) -> plans.Plan:
    """Return what a deploy would change; it changes nothing, and needs no identity."""
    with engines.open(repo, name) as engine:
        return _plan(repo, engine, engine.history(), forward(repo, name, engine, options))


def forward(
    repo: Repo, name: str, engine: engines.Engine, options: Options
) -> Callable[[Sequence[Release]], Release]:
    """Return a function that makes the next release from the checkout's values and the requested image."""

    def make(before: Sequence[Release]) -> Release:
        if not repo.environments.by_name[name].in_git:
            init.own_values(repo, name)
        config = git.sha(repo.root)
        if engine.versioned and config.endswith(git.DIRTY):
            hint = "commit it: what is deployed can be found again in git; git status shows the difference"
            raise errors.RefusedError("the working tree differs from its commit", hint)
        plain, sealed = environments.plain(repo, name), plans.sealed_lines(repo, name)
        image, number = _image(repo, name, engine, options, current(before)), releases.following(before)
        schema = plans.schema(repo, name, engine, image.sha)
        given = {"plain": plain, "sealed": sealed, "settings": engine.recorded}
        release = releases.make(repo, name, image, schema, **given, number=number, config=config)
        release = migrations.forward(replace(release, why=options.force), before, migrations.of(repo, release))
        if options.rotates:  # only now: a release with a reason may run a migration that does not fit
            release = replace(release, why=f"rotation of {options.rotates}", rotates=options.rotates)
        return release

    return make


def _image(repo: Repo, name: str, engine: engines.Engine, options: Options, runs: Release | None) -> Image:
    """Choose the images: those of the commit named, else what is promoted, else what runs, else HEAD's."""
    follows = repo.environments.by_name[name].follows
    if not engine.versioned:
        if options.sha or options.promote:
            hint = f"git checkout, then inv deploy --env={name}"
            raise errors.UsageError(f"{name} runs the working tree, not an image", hint)
        return engine.image("", ())
    if options.promote:
        with promote.leader(repo, name) as leader:
            image = leader.image(options.sha)
            if (runs is None or image != runs.image) and not options.force:
                leader.check(image)
        return image
    if not follows:
        return _built(repo, engine, options.sha)
    if not options.sha:
        if runs is None:
            raise errors.RefusedError(
                f"nothing runs in {name}", f"inv promote --to={name} brings what {follows} runs"
            )
        return runs.image
    image = _built(repo, engine, options.sha)
    if (runs is None or image != runs.image) and not options.force:
        with promote.leader(repo, name) as leader:
            leader.check(image)
    return image


def _built(repo: Repo, engine: engines.Engine, sha: str) -> Image:
    return engine.image(sha, tuple(repo.schema_at(git.commit(repo.root, sha or "HEAD")).images))


def _hooks(deploy: Deploy, when: str, state: str) -> Events[None]:
    """Run the jobs of one moment, in the schema's order; JobError at the first that fails."""
    for name, job in deploy.release.jobs.items():
        if job.declared.when == when:
            code, lines = deploy.engine.run(deploy.release, name, (), deploy.sealed)
            if code:
                hint = "the lines above are the end of what it printed"
                raise errors.JobError(f"the job {name} failed with {code}; {state}", hint, lines[-LAST_LINES:])
            yield Line(f"{name}: done")


def _plan(
    repo: Repo,
    engine: engines.Engine,
    before: Sequence[Release],
    make: Callable[[Sequence[Release]], Release],
) -> plans.Plan:
    return plans.make(repo, engine, current(before), make(before), engine.drift())


def _walk(steps: Sequence[Step], deploy: Deploy) -> Events[Deploy]:
    """Do one step after another; if one fails, undo those before it."""
    with deploy.held:
        try:
            for step in steps:
                yield from events.step(step.__name__, events.about(step), partial(step, deploy))
                if step is plan and deploy.plan.idle and deploy.engine.versioned:
                    break
        except BaseException as error:
            if isinstance(error, errors.LockstepError) and error.detail:  # what a job or a service printed
                error.detail = tuple(map(deploy.redaction.text, error.detail))
            if deploy.begun and not deploy.recorded:
                _undo(deploy, str(error) if isinstance(error, errors.LockstepError) else type(error).__name__)
                with suppress(errors.LockstepError):  # why the deploy failed is what matters
                    yield from _hooks(deploy, ON_FAILURE, "")
            raise
    return deploy


def _undo(deploy: Deploy, why: str) -> None:
    """Restore the previous release, the proxy included; EngineError with both reasons when that fails."""
    try:
        deploy.engine.undo(replace(deploy.release, lives_with=deploy.database), why)
        if runs := current(deploy.engine.history()):
            with suppress(errors.SmokeError):  # an unreachable proxy is not why the deploy failed
                _answers(deploy, runs)
    except errors.LockstepError as fault:
        hint = f"{fault.hint}; the next inv deploy --env={deploy.name} completes it or rolls it back"
        raise errors.EngineError(f"{why}; rolling back also failed: {fault}", hint) from None


def _answers(deploy: Deploy, release: Release) -> str | None:
    """Ask the proxy, if there is one, until it answers with this release alone; SmokeError after the deadline."""
    check = smokes.check(release)
    url = deploy.engine.url(release, check.service) if check else ""
    return smokes.ask(url, release, check) if check and url else None
