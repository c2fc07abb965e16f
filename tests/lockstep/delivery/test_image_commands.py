import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ci.delivery.image import commands
from ci.delivery.image.commands import Reader
from ci.ground import services
from ci.ground.services import Health
from tests import engines

pytestmark = pytest.mark.engine

PRODUCT = f"""FROM {engines.BASE}
WORKDIR /srv
RUN mkdir -p pack/sub empty && echo 'raise SystemExit(3)' | tee pack/__init__.py module.py pack/sub/__main__.py \
    && touch pack/__main__.py pack/sub/__init__.py pack/module.py \
    && printf '#!/bin/sh\\necho "[[3, 6], []]"\\n' >/usr/local/bin/python3.6 \
    && printf '#!/bin/sh\\n' | tee /usr/local/bin/program program data >/dev/null \
    && chmod 755 /usr/local/bin/python3.6 /usr/local/bin/program program && chmod 700 data
USER 10001
"""
BARE = f"""FROM {engines.BASE}
RUN rm -rf /usr/bin/perl* /bin/bash /usr/bin/python3* /usr/local/bin/python*
USER 10001
"""
CLIENTS = ", ".join(commands.CLIENTS)


@contextmanager
def built(dockerfile: str) -> Iterator[str]:
    """Build an image of a Dockerfile alone, and remove it at the end."""
    name = f"t{secrets.token_hex(4)}"
    engines.client().images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name, rm=True)
    try:
        yield name
    finally:
        engines.client().images.remove(name, force=True)


@pytest.fixture(scope="module")
def product() -> Iterator[str]:
    """An image with modules that must not be run, and a few programs."""
    with built(PRODUCT) as name:
        yield name


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """An image with a shell, but no Python and nothing that speaks HTTP."""
    with built(BARE) as name:
        yield name


@pytest.fixture(scope="module")
def shellless() -> Iterator[str]:
    """An image with nothing that can be run."""
    with built("FROM scratch\nENV PATH=/bin\nUSER 10001\n") as name:
        yield name


def problems(image: str, command: str, health: Health | None = None) -> list[str]:
    """Return what an image lacks of what a service needs."""
    service = services.Service(services.words(command), health=health or Health())
    return list(commands.problems(engines.client(), image, [Reader("service web", service)]))


@pytest.mark.parametrize(
    "command",
    [
        "python -m pack --port {port}",
        "python3 -m pack.sub",
        "python3.11 -m module",
        "python -m pack.module",
        "python -m http.server",
        "program --flag",
        "./program",
        "/srv/program",
        "python module.py",
    ],
)
def test_a_command_that_an_image_has(product: str, command: str) -> None:
    """A module is found as Python finds it, without being run; a program on the PATH, or at its path."""
    assert [] == problems(product, command)


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("python -m packs", "its module packs is not in the image"),
        ("python -m pack.packs.x", "its module pack.packs.x is not in the image"),
        ("python -m empty", "its module empty is not in the image"),
        ("python -m module.x", "its module module.x is not in the image"),
        ("python3.12 -m pack", "its command python3.12 is not in the image"),
        ("python3.6 -m pack", "python3.6 of the image is 3.6, it needs 3.8 or later"),
        ("gunicorn app:app", "its command gunicorn is not in the image"),
        ("/srv/missing", "its command /srv/missing is not in the image"),
        ("./pack", "its command ./pack is not in the image"),
        ("/srv/data", "its command /srv/data is not in the image"),
        ("echo x", ""),
        ("test-x", "its command test-x is not in the image"),
    ],
)
def test_a_command_that_an_image_lacks(product: str, command: str, lacks: str) -> None:
    """It is named with its service: a module, a program, one that the image's user may not run, an old Python."""
    assert [f"service web: {lacks}"] * bool(lacks) == problems(product, command)


@pytest.mark.parametrize(
    ("command", "health", "lacks"),
    [
        ("python -m pack", Health("/"), ""),
        ("program", Health("/"), ""),
        ("program", Health(command=("program",)), ""),
        ("program", Health(command=("ask", "x")), "the command of its health, ask, is not in the image"),
        ("python -m pack", Health(command=("ask", "x")), "the command of its health, ask, is not in the image"),
    ],
)
def test_health(product: str, command: str, health: Health, lacks: str) -> None:
    """A path is asked by a program of the image's, a command must be in it."""
    assert [f"service web: {lacks}"] * bool(lacks) == problems(product, command, health)


def test_a_path_needs_a_program_that_asks(bare: str) -> None:
    """An image in which nothing speaks HTTP cannot be asked at a path; one that is not asked is fine."""
    lacks = f"service web: its health is asked by one of {CLIENTS}, and none is in the image"

    assert [lacks] == problems(bare, "sleep 9", Health(alive="/"))
    assert [] == problems(bare, "sleep 9")


def test_no_python(bare: str) -> None:
    """A Python module needs a Python."""
    assert ["service web: its command python is not in the image"] == problems(bare, "python -m app", Health("/"))


def test_no_shell(shellless: str) -> None:
    """A program that is no Python module is started by a shell."""
    [problem] = problems(shellless, "/server")

    assert problem.startswith("service web: sh is not in the image, ")


def test_several_are_asked_together(product: str) -> None:
    """Each service and job that lacks something is named, jobs as well."""
    readers = [
        Reader("service a", services.Service(("python", "-m", "pack"))),
        Reader("service b", services.Service(("gunicorn",))),
        Reader("job c", services.Job(("python", "-m", "lost"), ("a",))),
        Reader("job d", services.Job(("program",), ("a",))),
    ]

    assert [
        "job c: its module lost is not in the image",
        "service b: its command gunicorn is not in the image",
    ] == sorted(commands.problems(engines.client(), product, readers))
