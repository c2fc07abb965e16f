import secrets

import pytest

from ci.gates import parity
from ci.ground.repo import Repo
from tests.lockstep.gates.parity.changes import Change, file, put, remove, swap


def test_a_finding_has_place_line_key_and_a_fix(repo: Repo) -> None:
    """A person can act on it without reading anything else, and sees no value."""
    put("SMTP_PORT", "seven-times-seven")(repo)

    (found,) = parity.check(repo)

    number = repo.plain("prod").read_text().split("\n").index("SMTP_PORT=seven-times-seven") + 1
    assert ("config/prod.env", number, "SMTP_PORT") == (found.place, found.line, found.key)
    assert "correct it in config/prod.env; config/schema.yaml says what it may be" == found.hint
    assert "seven" not in repr(found)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (swap("config/prod.env", r"^SMTP_HOST=.*\n", ""), "add SMTP_HOST=value to config/prod.env; docs/keys.md"),
        (swap("secrets/dev.enc.env", r"^REDIS_URL=.*\n", ""), "inv set --env=dev --key=REDIS_URL"),
        (
            swap("config/dev.env", r"^ENVIRONMENT=.*\n", ""),
            "add ENVIRONMENT=value to config/dev.env; docs/keys.md",
        ),
        (remove("docs/keys.md"), "python -m ci.ground.generate"),
    ],
)
def test_the_hint_is_the_commands_own(repo: Repo, change: Change, hint: str) -> None:
    """Environment and key are written into it."""
    change(repo)

    (found,) = parity.check(repo)

    assert found.hint.startswith(hint)


@pytest.mark.parametrize("place", ["config/prod.env", "secrets/dev.enc.env", "compose.yaml"])
def test_no_finding_holds_a_value(repo: Repo, place: str) -> None:
    """Whatever stands in a file, findings repeat only names."""
    canary = secrets.token_hex(8)
    file(place, "".join(f"{key}: {canary}\n{key}={canary}\n{key}='{canary}\n" for key in repo.schema.keys))(repo)

    found = parity.check(repo)

    assert found
    assert canary not in repr(found)
