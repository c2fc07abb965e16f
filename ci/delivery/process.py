"""How a service or a job is started: by which entrypoint of runtime/, with which words."""

from collections.abc import Sequence

from ci.delivery.release import Release, Service
from ci.ground import services

FOLDER = "/opt/lockstep/runtime"  # of an image: its last layer


def argv(
    release: Release,
    reader: str,
    command: Sequence[str] = (),
    *,
    bundle: str,
    folder: str = FOLDER,
    port: int = 0,
    tag: str = "",
) -> list[str]:
    """Return the words that start a service or a job, or another command with its environment.

    `bundle` is the path of its sealed values, or `-` for stdin; `folder` is where runtime/ is; `port` is where it
    listens, the one it declares by default; another command only gets to know it. A Python module runs in the
    entrypoint's own process, so that no value is in /proc; the entrypoint of any other command is a shell's.
    """
    about = release.reader(reader)
    own = about.declared.command
    words = ["--bundle", bundle, "--service", reader]
    if isinstance(about, Service) and not command:
        port = port or about.declared.port
    if port:
        words += ["--port", str(port)]
    if isinstance(about, Service) and not command and port:
        words += ["--drain", str(about.declared.drain_seconds)]
    if tag:
        words += ["--tag", tag]
    entry = [own[0], f"{folder}/entry.py"] if services.python_module(own) else ["sh", f"{folder}/entry.sh"]
    return [*entry, *words, "--", *(command or filled(release, own, port))]


def filled(release: Release, command: Sequence[str], port: int) -> list[str]:
    """Return a command with the port, and the environment, the commit and the number of its release."""
    values = {"{port}": str(port), "{sha}": release.sha, "{release}": str(release.number)}
    values["{environment}"] = release.environment
    words = list(command)
    for name, value in values.items():
        words = [word.replace(name, value) for word in words]
    return words
