from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci.gates import exceptions, rotation
from ci.gates.finding import Rule
from ci.gates.rotation import dates
from ci.ground import command
from ci.ground.repo import Repo
from tests.lockstep.gates.rotation.histories import PASSWORD, SMS, TOKENS, made

FILE = "secrets/dev.enc.env"


@pytest.mark.parametrize(
    ("days", "expected"), [(89, None), (90, rotation.DUE), (104, rotation.DUE), (105, rotation.OVERDUE)]
)
def test_it_warns_first_and_then_fails(tmp_path: Path, days: int, expected: object) -> None:
    """From the day on which it is due a secret is warned of, and after fourteen more it is a fault."""
    found = rotation.check(made(tmp_path / "repo", days))

    tokens = {one.rule for one in found if one.key == TOKENS}
    assert ({expected.id} if isinstance(expected, Rule) else set()) == tokens
    assert set() == {one.key for one in found} - {TOKENS, SMS}
    assert {"sealed files": 3, "values": 15, "commits": 1} == found.looked


def test_a_finding_says_what_to_do(repo: Repo) -> None:
    """It names file, line, key, age, day, who and which commit, and the command with its environment and key."""
    [one] = [one for one in rotation.check(repo) if (one.place, one.key) == (FILE, PASSWORD)]

    due = (datetime.now(UTC) - timedelta(days=120)).date()
    sha = command.run(["git", "-C", repo.root, "rev-parse", "--short=12", "HEAD"]).strip()
    assert f"is 300 days old and was due on {due}; Anna changed it last ({sha})" == one.message
    assert one.hint.startswith(f"inv rotate --env=dev --key={PASSWORD}; ")
    assert (repo.root / FILE).read_text().split("\n")[one.line - 1].startswith(f"{PASSWORD}=ENC[")


def test_a_key_without_a_term_is_never_due(repo: Repo) -> None:
    """Where the schema says no rotate_days, or does not know the key, there is no day."""
    path = repo.root / "config/schema.yaml"
    path.write_text(path.read_text().replace("      rotate_days: 180\n", ""))

    found = dates.read(Repo(repo.root), datetime.now(UTC)).values
    assert {TOKENS, SMS} == {one.key for one in found if one.due}
    assert {TOKENS, SMS} == {one.key for one in rotation.check(Repo(repo.root))}


def test_an_exception_excuses_for_a_time(repo: Repo) -> None:
    """A provider that cannot rotate before some day is excused by rule, place and key, until then."""
    (repo.root / "config/exceptions.yaml").write_text(
        f"exceptions:\n  - rule: rotation/overdue\n    place: {FILE}\n    key: {PASSWORD}\n"
        "    reason: the mail server moves next month\n    expires: 2999-01-01\n"
    )

    left = exceptions.apply(repo, rotation.RULES, rotation.check(repo), datetime.now(UTC).date())
    assert (FILE, PASSWORD) not in {(one.place, one.key) for one in left}
    assert 14 == len(left)
