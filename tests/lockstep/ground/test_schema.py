from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.ground import schema
from tests import checkouts

PATH = checkouts.ROOT / checkouts.PROJECT / "config/schema.yaml"


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Return the project's schema file but for one change."""
    document = schema.parse(PATH)
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


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["keys"]["LOG_LEVEL"].update(requird=True), "LOG_LEVEL: a rule is unknown"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(allowed=3), "LOG_LEVEL: a rule is unknown"),
        (lambda d: d["keys"]["LOG_LEVEL"].update(type="text"), "LOG_LEVEL: type must be one of"),
        (lambda d: d["keys"]["LOG_LEVEL"].pop("type"), "LOG_LEVEL: type must be one of"),
        (lambda d: d["keys"]["LOG_LEVEL"].pop("meta"), "LOG_LEVEL: needs rules and a meta"),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].pop("services"), "LOG_LEVEL: meta services"),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(sevrices=[]), "LOG_LEVEL: meta sevrices"),
        (
            lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(services=["wrker"]),
            "LOG_LEVEL: meta services names wrker",
        ),
        (lambda d: d["keys"]["LOG_LEVEL"]["meta"].update(provider="aws"), "LOG_LEVEL: meta provider is none of"),
        (lambda d: d["keys"]["SMS_SENDER"].update(regex="("), "SMS_SENDER: regex does not compile"),
        (lambda d: d["keys"]["SMTP_PASSWORD"].update(default="password"), "SMTP_PASSWORD: a secret cannot have"),
        (lambda d: d["keys"].update({"log_level": d["keys"].pop("LOG_LEVEL")}), "log_level: a key is named in"),
        (lambda d: d.update(extra={}), "schema.yaml must hold two mappings"),
        (lambda d: d.pop("services"), "schema.yaml must hold two mappings"),
    ],
)
def test_a_wrong_schema_is_refused(tmp_path: Path, change: Callable[[Any], object], expected: str) -> None:
    """An unknown rule, a missing meta or a wrong kind of argument is an error that says where."""
    path = changed(tmp_path, change)

    with pytest.raises(schema.SchemaError) as caught:
        schema.read(path)

    assert caught.value.problems[0].startswith(expected)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"keys: [", b"- a", b"keys:\nservices:\n"])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the file, the answer is a SchemaError."""
    path = tmp_path / "schema.yaml"
    path.write_bytes(content)

    with pytest.raises(schema.SchemaError):
        schema.read(path)
