from pathlib import Path

import pytest

from sandbox.inbox import KEPT, LONGEST, SMS, Inbox


def filled(path: Path, first: int, last: int) -> Inbox:
    """Return the inbox of a file after more messages, which have their number as reference."""
    inbox = Inbox(path)
    for number in range(first, last):
        inbox.add(SMS, to="", sender="", body="ü\u2028x", reference=str(number))
    return inbox


def test_inbox_is_bounded(tmp_path: Path) -> None:
    """The oldest messages make room, and a body has a longest length."""
    inbox = filled(tmp_path / "inbox", 0, KEPT)
    inbox.add(SMS, to="", sender="", body="x" * (LONGEST + 1), reference=str(KEPT))

    assert len(inbox.messages()) == KEPT
    assert (inbox.sms("0"), inbox.messages()[0].reference) == (None, str(KEPT))
    assert len(inbox.messages()[0].body) == LONGEST


@pytest.mark.parametrize("count", [1, KEPT, KEPT + 3, 2 * KEPT + 1])
def test_messages_survive_a_restart(tmp_path: Path, count: int) -> None:
    """Another process has the same messages, the newest first, and the file stays bounded."""
    path = tmp_path / "inbox"
    before = filled(path, 0, count).messages()

    assert before == Inbox(path).messages()
    assert min(count, KEPT) == len(path.read_text().split("\n")) - 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_message_that_was_cut_off(tmp_path: Path) -> None:
    """After a kill in the middle of a write the others are there, and new ones are kept."""
    path = tmp_path / "inbox"
    filled(path, 0, 2)
    path.write_bytes(path.read_bytes()[:-5])
    filled(path, 2, 3)

    assert ["2", "0"] == [message.reference for message in Inbox(path).messages()]
