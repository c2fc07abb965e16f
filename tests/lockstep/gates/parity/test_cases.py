import shutil

import pytest

from ci.gates import parity
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity.cases import BAD, GOOD, sources
from tests.lockstep.gates.parity.changes import Change, code, file, rules


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_what_is_wrong_is_found_by_its_rule(repo: Repo, rule: str, change: Change) -> None:
    """The rule that is meant is found, and no other."""
    change(repo)

    assert {rule} == rules(repo)


@pytest.mark.parametrize("text", sources.PAST)
def test_each_way_past_the_loader_is_found(repo: Repo, text: str) -> None:
    """Also in a folder that no service is named after, and in Lockstep's own."""
    code(text, "lib/more.py")(repo)
    code(text, "runtime/more.py")(repo)

    found = {one.place for one in parity.check(repo) if one.rule == "parity/environ-read"}

    assert {"lib/more.py", "runtime/more.py"} == found


@pytest.mark.parametrize("change", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_what_is_right_is_left_alone(repo: Repo, change: Change) -> None:
    """No honest change is stopped."""
    change(repo)

    assert set() == rules(repo)


@pytest.mark.parametrize("above", [".", ".."])
def test_what_git_ignores_is_not_looked_at(repo: Repo, above: str) -> None:
    """A developer's own file is in no commit; one in a subfolder is, also of a product in a larger repository."""
    top = (repo.root / above).resolve()
    checkouts.git(top, "init", "-q", "--template=")
    (top / ".gitignore").write_text("compose.override.yml\n")
    for name in ("compose.override.yml", "deploy/compose.override.yml", "deploy/more/compose.yml"):
        file(name, "services:\n  api:\n    environment:\n      LOG_LEVEL: debug\n")(repo)

    found = parity.check(repo)
    shutil.rmtree(top / ".git")

    assert [("parity/set-elsewhere", "deploy/more/compose.yml")] == [(one.rule, one.place) for one in found]


def test_every_rule_has_a_bad_checkout() -> None:
    """A rule that nothing trips would be a promise without proof; the one of --sealed is in test_values.py."""
    tripped = {rule for rule, _ in BAD} | {"shared-secret"}

    assert {one.id.removeprefix("parity/") for one in parity.RULES} == tripped
