"""ci/managed.toml lists the files that Lockstep brings, and none of the product's."""

import re
import tomllib
from pathlib import Path

import pytest

from tests import checkouts

ROOT = Path(__file__).parents[2]
DOCUMENT = tomllib.loads((ROOT / "ci/managed.toml").read_text())
FOLDERS = ("app/", "config/", "docs/", "model/", "sandbox/", "secrets/", "tests/", "worker/")
FILES = ("Dockerfile", "README.md", "pyproject.toml", "requirements/services.txt")
# Words of the example product, which no other team's product has to have.
WORDS = re.compile(r"sms|smtp|mail|notif|twilio|phone", re.IGNORECASE)


@pytest.mark.parametrize("pattern", [*DOCUMENT["managed"], *DOCUMENT["generated"], *DOCUMENT["team"]])
def test_every_pattern_matches_a_file(pattern: str) -> None:
    """One that matches none is a slip, or of a file that is gone."""
    assert checkouts.tracked(pattern)


def test_all_of_lockstep_is_managed() -> None:
    """The delivery system, what it brings into an image, and the files at the top that start both."""
    wanted = {"run", "tasks.py", "noxfile.py", *checkouts.tracked("ci", "runtime", ".github/workflows")}

    assert {*DOCUMENT["generated"], *DOCUMENT["team"]} == wanted - set(checkouts.managed())


def test_nothing_of_the_product_is_managed() -> None:
    """An upgrade replaces managed files: the team's own are not among them, nor what its schema generates."""
    managed = checkouts.managed()

    assert [] == [name for name in managed if name.startswith(FOLDERS) or name in FILES]
    assert {"runtime/keys.py"} == set(DOCUMENT["generated"])
    assert "runtime/keys.py" not in managed


def test_no_managed_file_is_named_after_the_product() -> None:
    """Lockstep knows no product."""
    assert set() == {name for name in checkouts.managed() if WORDS.search(name)}


def test_the_version_is_one() -> None:
    """It is written as Python's packages have it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", DOCUMENT["version"])
