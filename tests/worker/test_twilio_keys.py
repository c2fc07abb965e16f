"""Twilio's keys, at a server that speaks its dialect: forms in, JSON out, faults with code and status."""

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ci.ground import ports
from runtime import Secret, rules
from runtime.keys import KEYS
from tests.worker import requests
from worker.sms.rotation import VARIABLE, FaultError, Request, twilio

WHEN = "Mon, 13 Jun 2016 22:50:08 +0000"
WORDS = {20003: "Authenticate", 20404: "The requested resource was not found", 20429: "Too Many Requests"}


@dataclass
class Account:
    """An account: its keys by SID, of which `main` ones may manage keys, and what was asked."""

    url: str = ""
    sid: str = field(default_factory=lambda: f"AC{secrets.token_hex(16)}")
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, name: str, *, main: bool = False) -> dict[str, Any]:
        """Make a key, as the console or the API does."""
        key = {
            "sid": f"SK{secrets.token_hex(16)}",
            "friendly_name": name,
            "date_created": WHEN,
            "date_updated": WHEN,
        }
        secret = secrets.token_hex(16)
        self.keys[key["sid"]] = {"shown": key, "secret": secret, "main": main}
        return key | {"secret": secret}

    def value(self, name: str, *, main: bool = False) -> str:
        """Make a key, and return it as id:secret."""
        made = self.add(name, main=main)
        return f"{made['sid']}:{made['secret']}"

    def names(self) -> list[str]:
        """Return what the keys are called."""
        return [str(one["shown"]["friendly_name"]) for one in self.keys.values()]

    def answer(self, method: str, path: str, login: str, form: dict[str, str]) -> tuple[int, Any]:
        """Answer a request as Twilio does."""
        sid, _, secret = login.partition(":")
        key = self.keys.get(sid)
        parts = path.removeprefix("/2010-04-01/Accounts/").removesuffix(".json").split("/")
        known = key is not None and key["secret"] == secret and parts[0] == self.sid
        if not known or (not self.keys[sid]["main"] and parts[1:2] != ["Messages"]):
            return self.fault(401, 20003)
        match method, parts[1:]:
            case "GET", ["Messages"]:
                return 200, self.page("messages", [], path)
            case "GET", ["Keys"]:
                return 200, self.page("keys", [one["shown"] for one in self.keys.values()], path)
            case "POST", ["Keys"]:
                return 201, self.add(form.get("FriendlyName", ""))
            case "DELETE", ["Keys", one] if self.keys.pop(one, None):
                return 204, None
        return self.fault(404, 20404)

    def fault(self, status: int, code: int) -> tuple[int, dict[str, Any]]:
        """Return an error document."""
        more = f"https://www.twilio.com/docs/errors/{code}"
        return status, {"code": code, "message": WORDS[code], "more_info": more, "status": status}

    def page(self, name: str, all_of_them: list[Any], path: str) -> dict[str, Any]:
        """Return the first page of a list, or the one that the query names; two make a page here."""
        query = parse_qs(self.asked[-1][1])
        number = int(query.get("Page", ["0"])[0])
        following = f"{path}?PageSize=2&Page={number + 1}" if len(all_of_them) > 2 * number + 2 else None
        return {
            name: all_of_them[2 * number : 2 * number + 2],
            "page": number,
            "page_size": 2,
            "uri": f"{path}?PageSize=2&Page={number}",
            "next_page_uri": following,
            "previous_page_uri": None,
        }


@contextmanager
def served() -> Iterator[Account]:
    """Serve an account until the end of the block."""
    account = Account()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer, whatever the method."""
            parts = urlsplit(self.path)
            account.asked.append((f"{self.command} {parts.path}", parts.query))
            login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            if account.faults:
                status, said = account.faults.pop(0)
            else:
                status, document = account.answer(self.command, parts.path, login, form)
                said = json.dumps(document).encode() if document is not None else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_DELETE = do_GET  # noqa: N815, http.server's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, the name in the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def account() -> Iterator[Account]:
    """An account."""
    with served() as made:
        yield made


@pytest.fixture
def about(account: Account) -> Request:
    """A request about the account's standard key, with its main key at hand."""
    main, old = account.value("main", main=True), account.value("the worker's")
    plain = {"SMS_PROVIDER_URL": account.url, "SMS_PROVIDER_ACCOUNT": account.sid}
    return Request(f"lockstep-{secrets.token_hex(8)}", plain, Secret(old), Secret(main))


def test_old_and_new_are_valid_until_the_old_one_is_revoked(about: Request, account: Account) -> None:
    """Both are taken, then the new one alone; revoking again changes nothing."""
    new = twilio.make(about)
    both = (twilio.admits(about, about.old), twilio.admits(about, new))
    twilio.revoke(about, about.old, new)
    twilio.revoke(about, about.old, new)

    assert (True, True) == both
    assert (False, True) == (twilio.admits(about, about.old), twilio.admits(about, new))
    assert ["main", about.tag] == account.names()
    assert None is rules.problem(KEYS["SMS_PROVIDER_API_KEY"], new.reveal())


def test_what_is_asked(about: Request, account: Account) -> None:
    """Keys and Messages of the version that is published, as the sealed value's account."""
    new = twilio.make(about)
    twilio.admits(about, new)
    twilio.revoke(about, about.old, new)

    start = f"/2010-04-01/Accounts/{account.sid}"
    assert [
        (f"GET {start}/Keys.json", ""),
        (f"POST {start}/Keys.json", ""),
        (f"GET {start}/Messages.json", "PageSize=1"),
        (f"DELETE {start}/Keys/{about.old.reveal().partition(':')[0]}.json", ""),
    ] == account.asked


def test_a_key_that_was_made_and_lost_is_taken_back(about: Request, account: Account) -> None:
    """When a kill comes before the new key is kept, the next try deletes it, on whatever page it is listed."""
    account.add("another's")
    lost = twilio.make(about)
    account.add("one more")

    found = twilio.make(about)

    assert (False, True) == (twilio.admits(about, lost), twilio.admits(about, found))
    assert ["main", "the worker's", "another's", "one more", about.tag] == account.names()


def test_given_up(about: Request, account: Account) -> None:
    """The new key goes, and with it whatever has the rotation's name."""
    new = twilio.make(about)

    twilio.revoke(about, new, about.old)
    twilio.sweep(about)

    assert ["main", "the worker's"] == account.names()
    assert (True, False) == (twilio.admits(about, about.old), twilio.admits(about, new))


def test_a_standard_key_may_not_manage_keys(about: Request) -> None:
    """Twilio's refusal comes with its fix; neither says a word of a key."""
    with pytest.raises(FaultError, match="or does not let it manage keys") as caught:
        twilio.make(replace(about, main=about.old))

    assert "make a main key in Twilio's console" in caught.value.hint
    assert not [part for part in about.old.reveal().split(":") if part in f"{caught.value} {caught.value.hint}"]


def test_without_a_main_key(about: Request, account: Account) -> None:
    """That there is none at hand is told before Twilio is asked for anything."""
    with pytest.raises(FaultError, match="there is none here") as caught:
        twilio.make(replace(about, main=Secret("")))

    assert VARIABLE in caught.value.hint
    assert [] == account.asked


def test_an_auth_token_will_do(about: Request, account: Account) -> None:
    """The account's SID and auth token are as good as a main key."""
    token = secrets.token_hex(16)
    account.keys[account.sid] = {"shown": {"friendly_name": "auth token"}, "secret": token, "main": True}
    asked = replace(about, main=Secret(f"{account.sid}:{token}"))

    assert twilio.admits(asked, twilio.make(asked))


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (401, b"<html>the proxy's own</html>", "twilio answered 401"),
        (401, b'{"code": 20008, "message": "x", "status": 401}', "twilio answered 401, code 20008"),
        (403, b'{"code": 20006, "message": "x", "status": 403}', "twilio answered 403, code 20006"),
        (404, b'{"code": 20404, "message": "x", "status": 404}', "twilio answered 404, code 20404"),
        (429, b'{"code": 20429, "message": "x", "status": 429}', "twilio answered 429, code 20429"),
        (503, b"", "twilio answered 503"),
    ],
)
def test_what_is_no_refusal(about: Request, account: Account, status: int, said: bytes, told: str) -> None:
    """Only Twilio's own word that it does not know the key counts as one."""
    account.faults.append((status, said))

    with pytest.raises(FaultError, match=told):
        twilio.admits(about, about.old)


def test_silence_is_no_refusal(about: Request) -> None:
    """A Twilio that cannot be reached is a fault, never the proof that a key is refused."""
    gone = replace(about, plain={**about.plain, "SMS_PROVIDER_URL": f"http://127.0.0.1:{ports.free()}"})

    with pytest.raises(FaultError, match="twilio cannot be asked, ConnectionError") as caught:
        twilio.admits(gone, about.old)

    assert about.old.reveal().partition(":")[2] not in f"{caught.value} {caught.value.hint}"


def test_variables_of_twilio_s_own_library(
    about: Request, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TWILIO_REGION and its like, in somebody's shell, do not choose who is asked."""
    for name in ("TWILIO_REGION", "TWILIO_EDGE", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.setenv(name, "elsewhere")

    assert twilio.admits(about, about.old)
    assert 1 == len(account.asked)


def test_a_aboutof_a_rotation(about: Request) -> None:
    """The program makes a key with the main key that its environment holds, and says when there is none."""
    about = replace(about, plain={**about.plain, "SMS_PROVIDER": "twilio"})

    made = requests.answered(about, "make")
    code, refused = requests.asked(replace(about, main=Secret("")), "make")

    assert twilio.admits(about, Secret(made["value"]))
    assert (1, twilio.HINT, False) == (code, refused["hint"], refused["refused"])
