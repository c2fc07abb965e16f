import ctypes
import json
import os
import secrets
import signal
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.ground import ports
from tests.lockstep.runtime import compiled, entries
from tests.lockstep.runtime.entries import Entry, bundle, connect, eventually, family, shown
from tests.lockstep.runtime.test_loader import complete

SHOW_LIMITS = """
import json, pathlib, resource
status = pathlib.Path('/proc/self/status')
lines = status.read_text().splitlines() if status.exists() else []
privileges = [line.split()[1] for line in lines if line.startswith('NoNewPrivs')]
print(json.dumps({'core': resource.getrlimit(resource.RLIMIT_CORE), 'no_new_privs': privileges}))
"""
HEAR = """
import os, signal, sys
signal.signal(getattr(signal, sys.argv[1]), lambda *_: os.write(1, f'{sys.argv[1]}\\n'.encode()))
os.write(1, b'ready\\n')
while True:
    signal.pause()
"""
SLOW = """
import os, signal, sys, time
def end(*_):
    os.write(1, b'asked\\n')
    time.sleep(1)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
os.write(1, b'ready\\n')
while True:
    signal.pause()
"""
ORPHAN = """
import os, sys, time
if not os.fork():
    if not os.fork():
        time.sleep(0.2)
    os._exit(0)
os.wait()
print('ready', flush=True)
time.sleep(600)
"""
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
VALUES = {
    "FORMAT": "p%s %d %%",
    "VARIABLE": "$HOME ${HOME} $1 $$",
    "COMMAND": "$(touch executed) `touch executed` ; touch executed & | touch executed",
    "COMMENT": "#",
    "EQUALS": "a=b",
    "BLANKS": "  two  words ",
    "TABS": "\ta\t",
    "QUOTES": "'\"'' \"\" '\\'' \\' \\\" '",
    "ONE_QUOTE": "'",
    "BACKSLASHES": "\\ \\\\ \\n \\0 \\",
    "NEWLINES": "\n\na\n\nb\n\n",
    "CRLF": "a\r\nb\r\n",
    "CARRIAGE": "\r",
    "PEM": "-----BEGIN PRIVATE KEY-----\n" + f"{'Ab+/' * 16}\n" * 24 + "-----END PRIVATE KEY-----\n",
    "JSON": json.dumps({"key": 'it\'s "quoted"\n', "list": [1, None]}, indent=2),
    "UNICODE": "ключ🔑" + "".join(map(chr, range(0x80, 0x900))),
    "CONTROL": "".join(map(chr, range(1, 32))) + "\x7f",
    "LOOKS_LIKE_ONE": "x'\nOTHER='y",
    "LONG": "".join(secrets.choice(string.printable) for _ in range(65_536)),
    "EMPTY": "",
}
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@pytest.fixture(params=entries.KINDS)
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Entry]:
    """Each entrypoint, entry.sh in each shell that is here."""
    with entries.entry(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Entry]:
    """Only entry.py."""
    with entries.entry("python", tmp_path) as made:
        yield made


@pytest.mark.parametrize("drain", [[], ["--port", "8000", "--drain", "3"]], ids=["", "drain"])
@pytest.mark.parametrize("source", ["stdin", "file"])
def test_the_bundle_becomes_the_environment(entry: Entry, source: str, drain: list[str]) -> None:
    """The module finds each value in its environment, byte for byte, and nothing of a value is executed."""
    (entry.folder / "bundle").write_bytes(bundle(entry.kind, VALUES))
    words = ["--bundle", "-" if source == "stdin" else str(entry.folder / "bundle"), *drain]

    done = entry.run(*words, *entry.python("show"), stdin=(entry.folder / "bundle").read_bytes())

    assert VALUES == {name: value for name, value in shown(done).items() if name in VALUES}
    assert "OTHER" not in shown(done)
    assert not (entry.folder / "executed").exists()


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(text, min_size=1, max_size=50))
def test_any_text_reaches_the_process(entry: Entry, texts: list[str]) -> None:
    """Whatever the values, the module's environment has the same."""
    values = {f"KEY_{number}": value for number, value in enumerate(texts)}

    environ = shown(entry.run("--bundle", "-", *entry.python("show"), stdin=bundle(entry.kind, values)))

    assert values == {name: environ.get(name) for name in values}


def test_a_locale_changes_no_byte(python: Entry) -> None:
    """A value is UTF-8 in the environment, whatever encoding the system has."""
    (python.folder / "raw.py").write_text("import os, sys\nsys.stdout.buffer.write(os.environb[b'KEY'])\n")
    words = ["--bundle", "-", *python.python("raw")]
    latin = {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    done = python.run(*words, stdin='{"KEY": "ключ"}'.encode(), **latin)

    assert "ключ".encode() == done.stdout


@pytest.mark.parametrize("drain", [[], ["--port", "8000", "--drain", "3"]], ids=["", "drain"])
def test_stdin_is_the_command_s(entry: Entry, drain: list[str]) -> None:
    """What the bundle does not take of stdin, the command can read."""
    done = entry.run(*drain, "--", "cat", stdin=b"to read")

    assert (0, b"to read") == (done.returncode, done.stdout)


def test_values_are_not_in_what_the_kernel_shows(entry: Entry) -> None:
    """No command line has a value; the environment that a process started with has none, if it runs a module."""
    marker = secrets.token_hex()
    port = str(ports.free())
    words = ["--bundle", "-", "--port", port, "--drain", "9", *entry.python("server", port)]

    process = entry.start(*words, stdin=bundle(entry.kind, {"KEY": marker}))

    processes = family(process)
    assert 2 == len(processes)
    assert not [each for each in processes if marker in str(each.cmdline())]
    exposed = [marker in str(each.environ()) for each in processes]
    assert [False, entry.kind != "python"] == exposed


def test_defaults_reach_the_environment(python: Entry) -> None:
    """A key that is absent is in the environment with its default, in the form that the loader reads."""
    expected = {"LEVEL": "info", "DEBUG": "false", "COUNT": "3", "RATIO": "0.00001", "LARGE": "1" + 20 * "0"}

    environ = shown(python.run(*python.python("show")))

    assert expected == {name: environ.get(name) for name in expected}
    assert "4" == shown(python.run(*python.python("show"), COUNT="4"))["COUNT"]
    assert not {"NOTE", "NEEDED"} & environ.keys()


def test_a_job_gets_its_own_keys(python: Entry) -> None:
    """A job is named as a service is, and gets the defaults of the keys that name it."""
    environ = shown(python.run(*python.python("show"), service="migrate"))

    assert ("info", False) == (environ["LEVEL"], "COUNT" in environ)


def test_defaults_can_be_loaded(python: Entry) -> None:
    """A product that calls load itself finds its defaults unchanged."""
    (python.folder / "loads.py").write_text(
        "import runtime\nc = runtime.load('web')\nprint(c.debug, c.ratio, c.large)\n"
    )

    assert b"False 1e-05 1e+20\n" == python.run(*python.python("loads")).stdout


@pytest.mark.parametrize("program", ["module", "command"])
def test_a_wrong_configuration_starts_nothing(python: Entry, program: str) -> None:
    """A product that never calls load does not start with a key missing, and the key is named."""
    (python.folder / "starts.py").write_text("print('started')\n")
    command = python.python("starts") if program == "module" else ["--", "echo", "started"]

    done = python.run(*command, service="strict")

    assert (78, b"") == (done.returncode, done.stdout)
    assert b"error: strict cannot start" in done.stderr
    assert b"NEEDED is not set" in done.stderr


def test_a_default_hides_no_slip(python: Entry) -> None:
    """A variable whose name is nearly that of a key with a default is still pointed out."""
    done = python.run(*python.python("show"), LEVVEL="debug")

    assert (78, True) == (done.returncode, b"did you mean LEVEL?" in done.stderr)


def test_a_service_loads_what_the_entry_filled_in(tmp_path: Path) -> None:
    """Plain values from outside and sealed ones from the bundle together are the config."""
    (tmp_path / "show.py").write_text("import runtime\nprint(runtime.load('worker').smtp_password.reveal())\n")
    values = complete("worker")
    bundle = json.dumps({"SMTP_PASSWORD": values.pop("SMTP_PASSWORD")})
    words = ["--bundle", "-", "--service", "worker", "--", "python", "-m", "show"]

    done = subprocess.run(
        [sys.executable, compiled.folder() / "runtime/entry.py", *words],
        input=bundle.encode(),
        cwd=tmp_path,
        env=values,
        capture_output=True,
        check=False,
    )

    assert json.loads(bundle)["SMTP_PASSWORD"] == done.stdout.decode().strip()


@pytest.mark.parametrize("drain", [[], ["--drain", "3"]], ids=["", "drain"])
def test_the_port_is_in_the_environment(entry: Entry, drain: list[str]) -> None:
    """PORT is the port that was given, unless it is set already."""
    words = ["--port", "8123", *drain, *entry.python("show")]

    assert "8123" == shown(entry.run(*words))["PORT"]
    assert "99" == shown(entry.run(*words, PORT="99"))["PORT"]
    assert "PORT" not in shown(entry.run(*entry.python("show")))


def test_modules_are_found_as_without_the_entry(python: Entry) -> None:
    """The path is that of `python -m` with the folder of runtime/ as its last, and so are the arguments."""
    (python.folder / "path.py").write_text("import json, sys\nprint(json.dumps([sys.path, sys.argv, __name__]))\n")
    environ = {"PATH": os.environ["PATH"]}
    plain = [sys.executable, "-m", "path", "a", "--", "b"]

    bare = subprocess.run(plain, cwd=python.folder, env=environ, capture_output=True, check=True)
    done = python.run(*python.python("path", "a", "--", "b"))

    path, *rest = json.loads(bare.stdout)
    assert [[*path, str(python.folder / "lockstep")], *rest] == json.loads(done.stdout)


def test_a_program_that_the_module_starts_finds_runtime(python: Entry) -> None:
    """A Python child of the service can import runtime, behind what PYTHONPATH named before."""
    (python.folder / "forks.py").write_text(
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import runtime'], check=True, cwd='/')\n"
        "print(os.environ['PYTHONPATH'])\n"
    )

    done = python.run(*python.python("forks"), PYTHONPATH="/first")

    assert f"/first{os.pathsep}{python.folder}/lockstep\n".encode() == done.stdout


@pytest.mark.parametrize("words", [["/etc/passwd"], ["."]])
def test_what_is_not_executable_is_126(python: Entry, words: list[str]) -> None:
    """The exit code is a shell's, and the error names the command."""
    done = python.run("--", *words)

    assert (126, True) == (done.returncode, done.stderr.startswith(f"error: the command {words[0]} ".encode()))


@pytest.mark.parametrize("drain", [[], ["--port", "8000", "--drain", "3"]], ids=["", "drain"])
def test_the_exit_code_is_the_command_s(entry: Entry, drain: list[str]) -> None:
    """Its own, 128 and the signal that ended it, or 127 when there is no such command."""
    codes = [
        entry.run(*drain, "--", "sh", "-c", program).returncode
        for program in ("exit 0", "exit 7", "kill -KILL $$")
    ]
    missing = entry.run(*drain, "--", "no-such-command")

    assert [0, 7, 137 if drain else -9] == codes
    assert (127, b"error: the command no-such-command is not found\n") == (missing.returncode, missing.stderr)


@pytest.mark.parametrize("drain", [[], ["--port", "8000", "--drain", "3"]], ids=["", "drain"])
def test_the_exit_code_is_the_module_s(python: Entry, drain: list[str]) -> None:
    """What sys.exit is given in the module is what the entrypoint ends with."""
    (python.folder / "ends.py").write_text("import sys\nsys.exit(7)\n")

    assert 7 == python.run(*drain, *python.python("ends")).returncode


@pytest.mark.parametrize(
    ("words", "stdin", "code", "expected"),
    [
        (["--", "true"], "", 64, "--service must be one of web, strict, migrate"),
        (["--service", "webb", "--", "true"], "", 64, "--service must be one of web, strict, migrate"),
        (["--bundle", "-", "--", "true"], "", 78, "it is not JSON"),
        (["--bundle", "-", "--", "true"], "MARKER", 78, "it is not JSON"),
        (["--bundle", "-", "--", "true"], "[]", 78, "not a JSON object of strings"),
        (["--bundle", "-", "--", "true"], '{"KEY": 1}', 78, "not a JSON object of strings"),
        (["--bundle", "-", "--", "true"], '{"KEY": "MARKER\\u0000"}', 78, "KEY cannot be a variable"),
        (["--bundle", "-", "--", "true"], '{"KEY": "MARKER\\ud800"}', 78, "KEY cannot be a variable"),
        (["--bundle", "no-such-file", "--", "true"], "", 78, "the bundle cannot be read"),
    ],
)
def test_a_start_that_cannot_be(python: Entry, words: list[str], stdin: str, code: int, expected: str) -> None:
    """One error says why, the exit code is sysexits' own, and there is no traceback and no value."""
    done = python.run(*words, stdin=stdin.encode(), service="" if words[0] == "--" else "web")

    message = done.stderr.decode()
    assert (code, True) == (done.returncode, expected in message)
    assert message.startswith("error: ")
    assert "Traceback" not in message
    assert "MARKER" not in message


@pytest.mark.parametrize("words", [[], ["--"], ["--prot", "1", "--", "true"], ["--drain", "3", "--", "true"]])
@pytest.mark.parametrize("more", [[], ["--port", "80a"]])
def test_a_wrong_command_line(entry: Entry, words: list[str], more: list[str]) -> None:
    """An unknown option, a number that is none, a drain without a port or no command: exit 64 and an error."""
    done = entry.run(*more, *words)

    assert (64, b"error: ") == (done.returncode, done.stderr[:7])


@pytest.mark.parametrize("stdin", [b'{"KEY": "MARKER"}', b"KEY=MARKER\n", b"KEY='MARKER\n", b"touch executed\n"])
def test_a_bundle_of_another_form_is_refused(entry: Entry, stdin: bytes) -> None:
    """Another form, or one that was cut off, starts nothing and is not shown."""
    wrong = stdin if entry.kind != "python" else stdin[:-1]

    done = entry.run("--bundle", "-", "--", "echo", "started", stdin=wrong)

    assert (78, b"", b"error: ") == (done.returncode, done.stdout, done.stderr[:7])
    assert b"MARKER" not in done.stderr
    assert not (entry.folder / "executed").exists()


def test_a_file_that_is_missing_is_an_error(entry: Entry) -> None:
    """A bundle that is not where it should be starts nothing."""
    done = entry.run("--bundle", "no-such-file", "--", "echo", "started")

    assert (78, b"") == (done.returncode, done.stdout)


def test_a_crash_writes_no_memory_and_nothing_gains_a_right(python: Entry) -> None:
    """No core file holds the secrets, and on Linux no program that a service starts gets another's rights."""
    (python.folder / "limits.py").write_text(SHOW_LIMITS)

    limits = json.loads(python.run(*python.python("limits")).stdout)

    assert [0, 0] == limits["core"]
    assert ({"1"} if sys.platform == "linux" else set()) == set(limits["no_new_privs"])


def test_the_shell_writes_no_memory_either(entry: Entry) -> None:
    """Neither entrypoint leaves the secrets in a core file."""
    (entry.folder / "limits.py").write_text(SHOW_LIMITS)

    assert [0, 0] == json.loads(entry.run(*entry.python("limits")).stdout)["core"]


# Draining


def test_a_request_survives_sigterm(entry: Entry) -> None:
    """A server that dies at once by SIGTERM answers what it was asked before, and what comes late."""
    port = ports.free()
    process = entry.start("--port", str(port), "--drain", "600", *entry.python("server", str(port)))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(get, port, 3)
        assert process.stdout
        assert b"asked\n" == process.stdout.readline()

        process.send_signal(signal.SIGTERM)
        late = get(port, 0)

        assert [b"done", b"done"] == [late[-4:], first.result()[-4:]]
    assert end(entry) == process.wait(entries.PATIENCE_SECONDS)


def test_an_idle_process_ends_soon(entry: Entry) -> None:
    """Without a connection SIGTERM arrives after a second, in which late ones would be seen."""
    port = ports.free()
    process = entry.start("--port", str(port), "--drain", "600", *entry.python("server", str(port)))
    asked = time.monotonic()

    process.send_signal(signal.SIGTERM)

    assert end(entry) == process.wait(entries.PATIENCE_SECONDS)
    assert time.monotonic() - asked > 0.9


def test_a_connection_delays_the_end_no_longer_than_asked(entry: Entry) -> None:
    """--drain is the upper bound: a connection that never ends does not keep the process."""
    port = ports.free()
    process = entry.start("--port", str(port), "--drain", "2", *entry.python("server", str(port)))
    with connect(port):
        asked = time.monotonic()

        process.send_signal(signal.SIGTERM)

        assert end(entry) == process.wait(entries.PATIENCE_SECONDS)
        assert time.monotonic() - asked > 1.8


@pytest.mark.parametrize("host", [[], ["::"]], ids=["tcp", "tcp6"])
def test_a_second_sigterm_arrives_at_once(entry: Entry, host: list[str]) -> None:
    """The first waits for the connection that is open; the second does not."""
    port = ports.free()
    process = entry.start("--port", str(port), "--drain", "600", *entry.python("server", str(port), *host))
    with connect(port):
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)

        process.send_signal(signal.SIGTERM)

        assert end(entry) == process.wait(entries.PATIENCE_SECONDS)


def test_only_its_own_port_delays_the_end(entry: Entry) -> None:
    """A connection of the process to another port, like that to its database, does not count."""
    port, other = ports.free(), ports.free()
    process = entry.start("--port", str(other), "--drain", "600", *entry.python("server", str(port)))
    with connect(port):
        process.send_signal(signal.SIGTERM)

        assert end(entry) == process.wait(entries.PATIENCE_SECONDS)


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_other_signals_are_passed_on(entry: Entry, name: str) -> None:
    """A signal other than SIGTERM reaches the program at once, and it goes on."""
    (entry.folder / "hear.py").write_text(HEAR)
    process = entry.start("--port", "8000", "--drain", "600", *entry.python("hear", name))
    assert process.stdout

    process.send_signal(signal.Signals[name])

    assert f"{name}\n".encode() == process.stdout.readline()
    assert process.poll() is None


def test_sigterm_reaches_a_program_that_handles_it_once(entry: Entry) -> None:
    """A program that takes its time after SIGTERM is not asked again, and its code is what counts."""
    (entry.folder / "slow.py").write_text(SLOW)
    process = entry.start("--port", "8000", "--drain", "0", *entry.python("slow"))
    assert process.stdout

    process.send_signal(signal.SIGTERM)

    assert (b"asked\n", 3) == (process.stdout.read(), process.wait(entries.PATIENCE_SECONDS))


def test_a_tag_stays_in_the_process_table(entry: Entry) -> None:
    """The entrypoint stays above a program that it executes, passes SIGTERM on at once, and ends with its code."""
    (entry.folder / "slow.py").write_text(SLOW)
    words = ["--", sys.executable, "slow.py"]
    process = entry.start("--tag", "a tag", *words)
    lines = [each.cmdline() for each in family(process)]

    process.send_signal(signal.SIGTERM)
    output = process.stdout.read() if process.stdout else b""

    assert "a tag" in lines[0]
    assert [words[1:]] == lines[1:]
    assert (b"asked\n", 3) == (output, process.wait(entries.PATIENCE_SECONDS))


def test_no_service_outlives_its_parent(python: Entry) -> None:
    """When the parent is killed the kernel kills the service."""
    port = str(ports.free())
    process = python.start("--port", port, "--drain", "9", *python.python("server", port))
    service = family(process)[1]

    process.kill()

    eventually(lambda: not service.is_running() or service.status() == psutil.STATUS_ZOMBIE)


def test_orphans_are_collected(python: Entry) -> None:
    """As process 1 of a container the parent leaves no zombie of what the service started."""
    (python.folder / "orphan.py").write_text(ORPHAN)
    adopt = lambda: ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # noqa: E731

    process = python.start("--port", "8000", "--drain", "0", *python.python("orphan"), preexec_fn=adopt)

    eventually(lambda: [psutil.STATUS_SLEEPING] == [each.status() for each in family(process)[1:]])
    process.terminate()
    assert 143 == process.wait(entries.PATIENCE_SECONDS)


def get(port: int, seconds: float) -> bytes:
    with connect(port) as connection:
        connection.sendall(f"GET /{seconds} HTTP/1.0\r\n\r\n".encode())
        return connection.makefile("rb").read()


def end(entry: Entry) -> int:
    """Return the exit code for a program that SIGTERM killed."""
    return 128 + signal.SIGTERM
