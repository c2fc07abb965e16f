"""A rotation, step by step. If killed, the same command continues it; the old value outlives confirm."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ci.delivery import confirm as confirms
from ci.delivery import deploy as deploys
from ci.delivery import engines
from ci.delivery import release as releases
from ci.ground import errors, events
from ci.ground.environments import Environment
from ci.ground.events import Events, Line
from ci.ground.git import Git
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.ground.services import VERIFY
from ci.rotation import providers
from ci.rotation import state as states
from ci.rotation.state import NEW, OLD
from ci.sealing import edit, environment, exposed
from runtime import Secret


@dataclass(frozen=True)
class Options:
    """What was asked for: `yes` confirms, `commit` commits what changes, `leaked` revokes before it deploys."""

    yes: bool = False
    commit: bool = False
    leaked: bool = False


@dataclass
class Rotation:
    """What the steps of one rotation share."""

    repo: Repo
    options: Options
    state: states.State
    provider: providers.Provider
    job: providers.Job
    engine: engines.Engine
    new: Secret = field(default_factory=lambda: Secret(""))

    @property
    def about(self) -> Environment:
        """How the environment is run."""
        return self.repo.environments.by_name[self.state.environment]


Step = Callable[[Rotation], str | Events[str]]


def stage(rotation: Rotation) -> Events[str]:
    """Have a new value made, keep both sealed, and make the new one valid beside the old one."""
    if not rotation.new.reveal():
        rotation.new = yield from events.result(rotation.provider.make(rotation.job))
        edit.check(rotation.repo, rotation.job.environment, rotation.job.key, rotation.new.reveal())
        states.hold(rotation.repo, rotation.state, {OLD: rotation.job.old, NEW: rotation.new})
    rotation.provider.admit(rotation.job, rotation.new)
    return "a new value is at the provider"


def probe(rotation: Rotation) -> str:
    """Try the new value, read-only."""
    taken = rotation.provider.admits(rotation.job, rotation.new)
    if taken is False:
        raise errors.ProviderError(
            "the new value is refused", "inv rotate --abort goes back, the old one is valid"
        )
    return "the provider takes the new value" if taken else "the new value fits the schema, nobody can be asked"


def seal(rotation: Rotation) -> str:
    """Put the new value into the environment's file."""
    return _put(rotation, rotation.new)


def deploy(rotation: Rotation) -> Events[str]:
    """Give the new value to every replica: the same image, a new release."""
    rotation.state.release = yield from _deploy(rotation)
    return f"release {rotation.state.release} has the new value"


def confirm(rotation: Rotation) -> str:
    """See every replica of every service with the key run the new release, and the product say that it works."""
    text, release = _confirmed(rotation), _current(rotation)
    if VERIFY in release.jobs:
        sealed = environment.sealed(rotation.repo, rotation.about.name)
        said = deploys.verified(rotation.engine, release, sealed)
        text += f", {said[-1] if said else f'the job {VERIFY} says that it works'}"
    return text


def revoke(rotation: Rotation) -> Events[str]:
    """Make the old value invalid; if the new value contains it, the rest of that is sealed and deployed."""
    rest = yield from events.result(rotation.provider.revoke(rotation.job, rotation.job.old, rotation.new))
    if rest == rotation.new:
        return "the old value is revoked"
    text = _put(rotation, rest)
    rotation.state.release = yield from _deploy(rotation)
    text += f", {_confirmed(rotation)}"
    rotation.new = rest
    states.hold(rotation.repo, rotation.state, {OLD: rotation.job.old, NEW: rest})
    return f"the old value is left out, {text}"


def verify(rotation: Rotation) -> str:
    """See the old value refused and the new one taken."""
    old = rotation.provider.admits(rotation.job, rotation.job.old)
    if old:
        raise errors.ProviderError("the old value is still taken", "revoke it at the provider, then go on")
    if rotation.provider.admits(rotation.job, rotation.new) is False:
        raise errors.ProviderError("the new value is refused", "somebody revoked it; rotate with --leaked")
    return "the old value is refused" if old is False else "nobody can be asked, the old value counts as revoked"


def record(rotation: Rotation) -> str:
    """Note who did it and when."""
    path = states.record(rotation.repo, rotation.state)
    if rotation.about.in_git:
        _commit(rotation, f"Record the rotation of {rotation.job.key}", path)
    return f"noted in {path.relative_to(rotation.repo.root)}"


STEPS: tuple[Step, ...] = (stage, probe, seal, deploy, confirm, revoke, verify, record)
# After a leak the old value is revoked at once: what still uses it fails until the deploy has ended.
LEAKED: tuple[Step, ...] = (stage, probe, revoke, verify, seal, deploy, confirm, record)


def run(repo: Repo, name: str, key: str, options: Options) -> Events[None]:
    """Rotate one key of an environment, or continue the rotation that is under way."""
    provider = yield from providers.of(repo, providers.named(repo, name, key))
    with states.alone(repo, name), engines.open(repo, name) as engine:
        state = states.read(repo, name, key)
        if state is None:
            _old(repo, name, key)  # before anything is asked or written down
            yield from _warn(name, options, provider, repo.schema.keys[key])
            state = states.begin(repo, name, key, leaked=options.leaked)
        elif state.aborting:
            raise errors.RotationError(
                "this rotation is being given up", "the same command with --abort ends that"
            )
        rotation = _rotation(repo, options, state, provider, engine)
        for step in LEAKED if state.leaked else STEPS:
            if step.__name__ not in state.done:
                yield from events.step(step.__name__, events.about(step), partial(_noted, rotation, step))
        states.end(repo, state)


def abort(repo: Repo, name: str, key: str, options: Options) -> Events[None]:
    """Go back to the old value; RotationError once that is revoked, or when nothing is under way."""
    provider = yield from providers.of(repo, providers.named(repo, name, key))
    with states.alone(repo, name), engines.open(repo, name) as engine:
        state = states.read(repo, name, key)
        if state is None:
            raise errors.RotationError(
                f"no rotation of {key} is under way in {name}", "there is nothing to give up"
            )
        rotation = _rotation(repo, options, state, provider, engine)
        valid = provider.admits(rotation.job, rotation.job.old)
        if valid is False or (valid is None and "revoke" in state.done):
            raise errors.RotationError(
                "the old value is revoked", "only forward: the same command without --abort"
            )
        if valid is None:
            yield from rotation.job.confirm("nobody can be asked whether the old value is still valid")
        state.aborting = True
        states.write(repo, state)
        yield from _back(rotation)
        states.end(repo, state)


def _noted(rotation: Rotation, step: Step) -> Events[str]:
    """Do one step and record that it is done."""
    text = yield from events.result(step(rotation))
    rotation.state.done.append(step.__name__)
    states.write(rotation.repo, rotation.state)
    return text


def _back(rotation: Rotation) -> Events[None]:
    """Restore the old value everywhere before the new one is revoked."""
    if rotation.new.reveal():
        yield from events.step("seal", "Seal the old value", lambda: _put(rotation, rotation.job.old))
        if ("probe" if rotation.state.leaked else "seal") in rotation.state.done:  # a deploy may have begun
            yield from events.step("deploy", "Give the old value to every replica", lambda: _restored(rotation))
            yield from events.step("confirm", events.about(confirm), lambda: _confirmed(rotation))
    yield from events.step("abort", "Revoke the new value", lambda: _given_up(rotation))


def _given_up(rotation: Rotation) -> Events[str]:
    if rotation.new.reveal():
        yield from events.result(rotation.provider.revoke(rotation.job, rotation.new, rotation.job.old))
    rotation.provider.sweep(rotation.job)
    return "the old value is in use, the new one is revoked"


def _restored(rotation: Rotation) -> Events[str]:
    rotation.state.release = yield from _deploy(rotation)
    return f"release {rotation.state.release} has the old value"


def _rotation(
    repo: Repo, options: Options, state: states.State, provider: providers.Provider, engine: engines.Engine
) -> Rotation:
    kept = states.held(repo, state)
    old = kept[OLD] if kept else _old(repo, state.environment, state.key)
    plain = repo.schema.defaults() | environment.plain(repo, state.environment)
    key = repo.schema.keys[state.key]
    job = providers.Job(state.environment, key, plain, old, state.tag, state.leaked, options.yes)
    return Rotation(repo, options, state, provider, job, engine, kept.get(NEW, Secret("")))


def _old(repo: Repo, name: str, key: str) -> Secret:
    """Return the value that is sealed now; UsageError when there is none, as after an init that left it."""
    values = environment.sealed(repo, name)
    if key not in values:
        raise errors.UsageError(f"{key} of {name} has no value yet", f"inv set --env={name} --key={key}")
    return values[key]


def _warn(name: str, options: Options, provider: providers.Provider, key: Key) -> Events[None]:
    """Warn before the first step of what will fail in the meantime, and have it confirmed."""
    gap = "" if key.several else provider.gap
    if options.leaked:
        gap = "what runs with the old value fails until the deploy is through"
    if not gap:
        return
    yield Line(f"gap: {gap}")
    if not options.yes:
        yield from confirms.typed(name, "there is a gap")


def _put(rotation: Rotation, value: Secret) -> str:
    repo, job = rotation.repo, rotation.job
    edit.put(repo, job.environment, job.key, value.reveal())
    path, message = repo.sealed(job.environment), f"Rotate {job.key} of {job.environment}"
    committed = rotation.about.in_git and _commit(rotation, message, path, exposed.path(repo))
    return f"sealed in {path.name}" + (", committed" if committed else "")


def _commit(rotation: Rotation, message: str, *paths: Path) -> bool:
    """Commit the files that differ, if the options ask for it."""
    if not rotation.options.commit:
        return False
    git = Git(rotation.repo.root, own=True)
    differ = [path for path in paths if git("status", "--porcelain", "--", path)]
    if not differ:
        return False
    git("add", "--", *differ)
    git("commit", "--quiet", "-m", message, "--", *differ)
    return True


def _deploy(rotation: Rotation) -> Events[int]:
    """Deploy the sealed values and return the release that has them: the running one, if it has them already."""
    runs = _current(rotation)
    sha = runs.sha if rotation.engine.versioned else ""
    options = deploys.Options(sha=sha, yes=rotation.options.yes, rotates=rotation.job.key)
    yield from deploys.run(rotation.repo, rotation.job.environment, options)
    return _current(rotation).number


def _current(rotation: Rotation) -> releases.Release:
    """Return the release that runs; NotRunningError when there is none."""
    name, runs = rotation.job.environment, releases.current(rotation.engine.history())
    if runs is None:
        raise errors.NotRunningError(f"nothing runs in {name}", f"inv deploy --env={name}, then the same command")
    return runs


def _confirmed(rotation: Rotation) -> str:
    """Count the healthy replicas of each service with the key; RotationError where one is missing or old."""
    name, number, engine = rotation.job.environment, rotation.state.release, rotation.engine
    current = releases.current(engine.history())
    if current is None or current.number < number:
        raise errors.RotationError(f"release {number} is not the current one of {name}", "inv history shows why")
    keys = {rotation.job.key, *(key.name for key in rotation.repo.schema.parts({rotation.job.key}))}
    services = [service for service, entry in current.services.items() if not keys.isdisjoint(entry.keys)]
    running = [replica for replica in engine.replicas() if replica.service in services]
    for service in services:
        wanted = current.services[service].replicas
        replicas = [replica for replica in running if replica.service == service]
        fresh = [replica for replica in replicas if replica.release == current.number and engine.healthy(replica)]
        if len(replicas) != len(fresh) or len(fresh) < wanted:
            what = f"{len(fresh)} of {wanted} replicas of {service} run release {number}"
            raise errors.RotationError(f"{what}, {len(replicas)} in all", f"inv status --env={name}, then go on")
    return f"{len(running)} replicas of {', '.join(services)} run release {current.number}"
