import re
from pathlib import Path

from tests import sandboxes
from tests.sandboxes import Sandbox


def test_markup_is_shown_as_text(sandbox: Sandbox, reference: str) -> None:
    """No part of a message becomes markup of the page."""
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    sandbox.sms(attack, f"{reference}{attack}")
    sandbox.mail(attack, reference, attack, ["ada@example.com"])
    sandbox.raw_mail(f"From: {attack} <x@y>\r\nMessage-ID: <{attack}@x>\r\n\r\n{attack}".encode())

    for path in ("/", "/inbox.html"):
        page = sandbox.get(path).text

        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_page_runs_nothing_but_its_own(sandbox: Sandbox) -> None:
    """The policy names a nonce of this one answer, and there is nothing from elsewhere."""
    first, second = sandbox.get("/"), sandbox.get("/")
    [nonce] = set(re.findall(r'nonce="([^"]+)"', first.text))
    policy = first.headers["Content-Security-Policy"]

    assert policy.startswith(f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; ")
    assert "unsafe" not in policy
    assert nonce not in second.text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//|url\(|@import""", first.text)


def test_page_without_messages(tmp_path: Path) -> None:
    """An empty inbox says what to do."""
    with sandboxes.running(tmp_path) as sandbox:
        page = sandbox.get("/").text

    assert '<ol id="messages"></ol>' in page
    assert "inv deploy --env=local" in page


def test_page_is_told_when_nothing_changed(sandbox: Sandbox) -> None:
    """The page asks with what it has, and gets the messages only when there are others."""
    tag = sandbox.get("/inbox.html").headers["ETag"]
    same = sandbox.get("/inbox.html", **{"If-None-Match": tag})
    sandbox.sms("something new")
    changed = sandbox.get("/inbox.html", **{"If-None-Match": tag})

    assert (same.status_code, same.text) == (304, "")
    assert (changed.status_code, "something new" in changed.text) == (200, True)
