"""Who gives out which secret."""

import inspect
from pathlib import Path

import pytest

from ci import cli
from ci.ground import errors, metaschema
from ci.ground.repo import Repo
from ci.rotation import providers
from ci.rotation.providers import Provider, generated, job, manual, postgres, redis
from tests import checkouts

EVERY: dict[str, Provider] = {  # mypy holds each of them against the Protocol
    "generated": generated,
    "manual": manual,
    "postgres": postgres,
    "redis": redis,
    "sms-keys": job.Provider(Repo(Path()), "sms-keys", {}),
}
KEYS = {
    "DATABASE_URL": "postgres",
    "REDIS_URL": "redis",
    "API_TOKENS": "generated",
    "SMS_PROVIDER_API_KEY": "sms-keys",
    "SMTP_PASSWORD": "manual",
}


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_every_secret_has_a_provider(tmp_path: Path, environment: str) -> None:
    """In each environment each secret key of the schema has the one that it names."""
    repo = checkouts.empty(tmp_path)

    assert KEYS == {key.name: providers.named(repo, environment, key.name) for key in repo.schema.secrets()}


def test_a_job_that_does_not_exist_there(tmp_path: Path) -> None:
    """A job of other environments gives out nothing in this one."""
    repo = checkouts.empty(tmp_path)
    path = repo.root / "config/schema.yaml"
    path.write_text(path.read_text().replace("sms-keys: {", "sms-keys: {environments: [local], "))

    with pytest.raises(errors.UsageError, match="has the provider sms-keys, which prod does not have"):
        providers.named(Repo(repo.root), "prod", "SMS_PROVIDER_API_KEY")


@pytest.mark.parametrize("key", ["", "LOG_LEVEL", "NO_SUCH_KEY"])
def test_what_is_not_a_secret(tmp_path: Path, key: str) -> None:
    """It is not rotated; the hint lists what can be."""
    with pytest.raises(errors.UsageError, match="is not a secret of dev") as caught:
        providers.named(checkouts.empty(tmp_path), "dev", key)

    assert ", ".join(KEYS) == caught.value.hint.removeprefix("take one of ").partition(":")[0]


def test_the_schema_knows_the_same_ones(tmp_path: Path) -> None:
    """What may stand in the schema as a provider, beside jobs, is what exists."""
    repo = checkouts.empty(tmp_path)

    assert sorted(providers.PROVIDERS) == sorted(metaschema.PROVIDERS)
    assert all(cli.follow(providers.of(repo, name)) is EVERY[name] for name in providers.PROVIDERS)


@pytest.mark.parametrize("name", EVERY)
def test_each_has_all_of_the_protocol(name: str) -> None:
    """Every function takes what a rotation hands it, and `gap` is a text."""
    wanted = {one: function for one, function in vars(Provider).items() if inspect.isfunction(function)}
    functions = [one for one in wanted if not one.startswith("_")]

    assert isinstance(EVERY[name].gap, str)
    for one in functions:
        mine = list(inspect.signature(getattr(EVERY[name], one)).parameters)
        assert ["self", *mine] == list(inspect.signature(wanted[one]).parameters)
