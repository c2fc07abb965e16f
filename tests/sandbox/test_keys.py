import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from sandbox.errors import StartError
from tests import sandboxes
from tests.sandboxes import GOOD, Sandbox


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/messages"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/SK1"),
        ("POST", "/v1/faults"),
    ],
)
def test_without_a_valid_key(sandbox: Sandbox, method: str, path: str) -> None:
    """Nothing below /v1 is open: not without a key, with an unknown one, or with a wrong secret."""
    name, _, secret = sandbox.key.partition(":")
    wrong = [None, ("SKunknown", secret), (name, "wrong"), (name, ""), (name, "é")]
    document = {"count": 0} if path == "/v1/faults" else GOOD

    answers = [httpx.request(method, f"{sandbox.url}{path}", auth=auth, json=document) for auth in wrong]

    assert [401] * len(wrong) == [answer.status_code for answer in answers]
    assert answers[0].json() == {"error": "no valid api key"}


def test_a_new_key_works(sandbox: Sandbox, reference: str) -> None:
    """A key that was made can do what the first can, and its secret is told once."""
    with sandbox.client() as client:
        made = client.post("/v1/keys")
        listed = client.get("/v1/keys")
    with sandbox.client(f"{made.json()['id']}:{made.json()['secret']}") as client:
        answer = client.post("/v1/messages", json=GOOD, headers={"Idempotency-Key": reference})

    assert made.status_code == answer.status_code == 201
    assert re.fullmatch(r"[A-Za-z0-9]+:[A-Za-z0-9_-]{16,}", f"{made.json()['id']}:{made.json()['secret']}")
    assert {"id", "name", "created", "revoked"} == set(listed.json()["keys"][-1])
    assert made.json()["secret"] not in listed.text


def test_a_revoked_key_is_refused(sandbox: Sandbox) -> None:
    """Revoking takes effect at once, and once more changes nothing."""
    with sandbox.client() as client:
        made = client.post("/v1/keys").json()
        answers = [client.delete(f"/v1/keys/{made['id']}").status_code for _ in range(2)]
        [listed] = [one for one in client.get("/v1/keys").json()["keys"] if one["id"] == made["id"]]
    with sandbox.client(f"{made['id']}:{made['secret']}") as client:
        refused = client.get("/v1/messages")

    assert answers == [204, 204]
    assert listed["revoked"] >= listed["created"]
    assert refused.status_code == 401


def test_a_key_that_is_not_there(sandbox: Sandbox) -> None:
    """Revoking what was never made is an error."""
    with sandbox.client() as client:
        answer = client.delete("/v1/keys/SKnone")

    assert (answer.status_code, answer.json()) == (404, {"error": "no such key"})


def test_the_last_key_stays(tmp_path: Path) -> None:
    """Without a valid key nobody could make one, so the last is not revoked, whatever was revoked before."""
    with sandboxes.running(tmp_path) as sandbox, sandbox.client() as client:
        made = client.post("/v1/keys").json()
        client.delete(f"/v1/keys/{made['id']}").raise_for_status()
        answer = client.delete(f"/v1/keys/{sandbox.key.partition(':')[0]}")

        assert answer.status_code == 409
        assert client.get("/v1/keys").status_code == 200


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """A key that was made is valid after a restart, and the first one, once revoked, does not come back."""
    with sandboxes.running(tmp_path) as sandbox, sandbox.client() as client:
        first, made = sandbox.key, client.post("/v1/keys").json()
        client.delete(f"/v1/keys/{first.partition(':')[0]}").raise_for_status()

    with sandboxes.running(tmp_path, key=first) as sandbox:
        with sandbox.client(first) as client:
            refused = client.get("/v1/keys")
        with sandbox.client(f"{made['id']}:{made['secret']}") as client:
            admitted = client.get("/v1/keys")

    assert (refused.status_code, admitted.status_code) == (401, 200)
    assert f"key {first.partition(':')[0]} of the environment was revoked" in sandbox.log.read_text()


def test_messages_survive_a_restart(tmp_path: Path, reference: str) -> None:
    """What arrived is shown after a restart, and is not delivered again."""
    with sandboxes.running(tmp_path) as sandbox:
        sandbox.sms("hello", reference)
    with sandboxes.running(tmp_path, key=sandbox.key) as sandbox:
        again = sandbox.sms("hello", reference)

        assert "true" == again.headers["Idempotent-Replayed"]
        assert 1 == len(sandbox.inbox(reference))


def test_the_file_of_keys(sandbox: Sandbox) -> None:
    """The file can be read by its owner alone and holds hashes, no secret."""
    name, _, secret = sandbox.key.partition(":")
    kept = {one["id"]: one["sha256"] for one in json.loads(sandbox.state.read_bytes())["keys"]}

    assert sandbox.state.stat().st_mode & 0o777 == 0o600
    assert kept[name] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in sandbox.state.read_text()


def test_damaged_file_of_keys(tmp_path: Path) -> None:
    """A file of keys that cannot be read is an error with a way out, and stays as it is."""
    (tmp_path / "state.json").write_text('{"keys": [')

    child = sandboxes.spawn(tmp_path, sandboxes.values(), "--port", "1")

    assert child.wait(60) == StartError.code
    assert "state.json is damaged" in (tmp_path / "log").read_text()
    assert (tmp_path / "state.json").read_text() == '{"keys": ['
