import re
import secrets
from pathlib import Path

import pytest

from ci.cli import parity
from ci.gates.parity import overview
from ci.ground.errors import NoIdentityError
from ci.ground.repo import Repo
from ci.sealing import edit
from tests import checkouts
from tests.lockstep.gates.parity.changes import meta, schema, swap


def test_the_matrix(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """A row a key, a column an environment, and what is wrong in its place."""
    swap("config/dev.env", r"^SMTP_HOST=.*\n", "SMTP_HSOT=a\n")(repo)

    ended = parity.show(overview.read(repo))

    shown = capsys.readouterr().out.split("\n\n")[0].splitlines()
    rows = {row.split()[0]: row.split()[1:] for row in shown}
    assert 1 == ended
    assert ["local", "dev", "staging", "prod"] == rows["key"]
    assert ["plain", "missing", "plain", "plain"] == rows["SMTP_HOST"]
    assert ["extra"] == rows["SMTP_HSOT"]
    assert ["sealed", "here", "sealed", "sealed", "sealed"] == rows["DATABASE_URL"]


def test_an_optional_secret_may_be_absent(repo: Repo) -> None:
    """It is neither missing nor a finding, and not said to be on this machine unless it is generated there."""
    generated = {"local": "{token}"}
    for about, here in (({"generate": generated}, "sealed here"), ({"generate": None}, "optional")):
        meta("SMTP_PASSWORD", **about)(repo) if about["generate"] else schema(
            lambda keys: keys["SMTP_PASSWORD"]["meta"].pop("generate")  # type: ignore[attr-defined]
        )(repo)
        schema(lambda keys: keys["SMTP_PASSWORD"].update(nullable=True, default=None))(repo)
        path = repo.sealed("dev")
        path.write_text(re.sub(r"(?m)^SMTP_PASSWORD=.*\n", "", path.read_text()))

        report = overview.read(Repo(repo.root))

        [row] = [row for row in report.rows if row[0] == "SMTP_PASSWORD"]
        assert ["SMTP_PASSWORD", here, "optional", "sealed", "sealed"] == row
        assert [] == report.findings


def test_opening_for_real(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """With identities at hand, two environments with one password are found."""
    password = secrets.token_hex()
    for name in ("dev", "prod"):
        edit.put(repo, name, "SMTP_PASSWORD", password)

    ended = parity.show(overview.read(repo, sealed=True))

    shown = capsys.readouterr().out
    assert 1 == ended
    assert "parity/shared-secret SMTP_PASSWORD\n  is a secret of dev, too" in shown
    assert "3 opened environments" in shown
    assert password not in shown


def test_without_an_identity_nothing_is_opened(repo: Repo, tmp_path: Path) -> None:
    """That is a fault, not a clean result."""
    for name in ("", "prod"):
        with checkouts.at_home(tmp_path), pytest.raises(NoIdentityError):
            overview.read(repo, name, sealed=True)
