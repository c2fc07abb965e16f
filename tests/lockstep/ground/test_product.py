"""The product's environment: the real uv and venv, with an index on loopback."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground import errors, product
from ci.ground.events import Began, Ended, Event, Failed
from ci.ground.repo import Repo
from ci.ground.services import Setup
from tests import checkouts
from tests.lockstep import mirrors
from tests.lockstep.mirrors import Mirror

LOCK, MORE = (f"requirements/{name}.txt" for name in ("services", "local"))
PACKAGES = ("certifi", "packaging")


@pytest.fixture(scope="module")
def index() -> Iterator[Mirror]:
    """An index with two packages."""
    with mirrors.serving() as mirror:
        mirror.offer(*PACKAGES)
        yield mirror


@pytest.fixture
def repo(tmp_path: Path, index: Mirror, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A checkout whose product needs one package; nothing was fetched before."""
    (tmp_path / "repo/requirements").mkdir(parents=True)
    (tmp_path / "repo" / LOCK).write_text(index.offer("certifi"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.address}/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    index.asked.clear()
    return Repo(tmp_path / "repo")


def environment(repo: Repo, setup: Setup) -> tuple[dict[str, str], list[Event]]:
    """Return the variables of a setup, and the events until they were there."""
    seen, events = [], product.environment(repo, setup)
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return end.value, seen


def python(repo: Repo) -> tuple[Path, list[Event]]:
    """Return the interpreter of the lock files that exist, and the events until it was there."""
    locks = tuple(name for name in (LOCK, MORE) if (repo.root / name).exists())
    variables, seen = environment(repo, Setup(python=locks))
    return Path(variables["VIRTUAL_ENV"]) / "bin/python", seen


def has(interpreter: Path, module: str) -> bool:
    """Say whether an interpreter can import a module."""
    return (
        subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    )


def test_it_has_the_packages_of_the_lock_file(repo: Repo) -> None:
    """They can be imported, those of ci/ cannot, and the events say what is installed."""
    interpreter, seen = python(repo)

    assert (True, False) == (has(interpreter, "certifi"), has(interpreter, "invoke"))
    assert interpreter.is_relative_to(repo.state / "python")
    assert Began("install", "the packages of the product") == seen[0]
    assert isinstance(seen[1], Ended)
    assert "1 packages of services.txt" == seen[1].text


def test_it_is_made_once(repo: Repo, index: Mirror) -> None:
    """The second time nothing is installed, said or fetched."""
    first, _ = python(repo)
    index.asked.clear()

    assert (first, []) == python(repo)
    assert [] == index.asked


def test_what_was_fetched_before_needs_no_network(repo: Repo, index: Mirror) -> None:
    """The packages of an environment that was removed come from uv's cache."""
    interpreter, _ = python(repo)
    shutil.rmtree(repo.state)
    index.asked.clear()

    assert has(python(repo)[0], "certifi")
    assert interpreter.exists()
    assert [] == index.asked


def test_a_second_lock_file_is_added(repo: Repo, index: Mirror) -> None:
    """What `local` needs on top is installed as well, in an environment of its own."""
    first, _ = python(repo)
    (repo.root / MORE).write_text(index.offer("packaging"))

    second, _ = python(repo)

    assert first != second
    assert (True, True) == (has(second, "certifi"), has(second, "packaging"))


def test_a_product_without_packages(repo: Repo) -> None:
    """An empty lock file gives an empty environment."""
    (repo.root / LOCK).write_text("")

    interpreter, _ = python(repo)

    assert (True, False) == (has(interpreter, "json"), has(interpreter, "certifi"))


def test_the_environment_before_is_kept(repo: Repo, index: Mirror) -> None:
    """Processes of the release before still run in it; those that are older go."""
    made = []
    for text in ("# one\n", "# two\n", "# three\n"):
        (repo.root / LOCK).write_text(text + index.offer("certifi"))
        made.append(python(repo)[0])

    assert [False, True, True] == [one.exists() for one in made]


def test_an_environment_whose_python_is_gone_is_made_again(repo: Repo) -> None:
    """After an upgrade of the system's Python the link leads nowhere."""
    interpreter, _ = python(repo)
    interpreter.unlink()
    interpreter.symlink_to(repo.root / "gone")

    again, _ = python(repo)

    assert interpreter == again
    assert has(again, "certifi")


def test_a_package_with_another_hash_is_refused(repo: Repo) -> None:
    """The words of uv are shown, and nothing is left that could be taken for an environment."""
    lock = (repo.root / LOCK).read_text()
    (repo.root / LOCK).write_text(lock.replace(lock[lock.index("sha256:") :][:71], f"sha256:{'0' * 64}"))
    seen: list[Event] = []

    with pytest.raises(errors.PackagesError) as caught:
        seen.extend(product.environment(repo, Setup(python=(LOCK,))))

    assert any("Hash mismatch" in line for line in caught.value.detail)
    assert [Began("install", "the packages of the product"), Failed("install")] == seen
    assert ["lock"] == [path.name for path in (repo.state / "python").iterdir()]


def test_a_package_without_a_hash_beside_one_is_refused(repo: Repo, index: Mirror) -> None:
    """Whatever the index serves under that name would be installed."""
    without = index.offer("packaging").partition(" ")[0]
    (repo.root / LOCK).write_text(f"{(repo.root / LOCK).read_text()}{without}\n")

    with pytest.raises(errors.PackagesError) as caught:
        python(repo)

    assert any("hash" in line for line in caught.value.detail)


def test_a_file_without_any_hash_is_installed_as_it_is(repo: Repo) -> None:
    """A product that pins nothing by hash can be carried, and a change of the file makes a new environment."""
    (repo.root / LOCK).write_text("certifi\n")

    interpreter, _ = python(repo)

    assert has(interpreter, "certifi")


def test_a_file_of_the_setup_that_is_missing_is_named(repo: Repo) -> None:
    """Lock files and watched files alike."""
    with pytest.raises(errors.ConfigurationError, match=r"names gone\.txt, package-lock\.json"):
        environment(repo, Setup(python=("gone.txt",), watch=("package-lock.json",)))


def test_commands_run_again_when_a_watched_file_changes(repo: Repo) -> None:
    """They run in the checkout, with the Python of the lock files first on PATH."""
    (repo.root / "package-lock.json").write_text("{}")
    script = "import certifi, pathlib; print(end='x', file=pathlib.Path('ran').open('a'))"
    setup = Setup((LOCK,), (("python", "-c", script),), ("package-lock.json",))
    ran = []
    for text in ("{}", "{}", "{ }", "{ }"):
        (repo.root / "package-lock.json").write_text(text)
        environment(repo, setup)
        ran.append(len((repo.root / "ran").read_text()))

    assert [1, 1, 2, 2] == ran


def test_commands_without_watched_files_run_each_time(repo: Repo) -> None:
    """Nobody knows whether they have something to do."""
    setup = Setup(run=((sys.executable, "-c", "print(end='x', file=open('ran', 'a'))"),))

    for _ in range(2):
        environment(repo, setup)

    assert "xx" == (repo.root / "ran").read_text()


def test_commands_of_two_deploys_take_turns(repo: Repo) -> None:
    """Of two that begin at once, one waits for the other: what they install into is the same folder."""
    words = ("sh", "-c", "mkdir taken && echo made >>log && sleep 0.5 && rmdir taken")
    (repo.root / "lock.json").write_text("{}")
    setup = Setup(run=(words,), watch=("lock.json",))
    both = [threading.Thread(target=environment, args=(repo, setup)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()

    assert "made\n" == (repo.root / "log").read_text()


def test_a_command_that_fails_shows_its_last_words(repo: Repo) -> None:
    """It is tried again the next time."""
    (repo.root / "package-lock.json").write_text("{}")
    setup = Setup(
        run=((sys.executable, "-c", "import sys; sys.exit('no such package')"),), watch=("package-lock.json",)
    )

    for _ in range(2):
        with pytest.raises(errors.PackagesError) as caught:
            environment(repo, setup)

        assert ["no such package"] == list(caught.value.detail)


def test_two_at_once_take_turns(repo: Repo, index: Mirror) -> None:
    """One installs, the other waits and uses the same environment."""
    found: list[tuple[Path, list[Event]]] = []
    both = [threading.Thread(target=lambda: found.append(python(repo))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert 1 == len({interpreter for interpreter, _ in found})
    assert has(found[0][0], "certifi")
    assert 1 == sum("packages" in event.text for _, seen in found for event in seen if isinstance(event, Ended))
    assert 1 == sum(asked.startswith("/wheels/") for asked in index.asked)


PROGRAM = """
import sys
from pathlib import Path
from ci.ground import product
from ci.ground.repo import Repo
from ci.ground.services import Setup
for _ in product.environment(Repo(Path(sys.argv[1])), Setup(python=("requirements/services.txt",))):
    pass
"""


def test_one_that_is_killed_is_made_by_the_next(repo: Repo, index: Mirror) -> None:
    """After SIGKILL in the middle of a download nothing is taken for an environment, and nothing is left."""
    index.stalls = "certifi-"
    killed = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, repo.root], cwd=checkouts.ROOT, env=os.environ, start_new_session=True
    )
    assert index.stalled.wait(60)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    left = [path for path in (repo.state / "python").iterdir() if path.is_dir()]
    index.stalls = "nothing"
    index.released.set()

    interpreter, _ = python(repo)

    assert 1 == len(left)
    assert left[0].name.startswith("part-")
    assert has(interpreter, "certifi")
    assert [interpreter.parents[1]] == [path for path in (repo.state / "python").iterdir() if path.is_dir()]
