import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import browsers, sandboxes
from tests.sandboxes import Sandbox

pytestmark = pytest.mark.browser


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with an empty inbox."""
    with sandboxes.running(tmp_path) as running:
        yield running


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], str]:
    """Open a page in a real browser and return the page as it is after five (virtual) seconds."""
    return lambda url: browsers.shown(url, tmp_path)[0]


@contextmanager
def between(sandbox: Sandbox, event: Callable[[], object]) -> Iterator[str]:
    """Stand between browser and sandbox, and let something happen when the page first asks for news."""
    happened = threading.Event()

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/inbox.html" and not happened.is_set():
                happened.set()
                event()
            answer = sandbox.get(self.path, **{"If-None-Match": self.headers.get("If-None-Match", "")})
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Content-Security-Policy", "ETag", "Content-Length"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{relay.server_port}/"
        finally:
            relay.shutdown()
            thread.join()
    assert happened.is_set()


def bodies(page: str) -> list[str]:
    """Return the bodies of the messages that a page shows, from top to bottom."""
    return [unescape(text) for text in re.findall(r'<p class="body" dir="auto">(.*?)</p>', page, re.DOTALL)]


def test_both_channels(sandbox: Sandbox, browse: Callable[[str], str]) -> None:
    """An SMS and an e-mail are there, newest first, and the title counts them."""
    sandbox.sms("your code is 418203", secrets.token_hex(8))
    sandbox.mail("Hello Ada,\n\nyour invoice is ready.", secrets.token_hex(8), "Your invoice")

    page = browse(f"{sandbox.url}/")

    assert bodies(page) == ["Hello Ada,\n\nyour invoice is ready.", "your code is 418203"]
    assert "<title>(2) Inbox" in page
    assert ">Your invoice</h2>" in page


def test_what_arrives_later(sandbox: Sandbox, browse: Callable[[str], str]) -> None:
    """What arrives while the page is open appears on top, and what was there stays."""
    sandbox.sms("before")

    with between(sandbox, lambda: sandbox.sms("after")) as url:
        page = browse(url)

    assert bodies(page) == ["after", "before"]
    assert "<title>(2) Inbox" in page


def test_first_message_of_an_open_page(sandbox: Sandbox, browse: Callable[[str], str]) -> None:
    """A page that was opened empty fills itself."""
    with between(sandbox, lambda: sandbox.mail("hello")) as url:
        page = browse(url)

    assert bodies(page) == ["hello"]


def test_markup_stays_text(sandbox: Sandbox, browse: Callable[[str], str]) -> None:
    """Markup in a message is shown as it was written, and does nothing; also in one that arrives later."""
    attack = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    sandbox.mail(attack, secrets.token_hex(8), attack)

    with between(sandbox, lambda: sandbox.sms(attack)) as url:
        page = browse(url)

    assert bodies(page) == [attack, attack]
    assert "<title>(2) Inbox" in page
    assert "<img" not in page
