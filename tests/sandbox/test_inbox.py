from sandbox.inbox import KEPT, LONGEST, SMS, Inbox


def test_inbox_is_bounded() -> None:
    """The oldest messages make room, and a body has a longest length."""
    inbox = Inbox()
    for number in range(KEPT + 1):
        inbox.add(SMS, to="", sender="", body="x" * (LONGEST + 1), reference=str(number))

    assert len(inbox.messages()) == KEPT
    assert (inbox.sms("0"), inbox.messages()[0].reference) == (None, str(KEPT))
    assert len(inbox.messages()[0].body) == LONGEST
