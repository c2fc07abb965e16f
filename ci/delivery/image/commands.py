"""Whether an image has what its services and jobs are started by: asked of a container of it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker import errors as refusals
from docker.models.containers import Container

from ci.ground import errors, services

OLDEST = (3, 8)  # the Python that runtime/ needs
# One of them asks for the health in runtime/health.sh.
CLIENTS = ("curl", "wget", "perl", "bash", "python3", "node", "ruby", "php")
# Prints Python's version, and which modules and programs it does not find. Nothing of a module is run, and an old
# Python must be able to read it.
_PYTHON = """
import json, sys
def find(name, path):
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return next((spec for spec in (finder.find_spec(name, path) for finder in finders) if spec), None)
def lost(name):
    path, words = None, name.split(".")
    for end in range(1, len(words) + 1):
        spec = find(".".join(words[:end]), path)
        if spec is None or (spec.submodule_search_locations is None and end < len(words)):
            return True
        path = spec.submodule_search_locations
    return path is not None and find(name + ".__main__", path) is None
modules, programs = json.loads(sys.argv[1])
missing = []
if sys.version_info >= (3, 8):
    import shutil
    missing = [name for name in modules if lost(name)] + [name for name in programs if not shutil.which(name)]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""
# Prints the programs that it does not find, one a line.
_SHELL = """
for program; do
    case $program in
    */*) places=$program ;;
    *) places= IFS=:; for folder in $PATH; do places="$places:$folder/$program"; done ;;
    esac
    IFS=:; for place in $places; do [ -f "$place" ] && [ -x "$place" ] && continue 2; done
    echo "$program"
done
"""


@dataclass(frozen=True)
class Reader:
    """A service or a job of an image: what it is called in messages, and what it declares."""

    name: str
    declared: services.Service | services.Job

    @property
    def interpreter(self) -> str:
        """What its entrypoint is run by."""
        return self.declared.command[0] if self.module else "sh"

    @property
    def module(self) -> str:
        """The module that its command runs; empty for any other command."""
        return services.python_module(self.declared.command)

    @property
    def programs(self) -> list[str]:
        """The programs that its command and its health's command name."""
        health = self.health.command[:1]
        return [*health] if self.module else [self.declared.command[0], *health]

    @property
    def health(self) -> services.Health:
        """How its health is asked."""
        return getattr(self.declared, "health", services.Health())

    @property
    def asked(self) -> bool:
        """Whether its health is asked by a program of the image that speaks HTTP."""
        return not self.module and bool(self.health.ready or self.health.alive)


def problems(engine: DockerClient, image: str, readers: Sequence[Reader]) -> Iterator[str]:
    """Yield what an image lacks of what its services and jobs are started by, and asked for their health."""
    by_interpreter: Mapping[str, list[Reader]] = defaultdict(list)
    for reader in readers:
        by_interpreter[reader.interpreter].append(reader)
    for interpreter, group in by_interpreter.items():
        ask = _of_shell if interpreter == "sh" else _of_python
        yield from ask(engine, image, interpreter, group)


def run(engine: DockerClient, image: str, *words: str) -> tuple[int, str] | None:
    """Run a program of an image, without a network or a right, and return its exit code and stdout.

    None when the image has no such program.
    """
    with container(engine, image, *words) as created:
        try:
            created.start()
        except refusals.APIError as error:
            if "executable file not found" in str(error) or "no such file or directory" in str(error):
                return None
            raise
        code = created.wait()["StatusCode"]
        return code, created.logs(stdout=True, stderr=False).decode(errors="replace")


@contextmanager
def container(engine: DockerClient, image: str, *words: str) -> Iterator[Container]:
    """Create a container of an image that may do nothing, and remove it afterwards."""
    options: dict[str, Any] = {"read_only": True, "cap_drop": ["ALL"], "network_mode": "none"}
    created = engine.containers.create(image, list(words[1:]), entrypoint=list(words[:1]) or None, **options)
    try:
        yield created
    finally:
        created.remove(force=True)


def _of_python(engine: DockerClient, image: str, python: str, readers: Sequence[Reader]) -> Iterator[str]:
    modules = sorted({reader.module for reader in readers})
    programs = sorted({program for reader in readers for program in reader.programs})
    said = run(engine, image, python, "-c", _PYTHON, json.dumps([modules, programs]))
    if said is None:
        yield from (f"{reader.name}: its command {python} is not in the image" for reader in readers)
        return
    version, missing = _answer(python, said)
    for reader in readers:
        if tuple(version) < OLDEST:
            wanted, has = (".".join(map(str, numbers)) for numbers in (OLDEST, version))
            yield f"{reader.name}: {python} of the image is {has}, it needs {wanted} or later"
        if reader.module in missing:
            yield f"{reader.name}: its module {reader.module} is not in the image"
        yield from _lost(reader, missing)


def _of_shell(engine: DockerClient, image: str, shell: str, readers: Sequence[Reader]) -> Iterator[str]:
    programs = sorted({program for reader in readers for program in reader.programs}.union(CLIENTS))
    said = run(engine, image, shell, "-c", _SHELL, shell, *programs)
    if said is None:
        hint = "sh is not in the image, and only a command that begins with python -m can do without"
        yield from (f"{reader.name}: {hint}" for reader in readers)
        return
    missing = said[1].splitlines()
    for reader in readers:
        yield from _lost(reader, missing)
        if reader.asked and set(CLIENTS) <= set(missing):
            yield f"{reader.name}: its health is asked by one of {', '.join(CLIENTS)}, and none is in the image"


def _lost(reader: Reader, missing: Sequence[str]) -> Iterator[str]:
    command, health = reader.declared.command[0], reader.health.command[:1]
    if not reader.module and command in missing:
        yield f"{reader.name}: its command {command} is not in the image"
    if health and health[0] in missing:
        yield f"{reader.name}: the command of its health, {health[0]}, is not in the image"


def _answer(python: str, said: tuple[int, str]) -> tuple[list[int], list[str]]:
    try:
        version, missing = json.loads(said[1].splitlines()[-1])
    except (ValueError, IndexError):
        hint = "docker run it and see: it could not say its version"
        raise errors.BuildError(f"{python} of the image does not start, exit code {said[0]}", hint) from None
    return version, missing
