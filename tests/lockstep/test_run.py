"""`run` on a machine that has nothing: the real pip, uv and venv, with an index and a mirror on loopback."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ci.ground import toolchain
from tests import checkouts
from tests.lockstep import mirrors
from tests.lockstep.mirrors import Mirror

NEEDED = ("certifi", "cerberus", "pyyaml", "uv")  # what the toolchain imports, and what installs it
PROGRAM = "#!/bin/sh\necho the tool\n"


@dataclass
class Newcomer:
    """Somebody who has a checkout, a home, and nothing else."""

    root: Path
    home: Path
    mirror: Mirror
    first: list[str] = field(default_factory=list)

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        """Start `./run` from another folder; it leads a process group."""
        known = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHON": sys.executable,
            **self.mirror.environ(),
        }
        return subprocess.Popen(
            [self.root / "run", *words],
            cwd=self.home,
            env=known | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0, **variables: str) -> tuple[str, str]:
        """Run `./run` to its end, which must have this exit code; return stdout and stderr."""
        process = self.start(*words, **variables)
        stdout, stderr = process.communicate(timeout=120)
        assert code == process.returncode, stderr
        return stdout, stderr


def pin(data: bytes) -> str:
    """Return a tools.toml with one tool."""
    one = mirrors.tool("tool", data, ["tool"])
    sha256 = one.file[1]
    return (
        f'[tool]\nversion = "{one.version}"\nrelease = "{one.release}"\nprograms = ["tool"]\ngo = []\n\n'
        f'[tool.files]\n{toolchain.this_platform()} = ["tool", "{sha256}"]\n'
    )


@pytest.fixture(scope="module")
def lock_and_mirror() -> Iterator[tuple[str, Mirror]]:
    """A mirror with one tool and the packages that `run` itself needs, and the lock file for these."""
    with mirrors.serving() as mirror:
        mirror.files["/tools/tool"] = PROGRAM.encode()
        yield mirror.offer(*NEEDED), mirror


def newcomer(folder: Path, lock_and_mirror: tuple[str, Mirror]) -> Newcomer:
    lock, mirror = lock_and_mirror
    root, home = folder / "a checkout", folder / "home"
    for name in ("ci/cli", "ci/ground", "ci/sealing", "runtime"):
        shutil.copytree(checkouts.ROOT / name, root / name)
    shutil.copy(checkouts.ROOT / "run", root)
    (root / "ci/requirements.txt").write_text(lock)
    (root / "ci/ground/tools.toml").write_text(pin(PROGRAM.encode()))
    home.mkdir()
    mirror.asked.clear()
    return Newcomer(root, home, mirror)


@pytest.fixture
def fresh(tmp_path: Path, lock_and_mirror: tuple[str, Mirror]) -> Newcomer:
    """A newcomer who has not run anything yet."""
    return newcomer(tmp_path, lock_and_mirror)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory, lock_and_mirror: tuple[str, Mirror]) -> Newcomer:
    """A newcomer who has set up everything, with two `./run` at once."""
    made = newcomer(tmp_path_factory.mktemp("settled"), lock_and_mirror)
    both = [made.start("python", "-c", "import yaml") for _ in range(2)]
    made.first = [process.communicate(timeout=120)[1] for process in both]
    assert [0, 0] == [process.returncode for process in both], made.first
    return made


def test_two_at_once_set_up_once(settled: Newcomer) -> None:
    """One installs and says what, the other waits for it and says that."""
    waited, installed = sorted(settled.first, key=len)

    assert "· waiting for another ./run\n" == waited
    assert f"· installing tool 1.2.3 from {settled.mirror.address}/tools\n✓ installed tool 1.2.3, " in installed
    assert ["a virtual environment", "uv", "Python packages", "tool 1.2.3"] == [
        line.removeprefix("✓ installed ").partition(" with ")[0].partition(",")[0]
        for line in installed.splitlines()
        if line.startswith("✓")
    ]


def test_a_later_run_says_nothing_and_asks_nobody(settled: Newcomer) -> None:
    """Once everything is there, the command starts at once, without the network."""
    settled.mirror.asked.clear()

    assert ("hello\n", "") == settled.run("echo", "hello")
    assert [] == settled.mirror.asked


def test_the_command_runs_inside(settled: Newcomer) -> None:
    """It finds the packages and the tools first, stands at the top of the checkout, and its exit code is ours."""
    where, _ = settled.run("python", "-c", "import os, sys; print(sys.prefix, os.getcwd(), sep='\\n')")

    assert [str(settled.root / ".venv"), str(settled.root)] == where.splitlines()
    assert "the tool\n" == settled.run("tool")[0]
    settled.run("sh", "-c", "exit 7", code=7)


def test_a_changed_lock_is_followed(settled: Newcomer) -> None:
    """After a git pull the packages are those of the new lock, and back again without the network."""
    lock = settled.root / "ci/requirements.txt"
    text, importing = lock.read_text(), ("python", "-c", "import certifi")
    lock.write_text(text[text.index("cerberus==") :])
    settled.run(*importing, code=1)
    settled.mirror.asked.clear()

    lock.write_text(text)
    _, told = settled.run(*importing)

    assert told.startswith("· installing Python packages\n")
    assert [] == settled.mirror.asked


def test_a_package_with_another_hash_is_not_installed(settled: Newcomer) -> None:
    """The installer's last lines, the fault and a hint are told; with the right hash the next run goes on."""
    lock = settled.root / "ci/requirements.txt"
    text = lock.read_text()
    lock.write_text(text.replace(text[text.index("sha256:") :][:71], f"sha256:{'0' * 64}"))
    (settled.root / ".venv/made-of").unlink()

    _, told = settled.run("true", code=10)
    lock.write_text(text)

    assert "  |   cause: Hash mismatch for `certifi" in told
    assert "error: Python packages could not be installed\nhint: " in told
    settled.run("python", "-c", "import certifi")


def test_a_removed_tool_comes_back(settled: Newcomer) -> None:
    """A program that is gone is noticed, and only that is installed."""
    (settled.root / ".tools/bin/tool").unlink()

    stdout, told = settled.run("tool")

    assert "the tool\n" == stdout
    assert "Python packages" not in told


def test_a_checkout_that_moved_is_set_up_again(settled: Newcomer) -> None:
    """Scripts in a virtual environment name its path, so a new path needs a new one."""
    settled.root = settled.root.rename(settled.root.with_name("moved elsewhere"))

    where, told = settled.run("python", "-c", "import sys; print(sys.prefix)")

    assert f"{settled.root}/.venv\n" == where
    assert "· installing a virtual environment" in told


def test_one_that_is_killed_is_completed_by_the_next(fresh: Newcomer) -> None:
    """After SIGKILL in the middle of a download the next run ends with everything in place."""
    fresh.mirror.stalls = "cerberus-"
    process = fresh.start("true")
    assert fresh.mirror.stalled.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    fresh.mirror.stalls = "nothing"
    fresh.mirror.released.set()

    stdout, _ = fresh.run("python", "-c", "import certifi, cerberus, yaml; print('whole')")

    assert "whole\n" == stdout


def test_without_a_python_that_will_do(fresh: Newcomer) -> None:
    """The message says what is needed, and nothing was begun."""
    _, told = fresh.run("true", code=10, PYTHON="/bin/false")

    assert told.startswith("error: there is no Python 3.11 or newer at /bin/false\nhint: install one")
    assert not (fresh.root / ".venv").exists()


def test_without_venv(fresh: Newcomer) -> None:
    """Debian's Python comes without what makes virtual environments; the hint names the package."""
    python = fresh.home / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)

    _, told = fresh.run("true", code=10, PYTHON=str(python))

    assert f"error: {python} cannot make virtual environments\nhint: on Debian and Ubuntu" in told


@pytest.mark.parametrize("path", [".venv/bin/python", ".tools/bin/tool", ".Tools", ".local/change.json"])
def test_nothing_is_run_from_a_folder_that_git_tracks(fresh: Newcomer, path: str) -> None:
    """A commit that brings programs is refused before any of them is started."""
    (fresh.root / path).parent.mkdir(parents=True, exist_ok=True)
    (fresh.root / path).write_text("#!/bin/sh\necho stolen\n")
    (fresh.root / path).chmod(0o755)
    checkouts.git(fresh.root, "init", "-q")
    checkouts.git(fresh.root, "add", "-f", path)

    _, told = fresh.run("true", code=16)

    assert told.startswith(f"error: git tracks {path}, in a folder that belongs to this machine alone\nhint: ")


def test_usage(fresh: Newcomer) -> None:
    """Without a command it says what it is for and installs nothing."""
    stdout, told = fresh.run(code=64)

    assert stdout.startswith("./run COMMAND [ARGUMENT ...]: ")
    assert "" == told
    assert not (fresh.root / ".tools").exists()
