"""What a schema says of its keys, services and jobs."""

from pathlib import Path
from typing import Any

import pytest

from ci.ground import schema
from ci.ground.schema import Key
from ci.ground.services import Setup

META = {"description": "a key", "example": "x"}


def key(services: list[str], rules: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"type": "string", **(rules or {}), "meta": META | {"services": services} | meta}


DOCUMENT: dict[str, Any] = {
    "services": {
        "web": {"command": "web", "image": "node", "setup": {"run": ["npm ci"]}},
        "other": {"command": "other", "environments": ["dev"]},
    },
    "jobs": {
        "tool": {"command": "tool", "keys": ["web"]},
        "both": {"command": "both", "keys": ["other", "web"]},
        "here": {"command": "here", "keys": ["web"], "environments": ["prod"]},
    },
    "images": {
        "main": {"packages": "a.txt"},
        "node": {"context": "sub/../web/", "packages": "b.txt"},
        "none": {"context": "none"},
    },
    "setup": {"run": ["pip install"]},
    "keys": {
        "URL": key(["web"], {"url": ["https"]}, secret=True, generate={"dev": "https://{token}@h"}),
        "USER": key(["other"], part_of="URL.user", secret=True),
        "LEVEL": key(["web", "other"], {"default": "info"}, generate="level"),
        "SIZE": key(["other"], {"type": "float", "default": 1e-07}),
        "NONE": key(["web"], {"nullable": True, "default": None}, secret=True, several=True),
    },
}


def names(keys: list[Key]) -> list[str]:
    return [one.name for one in keys]


def test_which_keys_are_which() -> None:
    """Those of a service or of a job's services, sealed ones, parts of those, and defaults as texts."""
    read = schema.build(DOCUMENT)

    assert ["URL", "LEVEL", "NONE"] == names(read.of("web")) == names(read.of("tool"))
    assert ["URL", "USER", "LEVEL", "SIZE", "NONE"] == names(read.of("both"))
    assert ["URL", "NONE"] == names(read.secrets())
    assert ["USER"] == names(read.parts(["URL", "NONE"]))
    assert [] == names(read.parts(["LEVEL"]))
    assert {"LEVEL": "info", "SIZE": "0.0000001"} == read.defaults()


def test_a_key_by_itself() -> None:
    """Whether it is secret, required, a list, a part, and how it is generated where."""
    url, user, level, _, none = schema.build(DOCUMENT).keys.values()

    assert [True, True, False, True] == [one.secret for one in (url, user, level, none)]
    assert [True, True, False, False] == [one.required for one in (url, user, level, none)]
    assert ["", "URL", "", ""] == [one.source for one in (url, user, level, none)]
    assert [False, True] == [one.several for one in (url, none)]
    assert (("web", "other"), "info", None) == (level.services, level.default, none.default)
    assert ["https://{token}@h", None, "level", None] == [
        one.generator(name) for one, name in ((url, "dev"), (url, "prod"), (level, "prod"), (none, "dev"))
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [("user", "a@b"), ("password", "c:d"), ("host", "h.example"), ("port", "5432"), ("name", "data base")],
)
def test_a_part_of_a_url(part: str, expected: str) -> None:
    """As a client takes it out of it, and empty where the URL does not have it."""
    whole = Key("PART", {"type": "string"}, META | {"part_of": f"URL.{part}"})

    assert expected == whole.part("postgresql://a%40b:c%3Ad@h.example:5432/data%20base")
    assert "" == whole.part("postgresql:///")


def test_what_an_environment_has() -> None:
    """Services and jobs that exist in it, and the keys that these services read."""
    read = schema.build(DOCUMENT)
    dev, prod = read.within("dev"), read.within("prod")

    assert [["web", "other"], ["web"]] == [list(one.services) for one in (dev, prod)]
    assert [["tool", "both"], ["tool", "here"]] == [list(one.jobs) for one in (dev, prod)]
    assert [["URL", "USER", "LEVEL", "SIZE", "NONE"], ["URL", "LEVEL", "NONE"]] == [
        list(one.keys) for one in (dev, prod)
    ]
    assert dev.images == read.images


def test_how_packages_are_set_up() -> None:
    """By what the service says, for a job by its first service, and otherwise as for all."""
    read = schema.build(DOCUMENT)
    own, everyones = Setup(run=(("npm", "ci"),)), Setup(run=(("pip", "install"),))

    readers = ("web", "other", "tool", "both", "gone")
    assert [own, everyones, own, everyones, everyones] == [read.setup_of(reader) for reader in readers]
    assert {"packages", "web/packages"} == read.brought


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: [}\n", ["x.yaml cannot be read as YAML (aliases are not followed), line 2"]),
        (b"a: 1\na: 1\n", ["x.yaml cannot be read as YAML (aliases are not followed)"]),
        (b"- 1\n", ["x.yaml must hold services and keys, may hold jobs, images, setup, settings, nothing else"]),
        (
            b"services: {}\nkeys: {}\nmore: {}\n",
            ["x.yaml must hold services and keys, may hold jobs, images, setup, settings, nothing else"],
        ),
        (b"services: []\nkeys: 1\nsettings: []\n", ["services, keys must be mappings"]),
        (
            b"services: {a: {command: a}}\nkeys: {b: {}, A: {}}\n",
            ["A: needs rules and a meta mapping", "b: a key is named in capitals, digits and _"],
        ),
    ],
)
def test_every_problem_is_named(data: bytes, expected: list[str]) -> None:
    """In the order of the alphabet, each on a line, with the file's name."""
    with pytest.raises(schema.SchemaError) as caught:
        schema.parse(data, "x.yaml")

    assert (expected, "\n".join(expected)) == (caught.value.problems, str(caught.value))


@pytest.mark.parametrize(
    ("rules", "value", "expected"),
    [
        ({"type": "integer", "max": 3}, 4, "is above 3"),
        ({"type": "string", "nullable": False}, None, "is null, and the key is not nullable"),
        ({"type": "string", "url": ["https"]}, "https://", "is not a URL that starts with https://"),
        ({"type": "string", "nullable": True, "url": ["https"]}, None, None),
    ],
)
def test_the_rule_that_a_value_breaks(rules: dict[str, Any], value: Any, expected: str | None) -> None:
    """It is said in the words of the rules that services start with."""
    assert expected == Key("KEY", rules, META).breach(value)


def test_the_rules_of_a_key_are_without_its_meta() -> None:
    """A default does not take the place of a null that a key may not have."""
    level = schema.build(DOCUMENT).keys["LEVEL"]

    assert {"type": "string", "default": "info"} == level.rules
    assert "is null, and the key is not nullable" == level.breach(None)


def test_a_file_of_another_name(tmp_path: Path) -> None:
    """It is called by its name."""
    path = tmp_path / "other.yaml"
    path.write_text("- 1\n")

    with pytest.raises(schema.SchemaError, match=r"^other\.yaml must hold services and keys"):
        schema.read(path)


def test_a_schema_without_jobs() -> None:
    """A provider is then one of Lockstep's own; a URL may name its driver, a template hold all there is."""
    url = key(
        ["web"],
        {"url": ["postgresql+asyncpg"]},
        secret=True,
        provider="postgres",
        generate="postgresql+asyncpg://{hex}:{token}@localhost:{port}/a",
    )

    read = schema.build({"services": {"web": {"command": "web"}}, "keys": {"URL": url}})

    assert ({}, "postgres") == (read.jobs, read.keys["URL"].meta["provider"])
