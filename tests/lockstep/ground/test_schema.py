import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ci.ground import generate, metaschema, schema
from tests import checkouts
from tests.lockstep.ground import modules

PATH = checkouts.ROOT / checkouts.PROJECT / "config/schema.yaml"


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Return the project's schema file but for one change."""
    document = yaml.safe_load(PATH.read_bytes())
    change(document)
    path = tmp_path / "schema.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_schema_is_good() -> None:
    """Every key has rules that Cerberus knows and a complete meta."""
    keys = schema.read(PATH).keys

    assert {"DATABASE_URL", "REDIS_URL", "SMS_PROVIDER_API_KEY", "SMTP_PASSWORD", "API_TOKENS"} == {
        key.name for key in keys.values() if key.secret
    }


def part_of(source: str, *, secret: bool = True) -> Callable[[Any], object]:
    """Return a change that adds a key whose value is a part of another's."""
    about = {"services": ["api"], "description": "a part", "example": "X", "secret": secret, "part_of": source}
    return lambda document: document["keys"].update(PART={"type": "string", "meta": about})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda d: d["keys"]["LOG_LEVEL"].update(requird=True),
            f"LOG_LEVEL: compiled keys know only {', '.join(metaschema.RULES)}; not requird",
        ),
        (lambda d: d["keys"]["LOG_LEVEL"].update(coerce="lower"), "LOG_LEVEL: compiled keys know only type, "),
        (lambda d: d["keys"]["LOG_LEVEL"].update(check_with="level"), "LOG_LEVEL: compiled keys know only type, "),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].update({1: 2, None: 3}), "LOG_LEVEL: meta 1: unknown field"),
        (lambda d: d["services"]["api"].update({1: 2, None: 3}), "service api: 1: unknown field"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(allowed=3), "LOG_LEVEL: allowed: must be of list type"),
        (lambda d: d["keys"]["SMTP_TLS"].update(allowed=["tls", False]), "SMTP_TLS: allowed: must be of string"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(max=3), "LOG_LEVEL: max: unknown field"),
        (lambda d: d["keys"]["SMTP_PORT"].update(minlength=3), "SMTP_PORT: minlength: unknown field"),
        (lambda d: d["keys"]["SMTP_PORT"].update(max="65535"), "SMTP_PORT: max: must be of float type"),
        (lambda d: d["keys"]["SMTP_PORT"].update(max=float("inf")), "SMTP_PORT: max: must be a finite number"),
        (lambda d: d["keys"]["SMTP_PORT"].update(min=True), "SMTP_PORT: min: must be a finite number"),
        (lambda d: d["keys"]["SMTP_PORT"].update(max=10**400), "SMTP_PORT: max: must be a finite number"),
        (lambda d: d["keys"]["REDIS_URL"].update(url=["Redis"]), "REDIS_URL: url: value does not match"),
        (
            lambda d: d["keys"]["LOG_LEVEL"].update(type=["string"]),
            "LOG_LEVEL: type must be one of string, integer, float, boolean",
        ),
        (
            lambda d: d["keys"]["SMTP_TLS"].update(allowed=[False, 1]),
            "SMTP_TLS: allowed: must be of string type; must be of string type",
        ),
        (lambda d: d["keys"]["LOG_LEVEL"].update(default="loud"), "LOG_LEVEL: the default is none of debug, info"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(default=""), "LOG_LEVEL: default: empty values not allowed"),
        (
            lambda d: d["keys"]["LOG_LEVEL"].update(default=None),
            "LOG_LEVEL: the default is null, and the key is not",
        ),
        (lambda d: d["keys"]["BACKLOG_MAX"].update(default=0), "BACKLOG_MAX: the default is below 1"),
        (lambda d: d["keys"]["BACKLOG_MAX"].update(default="9"), "BACKLOG_MAX: default: must be of integer type"),
        (lambda d: d["keys"]["BACKLOG_MAX"].update(default=True), "BACKLOG_MAX: default: must be a finite number"),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(services=3), "LOG_LEVEL: meta services: must be of list"),
        (lambda d: d["keys"].update(PASS=d["keys"].pop("LOG_LEVEL")), "PASS: pass is a word of Python's own"),
        (lambda d: d["services"].update(api=None), "service api: needs a mapping with a command"),
        (lambda d: d["services"].update(api={"comand": "app"}), "service api: comand: unknown field"),
        (
            lambda d: d["services"].update(api={"command": "a 'b"}),
            "service api: command: cannot be split into words",
        ),
        (lambda d: d["services"].update(api={"command": []}), "service api: command: must not be empty"),
        (lambda d: d["services"].update(api={"command": ["a", 1]}), "service api: command: must be words"),
        (lambda d: d["services"].update(proxy={"command": "a"}), "service proxy: a service is named in small"),
        (lambda d: d["services"]["api"].pop("port"), "service api: needs a port, for it is public"),
        (lambda d: d["services"]["worker"].update(image="web"), "job sms-keys: image web is not one of main"),
        (lambda d: d["services"]["worker"].update(health="ready"), "service worker: health: value does not match"),
        (
            lambda d: d["services"]["worker"].update(health={"ready": "/", "command": "true"}),
            "service worker: health takes paths or a command",
        ),
        (
            lambda d: d["services"]["worker"].update(writes={"kept": ["/a"]}),
            "service worker: writes: must be of dict type",
        ),
        (lambda d: d["services"]["worker"].update(drain_seconds=1.5), "service worker: drain_seconds: must be of"),
        (lambda d: d["jobs"].update(api={"command": "a", "keys": "api"}), "job api: a service has this name"),
        (lambda d: d["jobs"]["migrate"].update(keys="apy"), "job migrate: keys names apy, which is no service"),
        (lambda d: d["jobs"]["migrate"].update(when="after_release"), "job migrate: has a moment of its own"),
        (lambda d: d["jobs"]["verify"].update(alembic="x"), "job verify: alembic is for migrate alone"),
        (lambda d: d["jobs"]["verify"].update(when="later"), "job verify: when: unallowed value later"),
        (lambda d: d["jobs"]["verify"].pop("keys"), "job verify: keys: required field"),
        (lambda d: d["images"].update(main={"file": "x"}), "image main: file: unknown field"),
        (lambda d: d.update(setup={"python": "x"}), "setup: python: must be of list type"),
        (lambda d: d["keys"]["REDIS_URL"].update(url=["redis\n"]), "REDIS_URL: url: value does not match"),
        (lambda d: d["services"].update({"a/b": {"command": "app"}}), "service a/b: a service is named in small"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(type="text"), "LOG_LEVEL: type must be one of"),
        (lambda d: d["keys"]["LOG_LEVEL"].pop("type"), "LOG_LEVEL: type must be one of"),
        (lambda d: d["keys"]["LOG_LEVEL"].pop("meta"), "LOG_LEVEL: needs rules and a meta"),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].pop("services"), "LOG_LEVEL: meta services"),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(sevrices=[]), "LOG_LEVEL: meta sevrices"),
        (
            lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(services=["wrker"]),
            "LOG_LEVEL: meta services names wrker",
        ),
        (
            lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(provider="aws"),
            "LOG_LEVEL: meta provider is none of generated, manual, postgres, redis, nor a job",
        ),
        (
            lambda d: d["keys"]["REDIS_URL"]["meta"].update(generate="{tokn}"),
            "REDIS_URL: meta generate takes a text",
        ),
        (lambda d: d["keys"]["REDIS_URL"]["meta"].update(generate={"dev": 1}), "REDIS_URL: meta generate takes a"),
        (lambda d: d["keys"]["REDIS_URL"]["meta"].update(generate="{"), "REDIS_URL: meta generate takes a text"),
        (
            lambda d: d["keys"]["SMTP_PASSWORD"]["meta"].update(generate="{port}"),
            "SMTP_PASSWORD: meta generate has {port}, the port of a server, and the rule url is missing",
        ),
        (
            lambda d: d["keys"]["SMTP_PASSWORD"]["meta"].update(provider="postgres"),
            "SMTP_PASSWORD: meta provider postgres needs a url of postgres or postgresql",
        ),
        (
            part_of("REDIS_URL.fragment"),
            "PART: meta part_of is KEY.PART, PART one of user, password, host, port, name",
        ),
        (
            part_of("LOG_LEVEL.host"),
            "PART: meta part_of names LOG_LEVEL, which is not a secret key with the rule url",
        ),
        *(
            (
                part_of(f"{source}.host"),
                f"PART: meta part_of names {source}, which is not a secret key with the rule",
            )
            for source in ("SMTP_PASSWORD", "SMS_PROVIDER_URL", "NOTHING")
        ),
        (part_of("REDIS_URL.host.name"), "PART: meta part_of is KEY.PART, PART one of user,"),
        (part_of("REDIS_URL.host", secret=False), "PART: a part of a secret is secret"),
        (lambda d: d["keys"]["SMS_SENDER"].update(regex="("), "SMS_SENDER: regex does not compile"),
        (lambda d: d["keys"]["SMTP_PASSWORD"].update(default="password"), "SMTP_PASSWORD: a secret cannot have"),
        (lambda d: d["keys"]["SMTP_PASSWORD"].update(default=None), "SMTP_PASSWORD: the default is null, and the"),
        (lambda d: d["keys"].update({"log_level": d["keys"].pop("LOG_LEVEL")}), "log_level: a key is named in"),
        (lambda d: d.update(extra={}), "schema.yaml must hold services and keys"),
        (lambda d: d.pop("services"), "schema.yaml must hold services and keys"),
        (lambda d: d.update(jobs=[]), "jobs must be mappings"),
        (lambda d: d.update(settings="app/settings.py"), "settings: must be of list type"),
        (lambda d: d.update(settings=[1]), "settings: must be of string type"),
        (lambda d: d.update(settings=["/app/settings.py"]), "settings: value does not match regex"),
        (lambda d: d.update(settings=["../settings.py"]), "settings: value does not match regex"),
        (lambda d: d.update(settings=["app/../../settings.py"]), "settings: value does not match regex"),
        (lambda d: d.update(settings=["./settings.py"]), "settings: value does not match regex"),
        (lambda d: d.update(settings=["app/settings"]), "settings: value does not match regex"),
    ],
)
def test_a_wrong_schema_is_refused(tmp_path: Path, change: Callable[[Any], object], expected: str) -> None:
    """An unknown rule, a missing meta or a wrong kind of argument is an error that says where."""
    path = changed(tmp_path, change)

    with pytest.raises(schema.SchemaError) as caught:
        schema.read(path)

    assert caught.value.problems[0].startswith(expected)


def test_a_secret_may_be_optional(tmp_path: Path) -> None:
    """By the default null, which says nothing in clear."""
    key = schema.read(
        changed(tmp_path, lambda d: d["keys"]["SMTP_PASSWORD"].update(nullable=True, default=None))
    ).keys["SMTP_PASSWORD"]

    assert key.secret
    assert not key.required


def test_the_settings_that_a_product_declares(tmp_path: Path) -> None:
    """Files of Python, relative to the checkout; without them there are none."""
    path = changed(tmp_path, lambda d: d.update(settings=["app/settings.py", "shop/settings/base.py", "..x/a.py"]))

    assert ("app/settings.py", "shop/settings/base.py", "..x/a.py") == schema.read(path).settings
    assert () == schema.read(changed(tmp_path, lambda d: None)).settings


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"keys: [", b"- a", b"keys:\nservices:\n"])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the file, the answer is a SchemaError."""
    path = tmp_path / "schema.yaml"
    path.write_bytes(content)

    with pytest.raises(schema.SchemaError):
        schema.read(path)


def test_a_file_that_is_missing_is_named_as_such(tmp_path: Path) -> None:
    """A schema that is not there is not called bad YAML."""
    with pytest.raises(schema.SchemaError, match=r"^schema.yaml cannot be read: No such file or directory$"):
        schema.read(tmp_path / "schema.yaml")


DOCUMENT = yaml.safe_load(PATH.read_bytes())
PLACES = [
    *(
        ("keys", key, rule)
        for key in ("LOG_LEVEL", "SMTP_PORT", "SMTP_PASSWORD")
        for rule in ("meta", *metaschema.RULES)
    ),
    *(
        ("keys", "LOG_LEVEL", "meta", name)
        for name in ("services", "secret", "provider", "description", "example")
    ),
    *(
        ("services", "api", name)
        for name in ("command", "port", "public", "health", "writes", "environments", "setup")
    ),
    *(("jobs", "migrate", name) for name in ("command", "keys", "when", "alembic", "inherits")),
    ("images", "main"),
    ("images", "main", "packages"),
    ("setup",),
    ("setup", "run"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["string", "api"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(data=st.data())
def test_any_change_of_a_schema_is_refused_or_compiles(data: st.DataObject) -> None:
    """No value of any kind at any place is more than a SchemaError, or less than a module and a table."""
    document = copy.deepcopy(DOCUMENT)
    node, names = document, data.draw(st.sampled_from([("services", "api"), ("jobs", "verify"), *PLACES]))
    for name in names[:-1]:
        node = node[name]
    node[names[-1]] = data.draw(VALUES)

    with contextlib.suppress(schema.SchemaError):
        built = schema.build(document)
        assert set(built.keys) == set(modules.imported(built)["KEYS"])
        assert generate.keys_table(built)
