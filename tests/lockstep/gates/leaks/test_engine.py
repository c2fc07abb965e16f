import json
import secrets
import string
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.gates.leaks.feed import Source, Text
from ci.gates.leaks.scanner import Gitleaks
from ci.ground import command
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.cases import BAD, made_up
from tests.lockstep.gates.leaks.repos import commit


def test_at_least_what_the_engine_finds_in_the_same_files(repo: Repo) -> None:
    """Each file in which `gitleaks dir` finds something has a finding of the gate."""
    for rule, files in BAD.items():
        for name, template in files.items():
            path = repo.root / rule / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(template.format(**made_up()))
    (repo.root / "secret.yaml").write_text(f"kind: Secret\ndata:\n  mail: {made_up()['b64']}\n")
    words = ["dir", str(repo.root), "--no-banner", "--exit-code", "0", "-f", "json", "-r", "-"]
    done = command.attempt([repo.tool("gitleaks"), *words])
    theirs = {str(Path(row["File"]).relative_to(repo.root)) for row in json.loads(done.stdout)}
    found = {one.place for one in leaks.check_folder(repo)}

    assert {"secret.yaml"} <= theirs
    assert set() == theirs - found


def test_a_rule_of_several_lines_ends_with_its_file(repo: Repo) -> None:
    """A leak is blamed on the file that has it, and not on the file before it."""
    token = "".join(secrets.choice(string.ascii_letters) for _ in range(40))
    commit(repo, "x/1-honest.sh", 'curl -H "Authorization: Bearer $TOKEN" https://a.example\n')
    commit(repo, "x/2-leak.sh", f'curl -H "X-API-Key: {token}" https://b.example\n')

    assert ["x/2-leak.sh"] == [one.place for one in leaks.check_folder(repo)]


def test_each_hit_is_in_its_text_and_line(repo: Repo) -> None:
    """However many texts have one name, and whether or not they begin or end with empty lines."""
    texts, expected = [], []
    for number in range(60):
        lines = ["", *[f"line {count}" for count in range(number % 7)], ""]
        if number % 3:
            lines.insert(number % len(lines), f"ref ghp_{made_up()['a36']}")
            expected.append((number, number % len(lines[:-1])))
        data = "\n".join(lines).encode() + b"\n" * (number % 2)
        texts.append(Text(Source(str(number)), 1, data, f"{number % 4}.txt"))
    long = b"x" * 9_000
    texts += [Text(Source("a"), 1, long + b"\nghp_" + made_up()["a36"].encode(), "0.txt") for _ in range(3)]

    found = [(hit.text, hit.first) for hit in Gitleaks(repo.tool("gitleaks")).scan(texts)]

    assert [*expected, (60, 1), (61, 1), (62, 1)] == sorted(found)


def test_a_rule_that_asks_for_the_end_of_a_text(repo: Repo) -> None:
    """Two texts of one name end with such a secret."""
    urls = (f"https://{secrets.token_hex(4)}:{secrets.token_hex(4)}@gems.contribsys.com" for _ in range(2))
    texts = [Text(Source(url), 1, f"source\n{url}".encode(), "Gemfile") for url in urls]

    found = Gitleaks(repo.tool("gitleaks")).scan(texts)

    assert [(0, 1), (1, 1)] == [(hit.text, hit.first) for hit in found]


@pytest.mark.parametrize("name", ["poetry.lock", "vendor/github.com/x/a.go", "notes.tar.md", "a.zip"])
def test_a_known_token_where_the_engine_does_not_look(repo: Repo, name: str) -> None:
    """Neither its allow-list of paths nor a name like an archive's hides a token."""
    commit(repo, name, f"ref ghp_{made_up()['a36']}\n")

    assert ["leaks/known-provider"] == [one.rule for one in leaks.check_folder(repo)]


def test_a_program_s_first_bytes_hide_nothing(repo: Repo) -> None:
    """A text that begins as a program does is read like any other."""
    commit(repo, "a.txt", f"MZ\nghp_{made_up()['a36']}\n")

    assert ["leaks/known-provider"] == [one.rule for one in leaks.check_folder(repo)]


def test_a_commit_that_only_deletes(repo: Repo) -> None:
    """A branch without new content is clean: its messages were read."""
    commit(repo, "a.txt", "hello\n")
    checkouts.git(repo.root, "branch", "base")
    checkouts.git(repo.root, "rm", "-q", "a.txt")
    checkouts.git(repo.root, "commit", "-qm", "gone")

    assert [] == leaks.check_commits(repo, "base")
