import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from ci.gates import sealing
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.changes import TEXT, file, first
from tests.lockstep.gates.sealing.colleagues import put
from tests.lockstep.gates.sealing.repos import back, steps
from tests.lockstep.gates.sealing.unreadable import no_git, no_secrets, shallow


def program(repo: Repo, *words: str, code: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.sealing", *words, str(repo.root)],
        cwd=checkouts.ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    output = done.stdout.decode() + done.stderr.decode()
    assert code == done.returncode, output
    assert "Traceback" not in output
    return output


def test_a_clean_checkout_ends_with_0(repo: Repo) -> None:
    """The last line proves that the gate looked."""
    base = steps(repo, put())

    output = program(repo, f"--base={base}", code=0)

    assert "0 findings; looked at 3 sealed files, 15 values, 3 recipients" in output
    assert "1 commits" in output


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_findings_end_with_1_in_every_format(repo: Repo, form: str) -> None:
    """Each format names the rule and the place, and none the value."""
    first(TEXT)(repo)

    output = program(repo, f"--format={form}", code=1)

    assert "sealing/plaintext" in output
    assert "secrets/dev.enc.env" in output
    assert TEXT not in output
    if form in ("json", "sarif"):
        json.loads(output)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_name_of_odd_bytes_is_told_in_every_format(repo: Repo, form: str) -> None:
    """A path that is no UTF-8, with a line break, breaks no output."""
    file(os.fsdecode(b"secrets/\xff\n::error::x"))(repo)

    assert "sealing/stray" in program(repo, f"--format={form}", code=1)


def test_history_is_an_option(repo: Repo) -> None:
    """`--history HEAD` looks at all of it."""
    steps(repo, first("hunter2"), back)

    program(repo, code=0)
    program(repo, "--history=HEAD", code=1)
    program(repo, "--history=HEAD~2..HEAD~1", code=1)
    program(repo, "--base=HEAD~1", code=0)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (no_git, []),
        (no_secrets, []),
        (shallow, ["--base=HEAD~"]),
        (lambda repo: repo, ["--base=HEAD"]),
        (lambda repo: repo, ["--base="]),
        (lambda repo: repo, ["--history=..."]),
        (lambda repo: repo, ["--base=HEAD", "--history=HEAD"]),
    ],
)
def test_what_cannot_be_looked_at_ends_with_2(
    repo: Repo, prepare: Callable[[Repo], Repo], words: list[str]
) -> None:
    """It is never taken for clean."""
    program(prepare(repo), *words, code=2)


def test_an_exception_excuses_a_finding_of_the_past(repo: Repo) -> None:
    """A run without the history does not call it useless, and with a base it must be the base's or let in."""
    base = steps(repo, first("hunter2"), back)
    (found,) = sealing.check_history(repo, base)
    (repo.root / "config/exceptions.yaml").write_text(
        f"exceptions:\n- {{rule: {found.rule}, place: '{found.place}', reason: it is gone, expires: 2999-01-01}}\n"
    )

    program(repo, f"--base={base}", "--law=head", code=0)
    program(repo, f"--base={base}", code=1)
    program(repo, code=0)
