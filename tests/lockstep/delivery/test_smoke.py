"""What is asked at the end of a deploy, and when the answer is good."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ci.delivery import routes, smoke
from ci.delivery.release import Release, Service
from ci.delivery.smoke import Check
from ci.ground import errors, services
from ci.ground.services import Health, Public

VERSION = Health(ready="/readyz", alive="/healthz", version="/version")


def release(**declared: tuple[Public | None, Health]) -> Release:
    """Return release 7, whose services are public and healthy in these ways."""
    running = {
        name: Service(services.Service(("run",), port=80, public=public, health=health), 1, [])
        for name, (public, health) in declared.items()
    }
    return Release("dev", 7, "abc", {}, [], "me", "now", services=running)


@contextmanager
def answering(*answers: tuple[int, object]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Serve these statuses and documents one after another, the last one from then on."""
    asked: list[tuple[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Host"]))
            status, document = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"api": (None, VERSION)}, None),
        ({"api": (Public(), VERSION)}, Check("api", "", "/version", version=True)),
        (
            {"web": (Public(), Health()), "api": (Public(path="/api"), VERSION)},
            Check("web", "", "/", version=False),
        ),
        (
            {"web": (Public(), Health()), "api": (Public("api.x"), VERSION)},
            Check("api", "api.x", "/version", version=True),
        ),
        ({"api": (Public(private=("/version",)), VERSION)}, Check("api", "", "/healthz", version=False)),
        ({"api": (Public(private=("/version", "/healthz")), VERSION)}, Check("api", "", "/readyz", version=False)),
        ({"api": (Public("pay.example", "/api/"), VERSION)}, Check("api", "pay.example", "/api", version=False)),
        ({"api": (Public(path="/api"), Health(version="/api/v"))}, Check("api", "", "/api/v", version=True)),
        ({"api": (Public(path="/api"), Health(version="/apiv"))}, Check("api", "", "/api", version=False)),
    ],
)
def test_what_is_asked(declared: dict[str, tuple[Public | None, Health]], expected: Check | None) -> None:
    """A service that says its release comes first, else the first public one; at a path that is public."""
    assert expected == smoke.check(release(**declared))


def test_it_answers_with_this_release_alone() -> None:
    """Five answers in a row are of the release; another one in between begins the count anew."""
    made = release(api=(Public("api.x"), VERSION))
    check = smoke.check(made)
    assert check
    with answering((200, {"release": 7}), (200, {"release": 6}), (200, [1]), (503, {}), (200, {"release": 7})) as (
        url,
        asked,
    ):
        text = smoke.ask(url, made, check)

    assert f"release 7 answers at {url}" == text
    assert [("/version", "api.x")] * 9 == asked


@pytest.mark.parametrize("status", [200, 302, 401, 404])
def test_it_answers(status: int) -> None:
    """Without a release to ask for, five answers in a row are below 500; no redirect is followed."""
    with answering((503, {}), (status, {})) as (url, asked):
        text = smoke.ask(url, release(), Check("web", "", "/", version=False))

    assert f"web answers at {url}" == text
    assert 6 == len(asked)


@pytest.mark.parametrize(
    ("version", "answer", "why"),
    [
        (True, (200, {"release": 6}), "/x with the host a.b does not answer with release 7, but release 6"),
        (True, (404, {}), "does not answer with release 7, but with 404"),
        (True, (200, "a text"), "does not answer with release 7, but TypeError"),
        (False, (500, {}), "does not answer with a status below 500, but with 500"),
    ],
)
def test_it_does_not_answer(
    version: bool,  # noqa: FBT001
    answer: tuple[int, object],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a while the last answer is why it failed."""
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.3)
    with (
        answering(answer) as (url, _),
        pytest.raises(errors.SmokeError, match=why),
    ):
        smoke.ask(url, release(), Check("api", "a.b", "/x", version=version))


def test_where_clients_find_a_service() -> None:
    """At its own host and path, where it has them, and the proxy's port."""
    made = release(api=(Public("pay.example", "/api/"), Health()), web=(Public(), Health()))

    found = [smoke.address("https://127.0.0.1:8443", route) for route in routes.public(made)]

    assert ["https://pay.example:8443/api", "https://127.0.0.1:8443"] == found
