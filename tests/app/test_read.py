import base64
import secrets
from uuid import uuid4

import httpx
import pytest

from tests import services
from tests.app.asked import EMAIL, Api

pytestmark = pytest.mark.server

SOMEBODY = "67e6d90e-a9e7-4b9a-96af-8937ab1b1c1e"  # the id of no notification


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def pages(api: Api, **query: str | int) -> list[list[str]]:
    """Return the ids of every page, as a client gets them who follows `next`."""
    found = []
    while True:
        page = api.client.get("/v1/notifications", params=query).raise_for_status().json()
        found.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            return found
        query["after"] = page["next"]


def kill(api: Api, identifier: str) -> None:
    services.execute(
        api.environ, f"UPDATE notifications SET status = 'dead', attempts = 3 WHERE id = '{identifier}'"
    )


def test_show(api: Api) -> None:
    """What is shown is what was accepted."""
    receipt = api.submit(**EMAIL)

    assert receipt == api.client.get(f"/v1/notifications/{receipt['id']}").json()


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/replay")])
def test_what_is_not_there(api: Api, method: str, path: str) -> None:
    """An id that nobody was given is a 404 with a problem document."""
    answer = api.client.request(method, f"/v1/notifications/{uuid4()}{path}")

    assert (404, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert "there is no such notification" == answer.json()["title"]


@pytest.mark.parametrize("identifier", ["1", "x" * 500, "%00", "' OR 1=1", "%E2%98%83"])
def test_an_id_that_is_none(api: Api, identifier: str) -> None:
    """Anything but a UUID is refused."""
    answer = api.client.get(f"/v1/notifications/{identifier}")

    assert 422 == answer.status_code
    assert ["path.identifier"] == [one["where"] for one in answer.json()["problems"]]


def test_the_list_of_nothing(api: Api) -> None:
    """Without notifications the list is an empty page."""
    assert [[]] == pages(api)


@pytest.mark.parametrize(("count", "limit"), [(7, 1), (7, 3), (6, 3), (3, 3), (2, 3)])
def test_pages_hold_every_row_once(api: Api, count: int, limit: int) -> None:
    """Newest first, each once, no empty page at the end."""
    made = [api.submit()["id"] for _ in range(count)]

    found = pages(api, limit=limit)

    assert made[::-1] == [one for page in found for one in page]
    assert [limit] * (len(found) - 1) == [len(page) for page in found[:-1]]
    assert found[-1]


def test_pages_of_rows_of_the_same_moment(api: Api) -> None:
    """Rows that were made at the same microsecond are not lost between two pages."""
    made = {api.submit()["id"] for _ in range(5)}
    services.execute(api.environ, "UPDATE notifications SET created_at = '2026-01-01T00:00:00Z'")

    found = [one for page in pages(api, limit=2) for one in page]

    assert (5, made) == (len(found), set(found))


def test_a_new_row_does_not_move_the_pages(api: Api) -> None:
    """What comes while a client turns pages neither doubles nor hides a row."""
    made = [api.submit()["id"] for _ in range(4)]
    first = api.client.get("/v1/notifications", params={"limit": 2}).json()
    api.submit()

    second = api.client.get("/v1/notifications", params={"limit": 2, "after": first["next"]}).json()

    assert made[1::-1] == [item["id"] for item in second["items"]]


def test_the_list_of_one_status(api: Api) -> None:
    """The filter holds over all pages."""
    made = [api.submit()["id"] for _ in range(4)]
    for identifier in made[:3]:
        kill(api, identifier)

    assert [[made[2], made[1]], [made[0]]] == pages(api, status="dead", limit=2)
    assert [[made[3]]] == pages(api, status="queued", limit=2)
    assert [[]] == pages(api, status="sent")


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"limit": "0"}, "query.limit"),
        ({"limit": "201"}, "query.limit"),
        ({"limit": "-1"}, "query.limit"),
        ({"limit": "many"}, "query.limit"),
        ({"limit": ""}, "query.limit"),
        ({"limit": "1.5"}, "query.limit"),
        ({"status": "lost"}, "query.status"),
        ({"status": ""}, "query.status"),
        ({"after": "x" * 201}, "query.after"),
    ],
)
def test_a_bad_query_is_refused(api: Api, query: dict[str, str], where: str) -> None:
    """A parameter out of range is a problem at its name."""
    answer = api.client.get("/v1/notifications", params=query)

    assert 422 == answer.status_code
    assert [where] == [one["where"] for one in answer.json()["problems"]]


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "ü",
        "\x00",
        cursor("no-bar"),
        cursor("|"),
        cursor(f"yesterday|{SOMEBODY}"),
        cursor("2026-01-01T00:00:00+00:00|1"),
        cursor(f"2026-01-01T00:00:00|{SOMEBODY}"),
        cursor(f"0001-01-01T00:00:00+23:59|{SOMEBODY}"),
        cursor(f"9999-12-31T23:59:59-23:59|{SOMEBODY}"),
        cursor(f"2026-01-01T00:00:00+00:00:00.000001|{SOMEBODY}") + "=x",
    ],
)
def test_a_cursor_that_is_none(api: Api, after: str) -> None:
    """A cursor that this list did not give is refused, not looked up."""
    answer = api.client.get("/v1/notifications", params={"after": after})

    assert 422 == answer.status_code
    assert [{"where": "query.after", "what": "after is no cursor of this list"}] == answer.json()["problems"]


def test_an_empty_cursor_is_the_beginning(api: Api) -> None:
    """`after=` is what some clients send for none."""
    api.submit()

    assert 1 == len(api.client.get("/v1/notifications", params={"after": ""}).json()["items"])


# Replay


def test_a_dead_one_is_replayed(api: Api) -> None:
    """It starts anew, and the queue is told."""
    identifier = api.submit()["id"]
    kill(api, identifier)
    services.execute(api.environ, "UPDATE notifications SET reason = 'refused', due_at = now() - interval '1 day'")

    answer = api.client.post(f"/v1/notifications/{identifier}/replay")

    assert 202 == answer.status_code
    assert ("queued", 0, None) == tuple(answer.json()[name] for name in ("status", "attempts", "reason"))
    assert answer.json() == api.client.get(f"/v1/notifications/{identifier}").json()
    assert [identifier, identifier] == api.nudges()
    assert [(True,)] == api.rows("due_at > now() - interval '1 minute'")


@pytest.mark.parametrize("status", ["queued", "sending", "sent"])
def test_only_a_dead_one_is_replayed(api: Api, status: str) -> None:
    """Any other is on its way or arrived: a 409 that says so."""
    identifier = api.submit()["id"]
    services.execute(api.environ, f"UPDATE notifications SET status = '{status}'")

    answer = api.client.post(f"/v1/notifications/{identifier}/replay")

    assert (409, f"it is {status}, only a dead one can be replayed") == (
        answer.status_code,
        answer.json()["title"],
    )
    assert [(status,)] == api.rows("status")


def test_a_second_replay_is_a_conflict(api: Api) -> None:
    """Who clicks twice replays once."""
    identifier = api.submit()["id"]
    kill(api, identifier)

    codes = [api.client.post(f"/v1/notifications/{identifier}/replay").status_code for _ in range(2)]

    assert [202, 409] == codes


# Tokens


def ask(api: Api, *authorization: bytes) -> httpx.Response:
    headers = [(b"Authorization", one) for one in authorization]
    return httpx.get(f"{api.running.url}/v1/notifications", headers=headers)


def test_each_of_the_tokens_is_good(api: Api) -> None:
    """Two are valid at once, so that one can be replaced while the other works."""
    codes = [ask(api, f"Bearer {token}".encode()).status_code for token in api.tokens]

    assert [200, 200] == codes


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_in_any_case(api: Api, scheme: str) -> None:
    """RFC 9110, section 11.1: the scheme's name is case-insensitive."""
    assert 200 == ask(api, f"{scheme} {api.tokens[0]}".encode()).status_code


def test_without_a_token(api: Api) -> None:
    """No token is a 401 that says what is needed."""
    answer = ask(api)

    assert (401, "Bearer") == (answer.status_code, answer.headers["WWW-Authenticate"])
    assert "application/problem+json" == answer.headers["Content-Type"]


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Bearer",
        b"Bearer ,",
        b"Bearer \xff\xfe\xe9",
        "Bearer schlüssel".encode(),
        b"Bearer " + b"x" * 10_000,
        b"Basic {token}",
        b"{token}",
        b"Bearer {token}x",
        b"Bearer x{token}",
        b"Bearer {token},{other}",
        b"Bearer {lower}",
    ],
)
def test_what_is_no_token(api: Api, given: bytes) -> None:
    """Neither strange bytes nor a part, a list or another scheme opens, and the answer repeats none of it."""
    first, second = (token.encode() for token in api.tokens)
    offered = given.replace(b"{token}", first).replace(b"{other}", second).replace(b"{lower}", first.lower())

    answer = ask(api, offered)

    assert 401 == answer.status_code
    assert api.tokens[0] not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/notifications"),
        ("GET", "/v1/notifications"),
        ("GET", f"/v1/notifications/{SOMEBODY}"),
        ("POST", f"/v1/notifications/{SOMEBODY}/replay"),
    ],
)
def test_every_route_wants_a_token(api: Api, method: str, path: str) -> None:
    """Without a good token nothing is read, written or told to be there."""
    headers = {"Authorization": f"Bearer {secrets.token_urlsafe(24)}"}

    assert 401 == httpx.request(method, f"{api.running.url}{path}", headers=headers).status_code


@pytest.mark.parametrize("content", [b"{", b"{}", b"x" * 200_000])
def test_a_body_is_not_looked_at_without_a_token(api: Api, content: bytes) -> None:
    """Who may not submit learns nothing about what may be submitted."""
    answer = httpx.post(
        f"{api.running.url}/v1/notifications", content=content, headers={"Content-Type": "application/json"}
    )

    assert 401 == answer.status_code
