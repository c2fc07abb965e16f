"""Who gives out which secret."""

import inspect
from pathlib import Path

import pytest

from ci.ground import schema
from ci.rotation import providers
from ci.rotation.providers import Provider, generated, manual, postgres, redis, sandbox, twilio
from tests import checkouts

EVERY: dict[str, Provider] = {  # mypy holds each of them against the Protocol
    "generated": generated,
    "manual": manual,
    "postgres": postgres,
    "redis": redis,
    "sandbox": sandbox,
    "twilio": twilio,
}
KEYS = {
    "DATABASE_URL": {"postgres"},
    "REDIS_URL": {"redis"},
    "API_TOKENS": {"generated"},
    "SMS_PROVIDER_API_KEY": {"sandbox", "twilio"},
    "SMTP_PASSWORD": {"manual"},
}


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_every_secret_has_a_provider(tmp_path: Path, environment: str) -> None:
    """In each environment each secret key of the schema has one that exists."""
    repo = checkouts.empty(tmp_path)

    found = {key.name: providers.named(repo, environment, key.name) for key in repo.schema.secrets()}

    assert KEYS.keys() == found.keys()
    assert {} == {key: name for key, name in found.items() if name not in KEYS[key]}
    assert all(providers.of(name) is EVERY[name] for name in found.values())


def test_the_schema_knows_the_same_ones() -> None:
    """What may stand in the schema as a provider is what is there."""
    assert sorted(EVERY) == sorted(providers.PROVIDERS) == sorted(schema.PROVIDERS)


@pytest.mark.parametrize("name", EVERY)
def test_each_has_all_of_the_protocol(name: str) -> None:
    """Every function takes what a rotation hands it, and `gap` is a text."""
    wanted = {one: function for one, function in vars(Provider).items() if inspect.isfunction(function)}
    functions = [one for one in wanted if not one.startswith("_")]

    assert isinstance(EVERY[name].gap, str)
    for one in functions:
        mine = list(inspect.signature(getattr(EVERY[name], one)).parameters)
        assert ["self", *mine] == list(inspect.signature(wanted[one]).parameters)
