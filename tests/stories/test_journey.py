"""The README's promise: from a clone to a delivered SMS, without Docker, root, account, key or question."""

import json
import secrets
import urllib.request

import pytest

from ci.ground import dotenv
from ci.sealing import environment
from tests import checkouts


def inbox(clone: checkouts.Clone) -> list[dict[str, str]]:
    plain = environment.plain(clone.repo, "local")
    with urllib.request.urlopen(f"{plain['SMS_PROVIDER_URL']}/inbox.json") as answer:
        return list(json.load(answer)["messages"])


@pytest.mark.server
def test_from_a_clone_to_a_delivered_sms(clone: checkouts.Clone) -> None:
    """clone, init, set, encrypt, deploy, SMS and e-mail arrive, stop."""
    password = secrets.token_urlsafe()
    clone.inv("init", "--name=acme")
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text=password)
    sealed = clone.inv("decrypt", "--env=dev")
    clone.inv("encrypt", "--env=dev", text=sealed)

    shown = clone.inv("deploy")

    assert f"SMTP_PASSWORD={password}\n" in clone.inv("decrypt", "--env=dev")
    assert {"sms", "email"} == {message["channel"] for message in inbox(clone)}
    assert 2 == shown.count("delivered in")
    assert 3 == clone.inv("status").count(" ready ")
    clone.inv("stop")
    assert "local does not run" in clone.inv("status", code=45)


@pytest.mark.server
def test_a_second_deploy_replaces_the_first(clone: checkouts.Clone) -> None:
    """The new release takes over, the old one is gone, and what was delivered stays."""
    clone.inv("deploy")

    clone.inv("deploy")

    status = clone.inv("status")
    assert "local: release 2," in status
    assert 4 == len(inbox(clone))
    assert 3 == status.count(" ready ")


@pytest.mark.server
def test_what_was_accepted_survives_a_stop(clone: checkouts.Clone) -> None:
    """After stop and deploy the database still has the notifications of before."""
    clone.inv("deploy")
    clone.inv("stop")
    clone.inv("deploy")
    values, _ = dotenv.parse(clone.inv("decrypt", "--env=local").encode())
    plain = environment.plain(clone.repo, "local")

    request = urllib.request.Request(
        f"{plain['PUBLIC_BASE_URL']}/v1/notifications",
        headers={"Authorization": f"Bearer {values['API_TOKENS']}"},
    )
    with urllib.request.urlopen(request) as answer:
        listed = json.load(answer)

    assert 4 == len(listed["items"])
