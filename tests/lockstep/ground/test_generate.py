import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.ground import generate, repo, schema
from ci.ground.errors import ConfigurationError, UsageError
from tests.lockstep.ground import modules

ROOT = Path(__file__).parents[3]
SERVICES = {"web": {"command": "python -m web.main"}, "jobs": {"command": "node jobs.js"}}
JOBS = {"migrate": {"command": "python -m web.migrate", "keys": "web"}}
KEYS: dict[str, dict[str, Any]] = {
    "PLAIN": {"type": "string"},
    "SECRET": {"type": "string", "meta": {"secret": True, "services": ["web", "jobs"]}},
    "OPTIONAL": {"type": "string", "nullable": True, "default": None, "meta": {"secret": True}},
    "RATIO": {"type": "float", "min": -1e-07, "max": 1e16, "default": 1},
    "RETRIES": {"type": "integer", "min": 0, "default": 3},
    "PROXY": {"type": "string", "nullable": True, "default": None, "url": ["http", "https"]},
    "QUOTED": {
        "type": "string",
        "allowed": ['"', "'", "\"'", "\\", "\\'", 'say "hi"', "it's", "tab\t", "ä🔑", "\x7f"],
    },
    "LONG": {"type": "string", "allowed": ["x" * 30, "y" * 30, "z" * 30], "regex": "(" + "[a-z0-9]|" * 20 + "x)"},
    "SWITCH": {"type": "boolean", "default": False, "meta": {"description": "on | off\nor neither"}},
}


def document(**more: dict[str, Any]) -> dict[str, Any]:
    """Return a schema's document, its keys' meta filled in."""
    keys = {
        name: {
            **rules,
            "meta": {"services": ["web"], "description": "a key", "example": "x", **rules.get("meta", {})},
        }
        for name, rules in {**KEYS, **more}.items()
    }
    return {"services": SERVICES, "jobs": JOBS, "keys": keys}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a schema of its own, and nothing generated."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/schema.yaml").write_text(yaml.safe_dump(document(), sort_keys=False))
    return tmp_path


def run(*words: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run the command as a developer does."""
    argv = [sys.executable, "-m", "ci.ground.generate", *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_keys_module_holds_the_rules() -> None:
    """Services and jobs by name, and per key who reads it, whether it is secret, and every rule."""
    compiled = modules.imported(schema.build(document()))

    assert ("web", "jobs", "migrate") == compiled["SERVICES"]
    assert {"services": ("web", "migrate"), "type": "string"} == compiled["KEYS"]["PLAIN"]
    assert {"services": ("web", "jobs", "migrate"), "secret": True, "type": "string"} == compiled["KEYS"]["SECRET"]
    assert tuple(KEYS["QUOTED"]["allowed"]) == compiled["KEYS"]["QUOTED"]["allowed"]
    assert KEYS["LONG"]["regex"] == compiled["KEYS"]["LONG"]["regex"]
    ratio = {"services": ("web", "migrate"), "type": "float", "min": -1e-07, "max": 1e16, "default": 1.0}
    assert ratio == compiled["KEYS"]["RATIO"]
    assert float is type(compiled["KEYS"]["RATIO"]["default"])


def test_the_keys_module_has_a_type_for_each_attribute() -> None:
    """A secret is a Secret, a number is a number, and what may be null says so."""
    annotations = modules.imported(schema.build(document()))["Keys"].__annotations__

    assert {
        "plain": "str",
        "secret": "Secret",
        "optional": "Secret | None",
        "ratio": "float",
        "retries": "int",
        "proxy": "str | None",
        "quoted": "str",
        "long": "str",
        "switch": "bool",
    } == annotations


@pytest.mark.parametrize("width", [88, 115])
def test_a_formatter_leaves_the_keys_module_alone(width: int) -> None:
    """Quotes, commas and breaks are the formatter's own, at its default width and at ours."""
    source = generate.keys_module(schema.build(document()))
    argv = [sys.executable, "-m", "ruff", "format", "--isolated", f"--line-length={width}", "-"]

    formatted = subprocess.run(argv, input=source, capture_output=True, text=True, check=True)

    assert source == formatted.stdout


def test_the_table_has_a_row_for_each_key() -> None:
    """Bounds on either side, defaults, and text that would break the table."""
    table = generate.keys_table(schema.build(document()))

    assert "| `RATIO` | a key | plain | web | float, -1e-07 to 1e+16; default `1` | `x` |" in table
    assert "| `OPTIONAL` | a key | sealed | web | string; optional | `x` |" in table
    assert "| `PROXY` | a key | plain | web | `http://` or `https://`; optional | `x` |" in table
    assert "| `RETRIES` | a key | plain | web | integer, at least 0; default `3` | `x` |" in table
    assert r"| `SWITCH` | on \| off or neither | plain | web | boolean; default `False` | `x` |" in table


def test_the_command_writes_into_the_checkout_that_is_named(checkout: Path) -> None:
    """All generated files of the checkout are there, and say what its schema says."""
    done = run(str(checkout))

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    built = schema.build(document())
    assert [make(built) for make in generate.FILES.values()] == [
        (checkout / name).read_text() for name in generate.FILES
    ]


def test_the_command_without_a_path_means_its_own_checkout(checkout: Path) -> None:
    """It repairs even a keys module that is not Python, such as one with the marks of a merge conflict."""
    for folder in ("ci", "runtime"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "runtime/keys.py").write_text("<<<<<<< HEAD\n")

    done = run(cwd=checkout)

    assert (0, "") == (done.returncode, done.stderr)
    assert generate.keys_module(schema.build(document())) == (checkout / "runtime/keys.py").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            yaml.safe_dump(document(PORT={"type": "integer", "coerce": "int"})),
            "PORT: compiled keys know only type",
        ),
        (
            yaml.safe_dump(document(PORT={"type": "integer", "max": 1, "default": 2})),
            "PORT: the default is above 1",
        ),
        ("services:\nkeys: [", "schema.yaml cannot be read as YAML (aliases are not followed), line 3"),
        ("", "schema.yaml must hold services and keys"),
        (None, "schema.yaml cannot be read: No such file or directory"),
    ],
)
def test_a_bad_schema_ends_as_every_command_does(checkout: Path, text: str | None, expected: str) -> None:
    """An error, each problem, a hint and the exit code of a wrong configuration; no traceback and no file."""
    path = checkout / "config/schema.yaml"
    path.unlink() if text is None else path.write_text(text)

    done = run(str(checkout))

    assert ConfigurationError.code == done.returncode
    assert expected in done.stderr
    assert "error: the schema is wrong\n" in done.stderr
    assert "hint: fix config/schema.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == [name for name in generate.FILES if (checkout / name).exists()]


@pytest.mark.parametrize("words", [("one", "two"), ("--help",)])
def test_other_arguments_are_a_usage_error(words: tuple[str, ...]) -> None:
    """The command takes one path at most."""
    with pytest.raises(UsageError, match="not one checkout's path"):
        generate.main(words)


def test_a_file_is_written_whole_or_not_at_all(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, the file of before is left, and nothing beside it."""
    generate.write(repo.Repo(checkout))
    before = (checkout / "runtime/keys.py").read_text()
    (checkout / "config/schema.yaml").write_text(yaml.safe_dump(document(MORE={"type": "string"})))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        generate.write(repo.Repo(checkout))

    assert before == (checkout / "runtime/keys.py").read_text()
    assert ["keys.py"] == [path.name for path in (checkout / "runtime").iterdir()]
