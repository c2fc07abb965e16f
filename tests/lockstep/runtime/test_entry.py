import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lockstep.runtime import compiled
from tests.lockstep.runtime.test_loader import complete

SHOW = "import os, sys\nsys.stdout.buffer.write(os.environb[os.fsencode(sys.argv[1])])\n"
SHOW_LIMITS = """
import json, pathlib, resource
status = pathlib.Path('/proc/self/status')
lines = status.read_text().splitlines() if status.exists() else []
privileges = [line.split()[1] for line in lines if line.startswith('NoNewPrivs')]
print(json.dumps({'core': resource.getrlimit(resource.RLIMIT_CORE), 'no_new_privs': privileges}))
"""


def entry(folder: Path, *words: str, bundle: str = "{}", **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run the entry in a folder whose modules it may import."""
    return subprocess.run(
        [sys.executable, "-m", "runtime.entry", *words],
        input=bundle.encode(),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{compiled.folder()}{os.pathsep}{folder}"} | environ,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("value", ["p%s", "$HOME", "#", "a=b", " two  words ", "'\"", "ключ🔑", "x" * 10_000])
def test_the_bundle_becomes_the_environment(tmp_path: Path, value: str) -> None:
    """The module finds each value in os.environ, byte for byte, and gets its own arguments."""
    (tmp_path / "show.py").write_text(SHOW)

    done = entry(tmp_path, "--bundle", "-", "worker", "show", "KEY", bundle=json.dumps({"KEY": value}))

    assert (0, value.encode()) == (done.returncode, done.stdout)


def test_the_bundle_may_be_a_file(tmp_path: Path) -> None:
    """In a container the bundle is a file in memory."""
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "bundle").write_text('{"KEY": "value"}')

    assert b"value" == entry(tmp_path, "--bundle", str(tmp_path / "bundle"), "worker", "show", "KEY").stdout


@pytest.mark.parametrize(
    ("words", "bundle", "code", "expected"),
    [
        ([], "{}", 64, "name a service, one of api, worker"),
        (["wrker"], "{}", 64, "name a service, one of api, worker"),
        (["--bundle"], "{}", 64, "name a service, one of api, worker"),
        (["--bundle", "-", "worker"], "", 78, "the bundle is not JSON"),
        (["--bundle", "-", "worker"], "CANARY", 78, "the bundle is not JSON"),
        (["--bundle", "-", "worker"], "[]", 78, "not a JSON object of strings"),
        (["--bundle", "-", "worker"], '{"KEY": 1}', 78, "not a JSON object of strings"),
        (["--bundle", "-", "worker"], '{"KEY": "nul\\u0000"}', 78, "the bundle cannot be read"),
        (["--bundle", "no-such-file", "worker"], "", 78, "the bundle cannot be read"),
        (["worker", "starts"], "", 78, "worker cannot start, its configuration has problems"),
    ],
)
def test_a_start_that_cannot_be(tmp_path: Path, words: list[str], bundle: str, code: int, expected: str) -> None:
    """One error says why, the exit code is sysexits' own, and there is no traceback and no value."""
    (tmp_path / "starts.py").write_text("import runtime\nruntime.load('worker')\n")

    done = entry(tmp_path, *words, bundle=bundle)

    shown = done.stderr.decode()
    assert (code, True) == (done.returncode, expected in shown)
    assert shown.startswith("error: ")
    assert "Traceback" not in shown
    assert "CANARY" not in shown


def test_secrets_are_not_in_what_the_kernel_shows(tmp_path: Path) -> None:
    """The process was started without the values, so nobody reads them from outside."""
    canary = secrets.token_hex()
    (tmp_path / "show.py").write_text(
        "import os, psutil\nassert 'KEY' in os.environ\nme = psutil.Process()\nprint(me.environ(), me.cmdline())\n"
    )

    done = entry(tmp_path, "--bundle", "-", "worker", "show", bundle=json.dumps({"KEY": canary}))

    assert 0 == done.returncode
    assert canary.encode() not in done.stdout


def test_a_service_loads_what_the_entry_filled_in(tmp_path: Path) -> None:
    """Plain values from outside and sealed ones from the bundle together are the config."""
    (tmp_path / "show.py").write_text("import runtime\nprint(runtime.load('worker').smtp_password.reveal())\n")
    values = complete("worker")
    bundle = json.dumps({"SMTP_PASSWORD": values.pop("SMTP_PASSWORD")})

    done = entry(tmp_path, "--bundle", "-", "worker", "show", bundle=bundle, **values)

    assert json.loads(bundle)["SMTP_PASSWORD"] == done.stdout.decode().strip()


def test_a_crash_writes_no_memory_and_nothing_gains_a_right(tmp_path: Path) -> None:
    """No core file holds the secrets, and on Linux no program that a service starts gets another's rights."""
    (tmp_path / "show.py").write_text(SHOW_LIMITS)

    shown = json.loads(entry(tmp_path, "--bundle", "-", "worker", "show").stdout)

    assert [0, 0] == shown["core"]
    assert ({"1"} if sys.platform == "linux" else set()) == set(shown["no_new_privs"])
