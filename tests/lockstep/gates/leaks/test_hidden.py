import bz2
import gzip
import json
import lzma
import re
import secrets
from base64 import b64encode
from dataclasses import dataclass

import pytest

from ci.gates import leaks
from ci.ground import command
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.archives import tarred, zipped
from tests.lockstep.gates.leaks.cases import made_up
from tests.lockstep.gates.leaks.repos import checkout, commit, output

PLACES = {
    "message": "(commit)",
    "attribute": "attribute.hid",
    "nul": "nul.dat",
    "binary": "program.bin",
    "utf16": "wide.txt",
    "utf16be": "wide-be.txt",
    "utf16-no-mark": "wide-raw.dat",
    "base64": "base64.txt",
    "zip": "a.zip!inner.env",
    "nested": "nested.tar.gz!unpacked!deep.zip!inner.env",
    "bz2": "a.txt.bz2!unpacked",
    "xz": "a.txt.xz!unpacked",
    "a name in an archive": "names.tar",
    "lock file": "locks/poetry.lock",
    "picture": "vendor/github.com/x/picture.png",
    "gitleaks.toml": "gitleaks.toml",
    "long line": "long.min.js",
    "long file": "long.txt",
    ".gitleaks.toml": "allowed.env",
    ".gitleaksignore": "ignored.env",
    "deleted": "deleted.env",
    "file name": "folder/SMTP_PASSWORD=***",
    "merge": "evil.env",
    "note": "a note",
    "branch name": "refs/heads/SMTP_PASSWORD=***",
    "tag message": "(tag)",
    "blob": "(blob)",
    "stash": "README.md",
    "stash of untracked": "untracked.env",
}


@dataclass(frozen=True)
class Hidden:
    """A repository with a secret in each place that `gitleaks git` does not look into."""

    values: dict[str, str]
    places: dict[str, str]
    printed: str


@dataclass
class Planter:
    """Makes leaks and remembers the value of each."""

    repo: Repo
    values: dict[str, str]

    def value(self, place: str) -> str:
        """Return a fresh value."""
        self.values[place] = made_up()["v"]
        return self.values[place]

    def leak(self, place: str) -> bytes:
        """Return a line with a fresh value."""
        return f"SMTP_PASSWORD={self.value(place)}\n".encode()

    def git(self, *words: str) -> None:
        """Run git there."""
        checkouts.git(self.repo.root, *words)

    def blob(self, place: str) -> str:
        """Write an object that nothing refers to, and return its id."""
        words = ["hash-object", "-w", "--stdin"]
        done = command.attempt(["git", "-C", self.repo.root, *words], input=self.leak(place))
        return done.stdout.decode().strip()


def plant_contents(to: Planter) -> None:
    leak = to.leak
    files = {
        "attribute.hid": leak("attribute"),
        "nul.dat": b"some text\n" * 20 + b"\0\n" + leak("nul"),
        "program.bin": secrets.token_bytes(300) + b"\0" * 300 + leak("binary") + b"\0" * 300,
        "wide.txt": b"\xff\xfe" + leak("utf16").decode().encode("utf-16-le"),
        "wide-be.txt": b"\xfe\xff" + leak("utf16be").decode().encode("utf-16-be"),
        "wide-raw.dat": leak("utf16-no-mark").decode().encode("utf-16-le"),
        "base64.txt": b64encode(b"x = 1\n" + leak("base64") + b"y = 2\n"),
        "a.zip": zipped("inner.env", leak("zip")),
        "nested.tar.gz": gzip.compress(tarred({"deep.zip": zipped("inner.env", leak("nested"))})),
        "a.txt.bz2": bz2.compress(leak("bz2")),
        "a.txt.xz": lzma.compress(leak("xz")),
        "names.tar": tarred({f"SMTP_PASSWORD={to.value('a name in an archive')}": b"x"}),
        "locks/poetry.lock": leak("lock file"),
        "vendor/github.com/x/picture.png": leak("picture"),
        "gitleaks.toml": leak("gitleaks.toml"),
        "long.min.js": b"x" * 90_000 + b" " + leak("long line").strip() + b" " + b"y" * 90_000,
        "long.txt": b"some line of text\n" * 9_000 + leak("long file") + b"some line of text\n" * 9_000,
        ".gitleaks.toml": b"[allowlist]\npaths = ['.*']\n",
        "allowed.env": leak(".gitleaks.toml"),
        "ignored.env": leak(".gitleaksignore"),
        ".gitleaksignore": b"ignored.env:lockstep-schema-key:1\n",
        "deleted.env": leak("deleted"),
        f"folder/SMTP_PASSWORD={to.value('file name')}": b"x",
    }
    for name, content in files.items():
        path = to.repo.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    commit(to.repo, ".gitattributes", "*.hid binary -diff\n*.env export-ignore\n")
    to.git("rm", "-q", "deleted.env")
    to.git("commit", "-qm", "gone")


def plant_references(to: Planter) -> None:
    to.git("checkout", "-qb", "side")
    commit(to.repo, "side.txt", "side\n")
    to.git("checkout", "-q", "main")
    to.git("merge", "-q", "--no-ff", "--no-commit", "side")
    commit(to.repo, "evil.env", to.leak("merge"), "merge")
    to.git("branch", f"SMTP_PASSWORD={to.value('branch name')}")
    to.git("tag", "-am", to.leak("tag message").decode(), "v1")
    to.git("tag", "blob", to.blob("tagged blob"))
    to.blob("unreachable")
    to.git("notes", "add", "-m", to.leak("note").decode())
    (to.repo.root / "README.md").write_bytes(to.leak("older stash"))
    to.git("stash", "-q")
    (to.repo.root / "README.md").write_bytes(to.leak("stash"))
    (to.repo.root / "untracked.env").write_bytes(to.leak("stash of untracked"))
    to.git("stash", "-qu")


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Hidden:
    to = Planter(checkout(tmp_path_factory.mktemp("hidden") / "repo"), {})
    commit(to.repo, "README.md", "hello\n", to.leak("message").decode())
    plant_contents(to)
    plant_references(to)
    settings = {"color.ui": "always", "diff.external": "false", "diff.noprefix": "true", "log.follow": "x"}
    for name, value in settings.items():
        to.git("config", name, value)
    (to.repo.root / ".git/info/attributes").write_text("* -diff\n")
    code, printed = output(to.repo, "--format", "json")
    assert 1 == code, printed
    names = [(one["place"].partition(":")[2], one["rule"]) for one in json.loads(printed)["findings"]]
    places = {re.sub("^[0-9a-f]{40}$", "a note", name): rule for name, rule in names}
    assert {"leaks/schema-key"} == set(places.values())
    return Hidden(to.values, places, printed)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_out_of_sight(hidden: Hidden, place: str) -> None:
    """Each place that gitleaks alone leaves out is looked at."""
    assert PLACES[place] in hidden.places


def test_no_hidden_value_is_printed(hidden: Hidden) -> None:
    """Names that hold a secret are masked wherever they would be printed."""
    assert [] == [place for place, value in hidden.values.items() if value in hidden.printed]


def test_objects_without_a_path_are_told_apart(hidden: Hidden) -> None:
    """The blob behind a tag, the one of an older stash and the unreachable one are three findings."""
    found = [one for one in json.loads(hidden.printed)["findings"] if one["place"].endswith(":(blob)")]

    assert 3 == len(found)


def test_a_name_in_a_binary_may_be_another(repo: Repo) -> None:
    """What stands beside ERRORTOKEN in a program is no value of TOKEN."""
    value = made_up()["v"]
    commit(repo, "program.bin", f"\0\0OLDSMTP_PASSWORD\0{value}\0".encode() + bytes(90))

    assert [] == leaks.check(repo)
