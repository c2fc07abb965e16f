import time

import httpx
import pytest

from tests.sandboxes import Sandbox


def test_faults_end(sandbox: Sandbox, reference: str) -> None:
    """So many sends fail as were asked for, and a failed one was not sent."""
    with sandbox.client() as client:
        asked = client.post("/v1/faults", json={"status": 500, "count": 2})
    codes = [sandbox.sms("hello", reference).status_code for _ in range(3)]

    assert asked.status_code == 204
    assert codes == [500, 500, 201]
    assert len(sandbox.inbox(reference)) == 1


def test_rate_limit(sandbox: Sandbox) -> None:
    """A 429 says when to try again."""
    with sandbox.client() as client:
        client.post("/v1/faults", json={"status": 429})
    answer = sandbox.sms()

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_delay_then_retry(sandbox: Sandbox, reference: str) -> None:
    """A sender that gave up waiting and tries again with the same key has sent once."""
    with sandbox.client() as client:
        client.post("/v1/faults", json={"delay": 1})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.sms("hello", reference, timeout=0.2)
    deadline = time.monotonic() + 30
    while not sandbox.inbox(reference) and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = sandbox.sms("hello", reference)

    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(sandbox.inbox(reference)) == 1


@pytest.mark.parametrize("fault", [{"status": 200}, {"delay": -1}, {"count": -1}, {"fail": True}])
def test_bad_faults(sandbox: Sandbox, fault: dict[str, object]) -> None:
    """What is no fault is answered 422."""
    with sandbox.client() as client:
        assert client.post("/v1/faults", json=fault).status_code == 422
