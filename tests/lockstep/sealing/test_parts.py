"""Keys that are parts of a sealed URL: they have no value of their own."""

import secrets
from urllib.parse import quote

import pytest
import yaml

from ci.ground import dotenv, errors
from ci.ground.repo import Repo
from ci.sealing import edit, environment
from tests import checkouts

PASSWORD = f"{secrets.token_urlsafe()}/@%"


@pytest.fixture
def parted(repo: Repo) -> Repo:
    """A checkout whose REDIS_URL is read in parts, too."""
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_text())
    parts = {name.upper(): f"REDIS_URL.{name}" for name in ("host", "password", "port", "name")}
    for name, part in parts.items():
        about = {"services": ["worker"], "description": "a part", "example": "X", "secret": True, "part_of": part}
        document["keys"][f"REDIS_{name}"] = {"type": "integer" if name == "PORT" else "string", "meta": about}
    path.write_text(yaml.safe_dump(document))
    return Repo(repo.root)


def url(port: str = ":6380") -> str:
    return f"rediss://:{quote(PASSWORD, safe='')}@redis.dev.internal{port}/3"


def test_parts_have_their_values_from_their_source(parted: Repo) -> None:
    """Each is what a client would take from the URL, and only the URL is sealed."""
    edit.put(parted, "dev", "REDIS_URL", url())

    opened = environment.opened(parted, "dev")

    parts = {key: value.reveal() for key, value in opened.sealed.items() if key.startswith("REDIS_")}
    assert {
        "REDIS_URL": url(),
        "REDIS_HOST": "redis.dev.internal",
        "REDIS_PASSWORD": PASSWORD,
        "REDIS_PORT": "6380",
        "REDIS_NAME": "3",
    } == parts
    assert {key.name for key in checkouts.schema().secrets()} == environment.sealed(parted, "dev").keys()
    assert "6380" not in {value.reveal() for value in opened.stored()}


def test_a_part_that_the_url_lacks(parted: Repo) -> None:
    """It is missing, as a key without a value is."""
    edit.put(parted, "dev", "REDIS_URL", url(port=""))

    with pytest.raises(errors.ConfigurationError) as caught:
        environment.opened(parted, "dev")

    assert ["REDIS_PORT is missing"] == list(caught.value.detail)


def test_a_part_cannot_be_set(parted: Repo) -> None:
    """The error names the key that can."""
    with pytest.raises(errors.BadValueError, match="REDIS_HOST is part of REDIS_URL") as caught:
        edit.put(parted, "dev", "REDIS_HOST", "redis.internal")

    assert "inv set --env=dev --key=REDIS_URL" == caught.value.hint


def test_a_value_of_its_own(parted: Repo) -> None:
    """A part that an env file has is refused before anything is deployed."""
    path = parted.plain("dev")
    values, _ = dotenv.parse(path.read_bytes())
    path.write_text(dotenv.render({**values, "REDIS_HOST": "redis.internal"}))
    edit.put(parted, "dev", "REDIS_URL", url())

    with pytest.raises(errors.ConfigurationError) as caught:
        environment.opened(parted, "dev")

    assert "REDIS_HOST is part of REDIS_URL and has no value of its own" in caught.value.detail
