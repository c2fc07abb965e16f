"""With a base, a head is judged by the stricter of the two, until a code owner lets its own rules in."""

import secrets

import pytest

from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.loosened.heads import EXCEPTIONS, SCHEMA, bare, program, rules
from tests.lockstep.gates.parity.changes import Change, file, put, swap
from tests.lockstep.gates.sealing.repos import steps

PASSWORD = secrets.token_urlsafe(24)


def in_clear(repo: Repo) -> None:
    """Call a key no secret, and write it in clear in every environment."""
    swap(SCHEMA, r"      secret: true\n(?=      services: \[worker, sandbox\]\n      description: that user)", "")(
        repo
    )
    for name in repo.environments.by_name:
        plain = repo.plain(name)
        plain.write_text(f"{plain.read_text()}SMTP_PASSWORD={PASSWORD}{name}\n")


def excused_leak(repo: Repo) -> None:
    """Write a leak and the exception for it."""
    file("docs/setup.txt", f"SMTP_PASSWORD={PASSWORD}\n")(repo)
    entry = (
        "{rule: leaks/schema-key, place: 'docs/setup.txt', reason: looked at and accepted, expires: 2999-01-01}"
    )
    file(EXCEPTIONS, f"exceptions:\n- {entry}\n")(repo)


def reading_for_itself(repo: Repo) -> None:
    file("app/settings.py", 'import os\n\nX = os.environ["SMTP_HOST"]\n')(repo)
    swap(SCHEMA, r"\A", "settings: [app/settings.py]\n")(repo)


def pointing_home(repo: Repo) -> None:
    """Take the protection from prod, and let it point at the machine itself."""
    swap("config/environments.yaml", "    protected: true\n", "")(repo)
    put("SMTP_HOST", "localhost")(repo)


@pytest.mark.parametrize(
    ("change", "gate", "expected"),
    [
        (in_clear, "parity", "parity/secret-in-plain"),
        (in_clear, "sealing", "loosened/secret"),
        (in_clear, "leaks", "loosened/secret"),
        (reading_for_itself, "parity", "parity/environ-read"),
        (pointing_home, "parity", "parity/localhost"),
        (swap(SCHEMA, "max: 65535", "max: 99999"), "parity", "loosened/values"),
        (excused_leak, "leaks", "loosened/exception"),
    ],
)
def test_what_the_head_allows_excuses_nothing(repo: Repo, change: Change, gate: str, expected: str) -> None:
    """In a bare repository, in a folder at a revision, and in the folder itself; without a base it would."""
    base = steps(repo, change)
    words = (f"--base={base}", "--head=main")

    assert expected in rules(gate, *words, bare(repo))
    assert expected in rules(gate, *words, repo.root)
    assert expected in rules(gate, f"--base={base}", repo.root)
    assert expected not in rules(gate, "--head=main", bare(repo))


def test_a_value_obeys_the_rules_of_both(repo: Repo) -> None:
    """A port that only the head's schema allows is a finding of the value as well."""

    def both(repo: Repo) -> None:
        swap(SCHEMA, "max: 65535", "max: 99999")(repo)
        put("SMTP_PORT", "70000")(repo)

    base = steps(repo, both)

    assert {"parity/value", "loosened/values"} <= rules("parity", f"--base={base}", repo.root)


def test_a_leak_is_not_excused_by_its_own_pull_request(repo: Repo) -> None:
    """The leak is a finding, and the exception for it is another."""
    base = steps(repo, excused_leak)

    assert {"leaks/schema-key", "loosened/exception"} <= rules("leaks", f"--base={base}", repo.root)


def test_an_exception_of_the_base_counts(repo: Repo) -> None:
    """What was accepted before is accepted."""
    key = swap("config/prod.env", r"^SMTP_HOST=.*", "SMTP_HOST=localhost")
    entry = "{rule: parity/localhost, place: config/prod.env, reason: a relay of the machine, expires: 2999-01-01}"
    base = steps(repo, key, file(EXCEPTIONS, f"exceptions:\n- {entry}\n"), file("docs/x.md", "x\n"))
    steps(repo, file("docs/y.md", "y\n"))

    assert {"parity/localhost", "loosened/exception"} <= rules("parity", f"--base={base}", repo.root)
    assert set() == rules("parity", "--base=HEAD~1", repo.root)


@pytest.mark.parametrize("gate", ["parity", "sealing", "loosened"])
def test_a_code_owner_lets_the_rules_of_the_head_in(repo: Repo, gate: str) -> None:
    """By `--law=head` the head is judged by what it says itself, and what it loosens is shown as warnings."""
    widened = swap(SCHEMA, "max: 65535", "max: 99999")
    base = steps(repo, widened, lambda _: None)

    checkouts.generated(repo.root)
    code, output = program(gate, f"--base={base}", "--law=head", repo.root)

    assert (0, gate == "loosened") == (code, "warning: loosened/values" in output)


def test_a_new_branch_has_no_base(repo: Repo) -> None:
    """A forge says so by zeros; nothing is compared then, and the gates look as they do without a base."""
    assert 0 == program("loosened", f"--base={'0' * 40}", bare(repo))[0]
    assert 0 == program("sealing", f"--base={'0' * 40}", bare(repo))[0]


@pytest.mark.parametrize("words", [(), ("--base=",), ("--base=nowhere",), ("--base=HEAD", "--head=nowhere")])
def test_a_base_must_be_given_and_exist(repo: Repo, words: tuple[str, ...]) -> None:
    """Nothing is taken for clean that was not compared."""
    assert 2 == program("loosened", *words, repo.root)[0]
