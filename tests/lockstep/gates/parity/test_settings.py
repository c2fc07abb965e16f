import pytest

from ci.gates import parity
from ci.gates.parity import libraries
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity.changes import Change, both, code, file, rules, settings

ENVIRON = "import os\nHOST = os.environ['SMTP_HOST']\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            settings("import os\n\nA = os.getenv('SMTP_HSOT')\n"),
            ("SMTP_HSOT", 3, "is read by os.getenv, and is not a key; did you mean SMTP_HOST?"),
        ),
        (
            settings("from environs import Env\nenv = Env()\nA = env('COLOUR')\n"),
            ("COLOUR", 3, "is read by environs.Env, and is not a key"),
        ),
        (
            settings("import os\nA = dict(os.environ)\n"),
            ("", 2, "reads os.environ in a way that does not say what is read"),
        ),
        (
            settings("import os\nA = os.getenv('SMTP_PASSWORD', 'made-up')\n"),
            ("SMTP_PASSWORD", 2, "has a default in clear, and is a secret"),
        ),
        (code(ENVIRON, "app/settings.py"), ("SMTP_HOST", 2, "reads SMTP_HOST by os.environ, past the loader")),
    ],
)
def test_a_finding_names_the_variable(repo: Repo, change: Change, expected: tuple[str, int, str]) -> None:
    """It says where, which, by what it is read, and which key is nearly called so; a default is not repeated."""
    change(repo)

    (found,) = parity.check(repo)

    assert ("app/settings.py", *expected) == (found.place, found.key, found.line, found.message)
    assert "made-up" not in repr(found)


def test_a_read_past_the_loader_names_the_way(repo: Repo) -> None:
    """The hint says how a module may read the environment by itself."""
    code(ENVIRON)(repo)

    (found,) = parity.check(repo)

    assert "`settings` in config/schema.yaml" in found.hint


def test_a_checkout_of_git_is_what_git_tracks_or_would(repo: Repo) -> None:
    """What is ignored is not the product's, unless it is tracked nevertheless."""
    both(file("left/a.py", ENVIRON), file(".gitignore", "/left/\n"))(repo)
    assert {"environ-read"} == rules(repo)

    checkouts.git(repo.root, "init", "-q")
    ignored = rules(repo)
    file("new/a.py", ENVIRON)(repo)
    untracked = rules(repo)
    (repo.root / "new/a.py").unlink()
    checkouts.git(repo.root, "add", "-f", "left/a.py")

    assert [set(), {"environ-read"}, {"environ-read"}] == [ignored, untracked, rules(repo)]


def test_a_product_without_python_is_looked_at(repo: Repo) -> None:
    """Its keys are read by sources in another language."""
    for folder in ("app", "worker", "model", "sandbox"):
        for path in (repo.root / folder).rglob("*.py"):
            path.unlink()
    file("web/server.js", "\n".join(f"console.log(process.env.{key})" for key in repo.schema.keys))(repo)

    found = parity.check(repo)

    assert [] == found
    assert 1 == found.looked["files of code"]


def test_a_product_without_a_key_is_looked_at(repo: Repo) -> None:
    """A page of files has neither keys nor code; its environments are compared all the same."""
    for path in [*repo.root.glob("*/*.py"), *(repo.root / "config").glob("*.env")]:
        path.unlink()
    for path in (repo.root / "secrets").iterdir():
        path.unlink()
    file("config/schema.yaml", "services: {web: {command: python -m http.server}}\nkeys: {}\n")(repo)
    checkouts.generated(repo.root)

    found = parity.check(Repo(repo.root))

    assert {"parity/environment"} == {finding.rule for finding in found}
    assert {"environments": 4} == found.looked


@pytest.mark.parametrize("name", ["PORT", "PATH", "LC_ALL", "TZ", "PYTHONPATH", "https_proxy"])
def test_what_a_process_is_given_is_not_a_key(name: str) -> None:
    """The whole name, or its beginning, has to be in the list."""
    assert libraries.is_one(name, libraries.GIVEN)
    assert not libraries.is_one(f"MY_{name}", libraries.GIVEN)
    assert not libraries.is_one("PORTS", libraries.GIVEN)
