"""The tasks: `inv --list`. Each reads its arguments, calls one function of ci/, and hands the result to ci/cli.

Imports are inside the tasks: `inv --list` should cost nothing.
"""

import atexit
import inspect
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from ci import unhandled


@atexit.register
def printed() -> None:
    """Report that what Invoke printed did not arrive; Python would end with 120 and a traceback."""
    try:
        sys.stdout and sys.stdout.flush()
    except OSError as error:
        try:
            unhandled(type(error), error, None)
        except SystemExit as end:
            os._exit(int(end.code or 0))


sys.excepthook = unhandled


def command(body: Callable[..., None]) -> Any:
    """Make a task of a function; a fault becomes a message and the exit code.

    `recipients__list` becomes `inv recipients.list`. A parameter without a default is an option that is required.
    """
    name = body.__name__.rstrip("_").replace("__", ".")
    _, *parameters = inspect.signature(body).parameters.values()
    required = [each.name for each in parameters if each.default is each.empty]

    @wraps(body)
    def run(context: Context, **options: Any) -> None:
        # Invoke has turned the writing of bytecode off: each task would compile what it imports anew.
        sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
        from ci import cli
        from ci.cli import arguments

        with cli.reported():
            arguments.require(name, required, options)
            body(context, **options)

    # Without `positional`, Invoke takes --help for the value of an option that has no default.
    # `--push` alone is the registry of environments.yaml, `--push=NAME` another.
    return task(run, name=name, positional=[], optional=["push"])


@command
def init(_context: Context, name: str = "", post_quantum: bool = False) -> None:
    """Make this repository yours: identities, recipients, secrets; asks for what cannot be generated.

    Without a terminal, values come on stdin as lines of environment.KEY=value.
    """
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import init

    here = repo.here()
    sealing.initialised(init.init(here, name, sealing.answers(here), post_quantum=post_quantum))


@command
def set_(_context: Context, env: str, key: str) -> None:
    r"""Set one secret; its value comes from a prompt or from stdin, never from the command line.

    Several lines on stdin are kept byte for byte (< key.pem); the end of a single line is not part of the value.
    At a prompt several lines are written in double quotes, as JSON: "line 1\nline 2".
    """
    from ci.cli import prompts, sealing
    from ci.ground import repo
    from ci.sealing import edit

    here = repo.here()
    edit.put(here, env, key, prompts.value(f"{env} {key}: "))
    sealing.sealed(here, env, [key])


@command
def unset(_context: Context, env: str, key: str) -> None:
    """Remove one secret that is optional, or that the schema no longer has."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import edit

    edit.drop(repo.here(), env, key)
    sealing.unset(env, key)


@command
def encrypt(_context: Context, env: str) -> None:
    r"""Seal KEY=value lines from stdin as all of an environment's secrets.

    A value of several lines is written in double quotes, as JSON: "line 1\nline 2".
    """
    from ci.cli import prompts, sealing
    from ci.ground import repo
    from ci.sealing import edit

    here = repo.here()
    text = prompts.lines(f"KEY=value lines for {env}, then Ctrl-D")
    gone = edit.dropped(here, env, text)
    sealing.edited(edit.encrypt(here, env, text), gone)


@command
def decrypt(_context: Context, env: str) -> None:
    r"""Print an environment's secrets as KEY=value lines; they go to stdout and nowhere else.

    A value of several lines is printed in double quotes, as JSON: "line 1\nline 2".
    """
    from ci.cli import console
    from ci.ground import repo
    from ci.sealing import environment

    console.emit(environment.decrypt(repo.here(), env).reveal())


@command
def edit(_context: Context, env: str) -> None:
    """Open an environment's secrets in $VISUAL or $EDITOR; the plaintext stays in memory."""
    from ci.cli import prompts, sealing
    from ci.ground import repo
    from ci.sealing import edit, environment

    here = repo.here()
    environment.known(here, env)
    prompts.require_terminal(env)
    sealing.edited(*edit.edit(here, env, edit.editor()))


@command
def propose(_context: Context, env: str, key: str) -> None:
    """Seal one value, from a prompt or stdin, for those who can open the environment; needs no identity."""
    from ci.cli import prompts, sealing
    from ci.ground import repo
    from ci.sealing import proposal

    here = repo.here()
    sealing.proposed(here, proposal.propose(here, env, key, prompts.value(f"{env} {key}: ")))


@command
def accept(_context: Context, env: str) -> None:
    """Merge an environment's proposals into its sealed file, all or none."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import proposal

    sealing.accepted(env, proposal.accept(repo.here(), env))


@command
def recipients__list(_context: Context, env: str = "") -> None:
    """Show who can open what, and which values somebody knows who no longer may."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import members

    here = repo.here()
    sealing.overview(here, members.overview(here, env))


@command
def recipients__add(_context: Context, env: str, recipient: str, name: str = "") -> None:
    """Let somebody open an environment; they send you the line that age-keygen printed, age1..."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import members

    sealing.added(env, members.add(repo.here(), env, recipient, name))


@command
def recipients__remove(_context: Context, env: str, recipient: str = "", name: str = "") -> None:
    """Take an environment from somebody: a new data key, and the list of what they know."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import members

    here = repo.here()
    sealing.removed(here, env, *members.remove(here, env, recipient, name))


@command
def keys__rotate(_context: Context, env: str, finish: bool = False) -> None:
    """Replace the identity at hand: first a new one beside it, with --finish the old one goes."""
    from ci.cli import sealing
    from ci.ground import repo
    from ci.sealing import keys

    here = repo.here()
    if finish:
        sealing.finished(here, env, keys.finish(here, env))
    else:
        sealing.begun(env, keys.begin(here, env))


@command
def parity(_context: Context, env: str = "", sealed: bool = False) -> None:
    """Draw the matrix of keys and environments; --sealed looks at the sealed values, too, in memory."""
    from ci.cli import parity
    from ci.gates.parity import overview
    from ci.ground import repo

    raise SystemExit(parity.show(overview.read(repo.here(), env, sealed=sealed)))


@command
def build(_context: Context, sha: str = "", push: str = "") -> None:
    """Build and inspect the images of a commit; --push brings them to the registry and prints their digests."""
    from ci.cli import console
    from ci.delivery import image
    from ci.ground import repo

    registry = image.registry(repo.here(), push)
    for built in image.build(repo.here(), sha, registry):
        console.done("built" if built.new else "unchanged", f"{built.tag}, {built.size / 1e6:.0f} MB, {built.id}")
        if registry:
            console.say(image.push(built, registry))


@command
def deploy(
    _context: Context,
    env: str | None = None,
    sha: str = "",
    plan: bool = False,
    yes: bool = False,
    force: str = "",
) -> None:
    """Deploy an environment and check that it works; --plan only shows what would change (exit code 3)."""
    from ci import cli
    from ci.cli import arguments, delivery
    from ci.delivery import deploy
    from ci.ground import repo

    here = repo.here()
    name = arguments.environment(here, env)
    options = deploy.Options(sha=sha, force=force, yes=yes)
    if plan:
        raise SystemExit(delivery.planned(here, name, options))
    delivery.deployed(here, cli.follow(deploy.run(here, name, options)))


@command
def promote(
    _context: Context, to: str, sha: str = "", plan: bool = False, yes: bool = False, force: str = ""
) -> None:
    """Deploy what runs in the environment before, --sha only that; --force=REASON skips its checks, on record."""
    from ci import cli
    from ci.cli import delivery
    from ci.delivery import deploy
    from ci.ground import repo

    here = repo.here()
    options = deploy.Options(sha=sha, promote=True, force=force, yes=yes)
    if plan:
        raise SystemExit(delivery.planned(here, to, options))
    cli.follow(deploy.run(here, to, options))


@command
def rollback(_context: Context, env: str, to: int = 0, yes: bool = False, why: str = "") -> None:
    """Restore image and config of an earlier release, of the one before without --to."""
    from ci import cli
    from ci.delivery import deploy
    from ci.ground import repo

    cli.follow(deploy.back(repo.here(), env, to or None, why=why, yes=yes))


@command
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


@command
def rotation__status(_context: Context, env: str = "") -> None:
    """Show how old each sealed value is, when it is due and who changed it last; needs no identity."""
    from ci.cli import console
    from ci.ground import repo
    from ci.rotation import status

    console.table(status.HEADINGS, status.rows(repo.here(), env))


@command
def leaked(_context: Context) -> None:
    """Say where a value from a prompt or stdin occurs, without showing it: environments, git, images, releases."""
    from ci import cli
    from ci.cli import prompts, rotation
    from ci.ground import repo
    from ci.rotation import leaked

    report = cli.follow(leaked.look(repo.here(), prompts.value("the leaked value: ")))
    raise SystemExit(rotation.leaked(report))


@command
def history(_context: Context, env: str | None = None) -> None:
    """Show an environment's releases; the one with * runs."""
    from ci.cli import arguments, delivery
    from ci.ground import repo

    here = repo.here()
    delivery.history(here, arguments.environment(here, env))


@command
def drift(_context: Context, env: str) -> None:
    """Show what was changed by hand (exit code 1), and what HEAD would change."""
    from ci.cli import delivery
    from ci.ground import repo

    raise SystemExit(delivery.drift(repo.here(), env))


@command
def unlock(_context: Context, env: str) -> None:
    """Take away the lock of a deploy whose process is gone."""
    from ci.cli import console
    from ci.delivery import engines
    from ci.ground import repo

    with engines.open(repo.here(), env) as engine:
        console.done("unlocked", engine.unlock())


@command
def run(_context: Context, env: str, service: str = "", job: str = "") -> None:
    """Run a job, or a command with a service's values, once in the engine: inv run --env=dev --job=migrate.

    What follows -- is the command, word by word: inv run --env=dev --service=api -- python -m http.client.
    """
    from ci.cli import arguments, delivery
    from ci.delivery.oneoff import Reader
    from ci.ground import repo

    raise SystemExit(delivery.ran(repo.here(), env, Reader(service, job), arguments.command()))


@command
def exec_(_context: Context, env: str, service: str = "", no_redact: bool = False) -> None:
    """Run a command here with an environment's values: inv exec --env=local -- psql; what it prints hides them.

    --service gives it the values of one service or job alone; --no-redact gives it the terminal itself.
    """
    from ci.cli import arguments, delivery
    from ci.ground import repo

    here, argv = repo.here(), arguments.command()
    raise SystemExit(delivery.executed(here, env, service, argv, redacted=not no_redact))


@command
def status(_context: Context, env: str | None = None) -> None:
    """Show what runs and whether it is healthy."""
    from ci.cli import arguments, delivery
    from ci.ground import repo

    here = repo.here()
    delivery.status(here, arguments.environment(here, env))


@command
def logs(_context: Context, env: str | None = None, service: str = "", follow: bool = False) -> None:
    """Show the logs of an environment, or of one service; --follow stays."""
    from ci.cli import arguments, console
    from ci.delivery import engines
    from ci.ground import repo

    here = repo.here()
    name = arguments.environment(here, env)
    with engines.open(here, name) as engine:
        for line in engine.logs(service or None, follow=follow):
            console.say(line)


@command
def stop(_context: Context, env: str | None = None, purge: bool = False, yes: bool = False) -> None:
    """Stop an environment; --purge deletes what it keeps, too: data and identity of local, releases of others."""
    from ci import cli
    from ci.cli import arguments, console
    from ci.delivery import confirm, engines
    from ci.ground import repo

    here = repo.here()
    name = arguments.environment(here, env)
    with engines.open(here, name) as engine:
        if here.environments.by_name[name].protected and not yes:
            cli.follow(confirm.typed(name, f"{name} is protected"))
        with engine.lock():
            console.done("stopped", engine.stop(purge=purge))


namespace = Collection()
for each in [value for value in globals().values() if isinstance(value, Task)]:
    group, dot, last = each.name.rpartition(".")
    if dot and group not in namespace.collections:
        namespace.add_collection(Collection(group))
    (namespace.collections[group] if dot else namespace).add_task(each, name=last)
