"""The runbooks hold: every command in them runs, in a clone after `inv init`, and prints what the page says."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkouts
from tests.checkouts import Clone

FOLDER = checkouts.ROOT / "docs/runbooks"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
PARTS = ("**When**", "**You need**", "**It worked when**", "**Undo**")
BLOCK = re.compile(r"(?ms)^( *)```console\n(.*?)^\1```$")
# What a person would type or copy: new values, made when the page is run.
GIVEN = """
new_password() { openssl rand -hex 16; }
secrets_of() {
    for key in DATABASE_URL=postgresql://app:%@db.$1.internal/app REDIS_URL=rediss://:%@redis.$1.internal:6379/0 \\
        API_TOKENS=% SMS_PROVIDER_API_KEY=SK1:% SMTP_PASSWORD=%
    do printf '%s\\n' "$key" | sed "s/%/$(openssl rand -hex 16)/"; done
}
"""


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a page, and what it should print."""
    for indent, block in BLOCK.findall((FOLDER / f"{page}.md").read_text()):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        for part in re.split(r"(?m)^\$ ", "\n".join(lines))[1:]:
            first, *rest = part.splitlines()
            count = next((number for number, line in enumerate(rest) if not line.startswith(">")), len(rest))
            more = [line.removeprefix(">").removeprefix(" ") for line in rest[:count]]
            yield "\n".join([first, *more]), "\n".join(rest[count:]).strip()


def pattern(expected: str) -> str:
    """Return an expression for what a page shows: a line of `…` alone is any number of lines."""
    lines = ("(?s:.*)" if line == "…" else re.escape(line).replace("…", ".*") for line in expected.splitlines())
    return "\n".join(lines)


@pytest.fixture
def clone(tmp_path: Path, page: str) -> Iterator[Clone]:
    made = checkouts.clone(tmp_path)
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    checkouts.git(made.repo.root, "add", "-A", ":!.tools")
    checkouts.git(made.repo.root, "commit", "-qm", "ours")
    SITUATIONS.get(page, lambda _: None)(made)
    yield made
    if (made.repo.state / "logs").exists():
        made.inv("stop", "--purge")


def committed_secret(clone: Clone) -> None:
    """Commit a note that holds a password."""
    (clone.repo.root / "docs/notes.md").write_text(f"SMTP_PASSWORD={secrets.token_urlsafe(20)}\n")
    checkouts.git(clone.repo.root, "add", "docs")
    checkouts.git(clone.repo.root, "commit", "-qm", "how to send mail by hand")


SITUATIONS = {"secret-committed": committed_secret}


@pytest.mark.parametrize("page", PAGES)
def test_a_runbook_does_what_it_says(page: str, clone: Clone) -> None:
    """Each command in turn, in one shell, prints what stands below it and ends as the page says."""
    mark = secrets.token_hex(8)
    told = list(steps(page))
    script = GIVEN + "".join(f"{command}\ncode=$?; echo; echo {mark} $code\n" for command, _ in told)
    who = {
        f"GIT_{role}_{what}": "story@lockstep.example"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    programs = f"{Path(sys.executable).parent}:{clone.repo.tools}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=clone.repo.root,
        env={**clone.environ(), **who, "PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )

    printed = re.findall(rf"(?s)(.*?)\n{mark} (\d+)\n", done.stdout)
    assert len(told) == len(printed) > 0
    for (command, expected), (output, code) in zip(told, printed, strict=True):
        shown = output.strip() + (f"\n(exit code {code})" if code != "0" else "")
        assert re.fullmatch(pattern(expected), shown.strip()), (
            f"{command}\n--- the page\n{expected}\n--- here\n{shown}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_a_runbook_has_its_parts(page: str) -> None:
    """When, what one needs, how to know that it worked, how to undo it; and the list names it."""
    text = (FOLDER / f"{page}.md").read_text()

    assert [] == [part for part in PARTS if part not in text]
    assert f"({page}.md)" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run(page: str) -> None:
    """No page has a code block that the test above passes over."""
    text = (FOLDER / f"{page}.md").read_text()

    assert text.count("```") == 2 * len(BLOCK.findall(text))
