"""The verbs. Each task reads its arguments, calls one function in ci/, and prints.

Imports stand inside the tasks: `inv --list` should cost nothing.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

LOCAL = "local"


def verb(body: Callable[..., None]) -> Any:
    """Make a task of a function: faults are told once, here, and become the exit code.

    `recipients__list` becomes `inv recipients.list`.
    """

    @wraps(body)
    def told(*arguments: Any, **options: Any) -> None:
        from ci.ground.errors import reported

        with reported():
            body(*arguments, **options)

    # `--push` alone is the registry of environments.yaml, `--push=NAME` another.
    return task(told, name=body.__name__.rstrip("_").replace("__", "."), optional=["push"])


@verb
def init(_context: Context, name: str = "", post_quantum: bool = False) -> None:
    """Make this repository yours: identities, recipients, secrets; asks for what cannot be generated.

    Without a terminal, values come on stdin as lines of environment.KEY=value.
    """
    from ci.ground import repo
    from ci.sealing import ask, init

    ask.report(
        init.init(repo.here(), name or ask.name(repo.here()), ask.asker(repo.here()), post_quantum=post_quantum)
    )


@verb
def set_(_context: Context, env: str, key: str) -> None:
    """Set one secret; its value comes from a prompt or from stdin, never from the command line."""
    from ci.ground import console, repo
    from ci.sealing import ask, edit

    edit.put(repo.here(), env, key, ask.value(f"{env} {key}"))
    console.done("sealed", f"{key} in {repo.here().sealed(env).name}")


@verb
def encrypt(_context: Context, env: str) -> None:
    """Seal KEY=value lines from stdin as all of an environment's secrets."""
    from ci.ground import console, repo
    from ci.sealing import ask, edit

    keys = edit.encrypt(repo.here(), env, ask.lines(f"KEY=value lines for {env}, then Ctrl-D"))
    console.done("sealed", f"{', '.join(keys)} in {repo.here().sealed(env).name}")


@verb
def decrypt(_context: Context, env: str) -> None:
    """Print an environment's secrets as KEY=value lines; they go to stdout and nowhere else."""
    from ci.ground import console, dotenv, repo
    from ci.sealing import environment

    environment.known(repo.here(), env)
    values = environment.sealed(repo.here(), env)
    console.emit(dotenv.render({key: value.reveal() for key, value in values.items()}))


@verb
def edit(_context: Context, env: str) -> None:
    """Open an environment's secrets in $VISUAL or $EDITOR; the plaintext stays in memory."""
    import os

    from ci.ground import console, repo
    from ci.sealing import edit

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    changed, removed = edit.edit(repo.here(), env, editor)
    told = [*changed, *(f"{key} (removed)" for key in removed)]
    console.done("sealed" if told else "unchanged", ", ".join(told))


@verb
def propose(_context: Context, env: str, key: str) -> None:
    """Seal one value, from a prompt or stdin, for those who can open the environment; needs no identity."""
    from ci.ground import console, repo
    from ci.sealing import ask, proposal

    path = proposal.propose(repo.here(), env, key, ask.value(f"{env} {key}"))
    console.done("proposed", str(path.relative_to(repo.here().root)))


@verb
def accept(_context: Context, env: str) -> None:
    """Merge an environment's proposals into its sealed file, all or none."""
    from ci.ground import console, repo
    from ci.sealing import proposal

    keys = proposal.accept(repo.here(), env)
    console.done("accepted", ", ".join(keys) or f"nothing, no proposal waits for {env}")


@verb
def recipients__list(_context: Context, env: str = "") -> None:
    """Show who can open what, and which values somebody knows who no longer may."""
    from ci.ground import repo
    from ci.sealing import members, report

    report.overview(repo.here(), members.overview(repo.here(), env))


@verb
def recipients__add(_context: Context, env: str, recipient: str, name: str = "") -> None:
    """Let somebody open an environment; they send you the line that age-keygen printed, age1…."""
    from ci.ground import console, repo
    from ci.sealing import members

    console.done("added", f"{members.add(repo.here(), env, recipient, name)} opens {env}")


@verb
def recipients__remove(_context: Context, env: str, recipient: str = "", name: str = "") -> None:
    """Take an environment from somebody: a new data key, and the list of what they know."""
    from ci.ground import repo
    from ci.sealing import members, report

    report.removed(repo.here(), env, *members.remove(repo.here(), env, recipient, name))


@verb
def keys__rotate(_context: Context, env: str, finish: bool = False) -> None:
    """Replace the identity at hand: first a new one beside it, with --finish the old one goes."""
    from ci.ground import repo
    from ci.sealing import keys, report

    if finish:
        report.finished(repo.here(), env, keys.finish(repo.here(), env))
    else:
        report.begun(env, keys.begin(repo.here(), env))


@verb
def parity(_context: Context, env: str = "", sealed: bool = False) -> None:
    """Draw the matrix of keys and environments; --sealed looks at the sealed values, too, in memory."""
    from ci.gates.parity import report
    from ci.ground import repo

    raise SystemExit(report.show(repo.here(), env, sealed=sealed))


@verb
def build(_context: Context, sha: str = "", push: str = "") -> None:
    """Build and inspect the one image of a commit; --push brings it to the registry and prints its digest."""
    from ci.delivery import image
    from ci.ground import console, repo

    registry = image.registry(repo.here(), push)
    made = image.build(repo.here(), sha, registry)
    console.done("built" if made.new else "unchanged", f"{made.tag}, {made.size / 1e6:.0f} MB, {made.id}")
    if registry:
        console.say(image.push(made, registry))


@verb
def deploy(
    _context: Context, env: str = LOCAL, sha: str = "", plan: bool = False, yes: bool = False, force: str = ""
) -> None:
    """Deploy an environment and prove that it works; --plan only shows what would change (exit code 3)."""
    from ci import cli
    from ci.delivery import deploy, report
    from ci.ground import repo

    options = deploy.Options(sha=sha, force=force, yes=yes)
    if plan:
        raise SystemExit(report.planned(repo.here(), env, options))
    report.deployed(cli.follow(deploy.run(repo.here(), env, options)))


@verb
def promote(
    _context: Context, to: str, sha: str = "", plan: bool = False, yes: bool = False, force: str = ""
) -> None:
    """Deploy what runs in the environment before, --sha only that; --force=REASON skips its proof, on record."""
    from ci import cli
    from ci.delivery import deploy, report
    from ci.ground import repo

    options = deploy.Options(sha=sha, promote=True, force=force, yes=yes)
    if plan:
        raise SystemExit(report.planned(repo.here(), to, options))
    cli.follow(deploy.run(repo.here(), to, options))


@verb
def rollback(_context: Context, env: str, to: int = 0, yes: bool = False, why: str = "") -> None:
    """Restore image and config of an earlier release, of the one before without --to."""
    from ci import cli
    from ci.delivery import deploy
    from ci.ground import repo

    cli.follow(deploy.back(repo.here(), env, to or None, why=why, yes=yes))


@verb
def rotate(  # noqa: PLR0917, invoke makes options of them
    _context: Context,
    env: str,
    key: str,
    yes: bool = False,
    commit: bool = False,
    leaked: bool = False,
    abort: bool = False,
) -> None:
    """Replace one secret everywhere without a gap; killed, it goes on; --abort goes back to the old value."""
    from ci import cli
    from ci.ground import repo
    from ci.rotation import rotate

    options = rotate.Options(yes=yes, commit=commit, leaked=leaked)
    cli.follow((rotate.abort if abort else rotate.run)(repo.here(), env, key, options))


@verb
def rotation__status(_context: Context, env: str = "") -> None:
    """Show how old each sealed value is, when it is due and who changed it last; needs no identity."""
    from ci.ground import console, repo
    from ci.rotation import status

    console.table(status.HEADINGS, status.rows(repo.here(), env))


@verb
def leaked(_context: Context) -> None:
    """Say where a value from a prompt or stdin occurs, without showing it: environments, git, images, releases."""
    from ci import cli
    from ci.cli import rotation as report
    from ci.ground import repo
    from ci.rotation import leaked
    from ci.sealing import ask

    raise SystemExit(report.leaked(cli.follow(leaked.look(repo.here(), ask.value("the leaked value")))))


@verb
def history(_context: Context, env: str = LOCAL) -> None:
    """Show an environment's releases; the one with * runs."""
    from ci.delivery import report
    from ci.ground import repo

    report.history(repo.here(), env)


@verb
def drift(_context: Context, env: str) -> None:
    """Show what was changed by hand (exit code 1), and what HEAD would change."""
    from ci.delivery import report
    from ci.ground import repo

    raise SystemExit(report.drift(repo.here(), env))


@verb
def unlock(_context: Context, env: str) -> None:
    """Take away the lock of a deploy whose process is gone."""
    from ci.delivery import engines
    from ci.ground import console, repo

    with engines.open(repo.here(), env) as engine:
        console.done("unlocked", engine.unlock())


@verb
def run(context: Context, env: str, service: str = "api") -> None:
    """Run a Python module once with an environment: inv run --env=dev -- model.migrate."""
    from ci.delivery import report
    from ci.ground import repo

    raise SystemExit(report.once(repo.here(), env, service, context.remainder))


@verb
def status(_context: Context, env: str = LOCAL) -> None:
    """Show what runs and whether it is healthy."""
    from ci.delivery import report
    from ci.ground import repo

    report.status(repo.here(), env)


@verb
def logs(_context: Context, env: str = LOCAL, service: str = "", follow: bool = False) -> None:
    """Show the logs of an environment, or of one service; --follow stays."""
    from ci.delivery import engines
    from ci.ground import console, repo

    with engines.open(repo.here(), env) as engine:
        for line in engine.logs(service or None, follow=follow):
            console.say(line)


@verb
def stop(_context: Context, env: str = LOCAL, purge: bool = False, yes: bool = False) -> None:
    """Stop an environment; --purge deletes what it keeps, too: data and identity of local, releases of others."""
    from ci import cli
    from ci.delivery import confirm, engines
    from ci.ground import console, repo

    here = repo.here()
    with engines.open(here, env) as engine:
        if here.environments.by_name[env].protected and not yes:
            cli.follow(confirm.typed(env, f"{env} is protected"))
        with engine.lock():
            console.done("stopped", engine.stop(purge=purge))


namespace = Collection()
for one in [one for one in globals().values() if isinstance(one, Task)]:
    group, dot, rest = one.name.rpartition(".")
    if dot and group not in namespace.collections:
        namespace.add_collection(Collection(group))
    (namespace.collections[group] if dot else namespace).add_task(one, name=rest)
