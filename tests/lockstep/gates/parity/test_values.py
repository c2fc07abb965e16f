import secrets
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.gates import parity
from ci.gates.parity import values
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import edit, hosts
from runtime import Secret
from tests import checkouts
from tests.lockstep.gates.parity.changes import meta


@pytest.fixture
def opened(repo: Repo) -> dict[str, dict[str, Secret]]:
    return {
        name: {key.name: Secret(checkouts.value(name, key)) for key in repo.schema.secrets()}
        for name in ("dev", "staging", "prod")
    }


@given(st.text())
def test_any_value_can_be_judged(text: str) -> None:
    """Hosts and secrets are looked for in any text without a fault, and what is looked at is not lost."""
    repo = Repo(checkouts.ROOT / checkouts.PROJECT)
    for key in checkouts.schema().keys.values():
        values.judged(repo.environments.by_name["prod"], key, text, ["dev"], {})
        hosts.here(key.name, text)
        assert all(part in text or "url" in key.rules for part in values.material(key, text))
    assert all(host in text.lower() for host in hosts.hosts(text))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("SMTP_PASSWORD", value)
            for value in ("CHANGEME", "change-me-please", "<password>", "${SMTP_PASSWORD}")
        ),
        *(
            ("SMTP_PASSWORD", value)
            for value in ("xxxxxxxxxx", "********", "your-password", "PASSWORD", "{{ it }}")
        ),
        ("DATABASE_URL", "postgresql://lockstep:PASSWORD@db.internal:5432/lockstep"),
        ("DATABASE_URL", "postgresql://a:CHANGEME@db.prod.internal/x"),
        ("DATABASE_URL", "postgresql://a:{word}@127.1/x"),
        ("DATABASE_URL", "postgresql://a:{word}@localhost./x"),
        ("DATABASE_URL", "postgresql://a:{word}@db.staging.internal/x"),
        ("DATABASE_URL", "postgresql://a:{word}@db.prod.internal/x?sslmode=disable"),
        ("REDIS_URL", "redis://:{word}@redis.prod.internal/0"),
        ("REDIS_URL", "rediss://:{word}@[::ffff:7f00:1]/0"),
        ("SMTP_PASSWORD", "{word}\u200b"),
        ("SMTP_PASSWORD", "{word}\u00a0"),
        ("SMTP_PASSWORD", "short"),
    ],
)
def test_what_the_gate_refuses_set_refuses(
    repo: Repo, opened: dict[str, dict[str, Secret]], key: str, value: str
) -> None:
    """One judge: the same value, in the same words, before it is sealed and afterwards."""
    value = value.replace("{word}", secrets.token_hex(12))
    opened["prod"][key] = Secret(value)

    (found,) = parity.check_sealed(repo, opened)
    with pytest.raises(errors.BadValueError) as caught:
        edit.check(repo, "prod", key, value)

    assert f"the value of {key} {found.message}" == str(caught.value)
    assert key == found.key


@pytest.mark.parametrize(
    "shape", ["{}<{}>{}", "{}${{{}}}{}", "{}...{}{}", "{}***{}{}", "{}{{{{{}}}}}{}", "{}xxxxx{}{}"]
)
def test_what_set_takes_the_gate_takes(repo: Repo, opened: dict[str, dict[str, Secret]], shape: str) -> None:
    """A random password can hold the signs of a placeholder, and is not one."""
    value = shape.format(*(secrets.token_hex(3) for _ in "abc"))
    opened["prod"]["SMTP_PASSWORD"] = Secret(value)

    edit.check(repo, "prod", "SMTP_PASSWORD", value)

    assert [] == parity.check_sealed(repo, opened)


def test_sealed_values_that_are_right(repo: Repo, opened: dict[str, dict[str, Secret]]) -> None:
    """Three environments, each with its own secrets, are clean."""
    found = parity.check_sealed(repo, opened)

    assert [] == found
    assert {"opened environments": 3, "sealed values": 15} == found.looked


def test_several_lines_are_one_secret(repo: Repo, opened: dict[str, dict[str, Secret]]) -> None:
    """Files of JSON and XML have lines and words in common, and none of them is only a placeholder."""
    for sealed in opened.values():
        text = f'<a>\n{{"type": "service_account", "id": "{secrets.token_hex()}"}},\n</a>...\n'
        sealed["SMTP_PASSWORD"] = Secret(text)

    assert [] == parity.check_sealed(repo, opened)


@pytest.mark.parametrize(
    ("rule", "key", "change"),
    [
        ("value", "API_TOKENS", lambda _: "short"),
        ("value", "DATABASE_URL", lambda _: f"mysql://a:{secrets.token_hex()}@c/d"),
        ("placeholder", "SMTP_PASSWORD", lambda _: "CHANGEME-please"),
        ("placeholder", "REDIS_URL", lambda _: "rediss://:<password>@redis.prod.internal:6379/0"),
        ("localhost", "REDIS_URL", lambda _: f"redis://:{secrets.token_hex()}@localhost:6379/0"),
        ("foreign-host", "DATABASE_URL", lambda of: of["dev"]["DATABASE_URL"].reveal().replace("@", "x@")),
        ("shared-secret", "SMTP_PASSWORD", lambda of: of["dev"]["SMTP_PASSWORD"].reveal()),
        ("shared-secret", "API_TOKENS", lambda of: f"{secrets.token_hex()},{of['dev']['API_TOKENS'].reveal()}"),
        ("shared-secret", "SMTP_PASSWORD", lambda of: of["dev"]["API_TOKENS"].reveal()),
        ("shared-secret", "DATABASE_URL", lambda of: of["dev"]["DATABASE_URL"].reveal().replace("db.dev", "db")),
    ],
)
def test_sealed_values_that_are_wrong(
    repo: Repo,
    opened: dict[str, dict[str, Secret]],
    rule: str,
    key: str,
    change: Callable[[dict[str, dict[str, Secret]]], str],
) -> None:
    """Each is found by its rule, in the sealed file, and never shown."""
    value = change(opened)
    opened["prod"][key] = Secret(value)

    found = parity.check_sealed(repo, opened)

    assert [(f"parity/{rule}", "secrets/prod.enc.env", key)] == [(one.rule, one.place, one.key) for one in found]
    assert value not in repr(found)


def test_a_secret_of_this_machine_that_is_another_environments(
    repo: Repo, opened: dict[str, dict[str, Secret]]
) -> None:
    """`local`'s sealed file is outside of git, and its values are looked at all the same."""
    opened["local"] = {"SMTP_PASSWORD": opened["dev"]["SMTP_PASSWORD"]}

    found = parity.check_sealed(repo, opened)

    told = [(one.rule, one.place, one.key) for one in found]
    assert [("parity/shared-secret", "secrets/local.enc.env", "SMTP_PASSWORD")] == told


def test_a_secret_that_is_the_same_everywhere_by_intent(repo: Repo, opened: dict[str, dict[str, Secret]]) -> None:
    """The schema can say so."""
    meta("SMTP_PASSWORD", same_everywhere=True)(repo)
    shared = Secret(secrets.token_hex())

    found = parity.check_sealed(
        Repo(repo.root), {name: {**have, "SMTP_PASSWORD": shared} for name, have in opened.items()}
    )

    assert [] == found
