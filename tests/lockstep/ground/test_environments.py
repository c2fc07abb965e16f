from pathlib import Path

import pytest

from ci.ground import environments
from tests import checkouts

PATH = checkouts.ROOT / checkouts.PROJECT / "config/environments.yaml"


def test_a_good_file() -> None:
    """Each environment has an engine and replicas, and the protected one follows another."""
    read = environments.read(PATH)

    assert ["local", "dev", "staging", "prod"] == list(read.by_name)
    assert ["prod"] == [one.name for one in read.by_name.values() if one.protected]
    assert {"staging": "dev", "prod": "staging"} == {
        one.name: one.follows for one in read.by_name.values() if one.follows
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not a mapping"),
        ("[", "environments.yaml cannot be read as YAML (aliases are not followed)"),
        ("project: acme\n", "environments: required field"),
        ("project: Acme\nenvironments: {dev: {engine: swarm}}\n", "project:"),
        ("project: acme\nenvironments: {}\n", "environments:"),
        ("project: acme\nenvironments: {dev: {}}\n", "environments.dev.engine: required field"),
        ("project: acme\nenvironments: {Dev: {engine: swarm}}\n", "environments.Dev: value does not match"),
        (
            "project: acme\nenvironments: {dev: {engine: swarm, replica: {api: 1}}}\n",
            "environments.dev.replica: unknown field",
        ),
        (
            "project: acme\nenvironments: {dev: {engine: swarm, replicas: {api: -1}}}\n",
            "environments.dev.replicas.api: min value is 0",
        ),
        (
            "project: acme\nenvironments: {dev: {engine: swarm, protected: 'yes'}}\n",
            "environments.dev.protected: must be of boolean type",
        ),
        ("project: acme\nenvironments: {dev: {engine: swarm, follows: qa}}\n", "dev: follows qa"),
        ("project: acme\nenvironments: {dev: {engine: swarm, swarm: 1}}\n", "dev.swarm: must be a mapping"),
        (
            "project: acme\nenvironments: {1: {engine: a, replica: 1}}\n",
            "environments.1: a name must be a text",
        ),
        (
            "project: acme\nenvironments: {dev: {engine: swarm, swarm: {1: a, null: b}}}\n",
            "environments.dev.swarm.1: a name must be a text",
        ),
        ('project: "acme\\n"\nenvironments: {dev: {engine: a}}\n', "project: value does not match"),
        ('project: acme\nenvironments: {"dev\\n": {engine: a}}\n', "environments.dev\n: value does not match"),
        (
            "project: acme\nenvironments: {dev: {engine: a, soak_minutes: .nan}}\n",
            "environments.dev.soak_minutes: must be a finite number",
        ),
        ("null: a\n2: b\n", "None: a name must be a text"),
        (
            "project: acme\nenvironments: {dev: {engine: a, swarm: {}}}\n",
            "environments.dev.swarm: unknown field; its engine is a",
        ),
        ("project: acme\nenvironments: {dev: 1}\n", "environments.dev: must be of dict type"),
        ("project: acme\nenvironments: [1]\n", "environments: must be of dict type"),
        ("project: acme\nenvironments: {dev: {engine: [a]}}\n", "environments.dev.engine: must be of string type"),
        (
            f"project: {'a' * 31}\nenvironments: {{{'d' * 10}: {{engine: a}}}}\n",
            f"{'d' * 10}: its name and the project's are together longer than 40 characters",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, expected: str) -> None:
    """A slip in the file is an error that says where."""
    path = tmp_path / "environments.yaml"
    path.write_text(text)

    with pytest.raises(environments.EnvironmentsError) as caught:
        environments.read(path)

    assert caught.value.problems[0].startswith(expected)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A checkout without the file is told apart from an empty one."""
    with pytest.raises(environments.EnvironmentsError, match="cannot be read"):
        environments.read(tmp_path / "environments.yaml")


def test_a_small_file() -> None:
    """What an environment does not say has a default, and a name may be as long as an engine can take."""
    data = f"project: {'a' * 31}\nregistry: r.example/a\nenvironments: {{{'d' * 9}: {{engine: a}}}}\n"

    read = environments.parse(data.encode())

    assert ("a" * 31, "r.example/a") == (read.project, read.registry)
    assert {"d" * 9: environments.Environment("d" * 9, "a", {})} == read.by_name
    assert "" == environments.parse(b"project: acme\nenvironments: {dev: {engine: a}}\n").registry


def test_all_problems_are_named() -> None:
    """Each on a line, as those of the file that it is."""
    with pytest.raises(environments.EnvironmentsError) as caught:
        environments.parse(b"project: acme\nenvironments: {dev: {engine: a, x: 1, follows: b}, c: {}}\n")
    with pytest.raises(environments.EnvironmentsError, match=r"^environments\.yaml cannot be read as YAML"):
        environments.parse(b"[")

    problems = ["environments.c.engine: required field", "environments.dev.x: unknown field; its engine is a"]
    assert problems == sorted(caught.value.problems)
    assert "\n".join(caught.value.problems) == str(caught.value)


def test_a_file_of_another_name(tmp_path: Path) -> None:
    """It is called by its name."""
    path = tmp_path / "other.yaml"
    path.write_text("[")

    with pytest.raises(environments.EnvironmentsError, match=r"^other\.yaml cannot be read as YAML"):
        environments.read(path)


def test_where_the_values_of_an_environment_are() -> None:
    """In git, or on this machine alone; an environment that does not exist is nowhere."""
    text = "project: a\nenvironments: {dev: {engine: a}, here: {engine: a, in_git: false}"
    read, two = (
        environments.parse(f"{text}{more}}}\n".encode()) for more in ("", ", too: {engine: a, in_git: false}")
    )

    assert ["dev"] == read.in_git
    assert [False, True, False] == [read.outside_git(name) for name in ("dev", "here", "nowhere")]
    assert ("here", "") == (read.default, two.default)
