"""Secrets that `inv init` leaves for later are accepted as missing, one by one, and not for ever."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from ci.gates import exceptions, parity
from ci.gates.finding import Findings
from ci.gates.parity import rules
from ci.ground import dotenv, environments, errors
from ci.ground.repo import Repo
from ci.sealing import edit, init, unset
from tests import checkouts

LEFT = ("DATABASE_URL", "REDIS_URL", "SMS_PROVIDER_API_KEY", "SMTP_PASSWORD")
ENVIRONMENTS = ("dev", "staging", "prod")
TODAY = datetime.now(UTC).date()


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A checkout after an init that was given no value."""
    made = checkouts.empty(tmp_path / "repo")
    checkouts.copy(checkouts.project("app", "worker", "model"), made.root)
    checkouts.generated(made.root)
    init.init(made, "acme", lambda _environment, _key: "")
    return Repo(made.root)


def found(repo: Repo, day: date = TODAY) -> Findings:
    return exceptions.apply(repo, parity.RULES, parity.check(repo), day)


def put(repo: Repo, name: str, key: str) -> None:
    edit.put(repo, name, key, checkouts.value(name, repo.schema.keys[key]))


def test_a_repository_is_clean_after_init(repo: Repo) -> None:
    """Each secret without a value is an exception to the parity gate, which finds nothing else."""
    assert rules.MISSING.id == unset.RULE
    assert len(LEFT) * len(ENVIRONMENTS) == unset.path(repo).read_text().count("reason: not set by inv init")
    assert [] == found(repo)


def test_what_is_left_for_long_is_found(repo: Repo) -> None:
    """After the last day the exception is a finding, and so is the secret that is missing."""
    day = TODAY + timedelta(days=unset.DAYS)

    late = found(repo, day + timedelta(days=1))

    assert [] == found(repo, day)
    assert {"exceptions/expired", "parity/missing"} == {one.rule for one in late}


def test_a_secret_that_is_set_needs_no_exception(repo: Repo) -> None:
    """Its line goes with `inv set`; the others stay, those of other environments as well."""
    before = unset.path(repo).read_text().splitlines()

    put(repo, "dev", "REDIS_URL")

    after = unset.path(repo).read_text().splitlines()
    [gone] = [line for line in before if line not in after]
    assert "place: secrets/dev.enc.env, key: REDIS_URL," in gone
    assert [] == found(repo)


def test_one_that_is_missing_otherwise_is_found(repo: Repo) -> None:
    """An exception that was settled does not come back when the secret is removed again."""
    put(repo, "dev", "REDIS_URL")
    values = {"API_TOKENS": checkouts.value("dev", repo.schema.keys["API_TOKENS"])}

    edit.encrypt(repo, "dev", dotenv.render(values))

    assert [("parity/missing", "REDIS_URL")] == [(one.rule, one.key) for one in found(repo)]


def test_the_file_goes_with_the_last_one(repo: Repo) -> None:
    """When every secret is set there is nothing to accept."""
    for name in ENVIRONMENTS:
        lines = {key: checkouts.value(name, repo.schema.keys[key]) for key in (*LEFT, "API_TOKENS")}
        edit.encrypt(repo, name, dotenv.render(lines))

    assert not unset.path(repo).exists()
    assert [] == found(repo)


def test_an_init_that_is_given_every_value_accepts_nothing(tmp_path: Path) -> None:
    """There is no file then."""
    assert not unset.path(checkouts.initialised(tmp_path / "repo")).exists()


def test_the_teams_own_exceptions_stay(tmp_path: Path) -> None:
    """Their lines and comments are as they were, before and after; a second run adds nothing twice."""
    repo, own = checkouts.empty(tmp_path / "repo"), "exceptions: # ours\n  - {rule: leaks/pgpass, place: x}\n"
    unset.path(repo).write_text(own)

    unset.path(repo).write_text(unset.accepted(repo, {"dev": ["REDIS_URL"]}))
    again = unset.accepted(repo, {"dev": ["REDIS_URL"]})

    assert again == unset.path(repo).read_text()
    assert {unset.path(repo): own.encode()} == unset.settled(repo, "dev", {"REDIS_URL": "x"})


OWN = "{rule: leaks/pgpass, place: x, reason: a reason long enough, expires: 2030-01-01}"


@pytest.mark.parametrize(
    "own",
    [
        f"exceptions:\n- {OWN}\n",
        f"exceptions:\n    - {OWN}\n",
        f"exceptions:\n  # why\n  - {OWN}\n# the end\n",
        "# ours\nexceptions: []\n",
        "exceptions:  # none\n",
        "# none yet\n",
    ],
)
def test_a_line_fits_into_the_file_that_a_team_has(tmp_path: Path, own: str) -> None:
    """However far to the right its items are, and without one; the gate reads the file before and after."""
    repo = checkouts.empty(tmp_path / "repo")
    unset.path(repo).write_text(own)

    unset.path(repo).write_text(unset.accepted(repo, {"dev": ["REDIS_URL"]}))
    listed = yaml.safe_load(unset.path(repo).read_text())["exceptions"]
    [after] = unset.settled(repo, "dev", {"REDIS_URL": "x"}).values()

    assert "REDIS_URL" == listed[-1]["key"]
    assert after is not None
    assert listed[:-1] == yaml.safe_load(after)["exceptions"]
    assert all(comment in after.decode() for comment in own.splitlines() if comment.lstrip().startswith("#"))


def test_a_list_that_takes_no_line_is_named_before_anything_changes(tmp_path: Path) -> None:
    """No file of a repository is written when the exceptions of an init cannot be."""
    repo = checkouts.empty(tmp_path / "repo")
    unset.path(repo).write_text(f"exceptions: [{OWN}]\n")

    with pytest.raises(errors.ConfigurationError, match="takes no further line"):
        init.init(repo, "acme", lambda _environment, _key: "")

    assert not (repo.root / ".sops.yaml").exists()


def test_an_init_that_starts_over_leaves_no_exception_behind(repo: Repo) -> None:
    """Those of the first init go with the values that the second one is given."""
    path = repo.root / "config/environments.yaml"
    path.write_text(path.read_text().replace("project: acme", f"project: {environments.TEMPLATE}"))

    init.init(Repo(repo.root), "acme", checkouts.value)

    assert not unset.path(repo).exists()
