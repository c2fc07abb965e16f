import bz2
import gzip
import io
import json
import lzma
import os
import random
import re
import secrets
import shutil
import string
import subprocess
import sys
import tarfile
import zipfile
from base64 import b64encode
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.gates.finding import Findings
from ci.gates.leaks import feed as feeds
from ci.gates.leaks import patterns, placeholders, rules, scanner
from ci.ground import command
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts

SCHEMA = checkouts.ROOT / "config/schema.yaml"
# {v} is a random value, {f} one that begins with true and contains false, {p} a passphrase.
BAD = {
    "schema-key": {
        "dotenv.env": "SMTP_PASSWORD={v}",
        "spaced.sh": "export SMTP_PASSWORD = {v}",
        "values.yaml": "  SMTP_PASSWORD: {v}",
        "quoted.json": '{{"SMTP_PASSWORD": "{v}"}}',
        "single.py": "os.environ['SMTP_PASSWORD'] = '{v}'",
        "run.sh": "docker run -e SMTP_PASSWORD={v} image",
        "call.py": 'setenv("SMTP_PASSWORD", "{v}")',
        "Dockerfile": "ENV SMTP_PASSWORD {v}",
        "Dockerfile2": "ENV SMTP_PASSWORD={v}",
        "conf.xml": "<SMTP_PASSWORD>{v}</SMTP_PASSWORD>",
        "false.env": "SMTP_PASSWORD={f}",
        "phrase.env": "SMTP_PASSWORD={p}",
        "quoted-phrase.py": 'SMTP_PASSWORD = "{p}"',
        "tokens.env": "API_TOKENS={t}",
        "provider.env": "SMS_PROVIDER_API_KEY=SK{h}:{t}",
        "redis.yml": "REDIS_URL: rediss://:{v}@redis.internal:6379/0",
        "database.env": "DATABASE_URL=postgresql://lockstep:{v}@db.internal:5432/lockstep",
        "crlf.env": "A=1\r\nSMTP_PASSWORD={v}\r\nB=2\r\n",
        "cell.ipynb": '"os.environ[\\"SMTP_PASSWORD\\"] = \\"{v}\\"\\n",',
        "allow.env": "SMTP_PASSWORD={v} # gitleaks:allow",
    },
    "schema-url": {
        "alembic.ini": "sqlalchemy.url = postgresql://app:{v}@db/app",
        "driver.py": 'engine = create_engine("postgresql+psycopg://app:{v}@db/app")',
        "cache.md": "Connect to `redis://:{v}@cache:6379`.",
        "tls.txt": "rediss://user:{f}@cache",
    },
    "url-password": {
        "mysql.txt": "mysql://app:{v}@db/app",
        "mongo.txt": "mongodb+srv://app:{v}@db/app",
        "amqp.py": 'broker = "amqps://app:{v}@mq//"',
        "smtp.toml": 'mail = "smtps://app:{v}@mail:465"',
        "basic.sh": "curl https://app:{f}@api.internal/",
        "ftp.txt": "ftp://app:{v}@files",
    },
    "age-identity": {
        "pq.txt": "AGE-SECRET-KEY-PQ-1{b}",
        "plain.txt": "AGE-SECRET-KEY-1{b}",
        "plugin.txt": "AGE-PLUGIN-YUBIKEY-1{b}",
    },
    "authorization-header": {
        "client.py": 'headers = {{"Authorization": "Bearer {v}"}}',
        "basic.js": "headers['Authorization'] = 'Basic {v}'",
        "request.http": "Authorization: Token {v}",
    },
    "name-value-pair": {
        "deployment.yaml": "- name: MAIL_PASSWORD\n  value: {v}",
        "quoted.yaml": '- name: "MAIL_PASSWORD"\n  value: "{p}"',
        "task.json": '{{"name": "MAIL_PASSWORD", "value": "{v}"}}',
    },
    "notebook-cell": {"lab.ipynb": '"mail_password = \\"{v}\\"\\n",'},
    "env-instruction": {"Dockerfile.a": "ENV MAIL_PASS {v}", "Dockerfile.b": "ARG MAIL_TOKEN {v}"},
    "password-option": {
        "cmd.sh": "mailer send --password {v} now",
        "cmd2.sh": "mailer --api-key={v}",
        "argv.py": '["mailer", "--password", "{v}"]',
    },
    "login-call": {"mail.py": 'server.login("mailer", "{v}")', "http.py": "HTTPBasicAuth('me', '{p}')"},
    "pgpass": {"lines.txt": "db.internal:5432:app:me:{v}\n*:*:*:other:{v2}"},
    "netrc": {"netrc": "machine api.internal\n  login me\n  password {v}"},
    "docker-auth": {"config.json": '{{"auths": {{"r.io": {{"auth": "{b64}"}}}}}}'},
    "password-assignment": {
        "pass.py": 'MAIL_PASS = "{v}"',
        "pwd.sh": "export MAIL_PWD={v}",
        "special.py": "password = '{s}'",
        "phrase.rb": "passphrase: '{p}'",
        "plain.yaml": "password: {v}",
        "typed.py": 'mail_password: str = "{v}"',
        "mail.ini": "password = {v}",
        "false.py": 'password = "{f}"',
        "eight.py": 'password = "{e}"',
    },
    "known-provider": {"github.txt": "ghp_{a36}", "key.pem": "{pem}"},
    "key-file": {"server.p12": "x", "id_ed25519": "x"},
}
GOOD = {
    "placeholders.env": "SMTP_PASSWORD=PASSWORD\nAPI_TOKENS=TOKEN,TOKEN\nDB_PASS=changeme\nDB_PWD=xxxxxxxx",
    "angle.md": "SMTP_PASSWORD=<your password>\nexport DB_PASSWORD=<password>",
    "shell.sh": 'SMTP_PASSWORD=${SMTP_PASSWORD:?}\nDB_PASS="$DB_PASS"\nDB_PWD=$(cat /run/secrets/pwd)',
    "jinja.yaml": 'password: "{{ db_password }}"\nSMTP_PASSWORD: {{ .Values.smtpPassword }}',
    "workflow.yml": "SMTP_PASSWORD: ${{ secrets.SMTP_PASSWORD }}\nGITHUB_TOKEN: ${{ github.token }}",
    "reference.py": 'password = os.environ["DB_PASSWORD"]\nSMTP_PASSWORD = os.environ["SMTP_PASSWORD"]',
    "code.py": "password = get_password()\nself.password = password\ntoken: str | None = None\nsecret: Secret",
    "generated.py": 'SMTP_PASSWORD = secrets.token_urlsafe()\npassword = f"{secrets.token_hex(8)}"',
    "fstring.py": 'url = f"postgresql://lockstep:{secrets.token_urlsafe()}@db/lockstep"\nu = f"amqp://a:{pw}@b"',
    "format.py": 'url = "mysql://%s:%s@host/db" % (user, password)\nu = "mysql://{}:{}@host"',
    "example.md": "postgresql://lockstep:PASSWORD@db.internal:5432/lockstep\nrediss://:PASSWORD@redis.internal:6379/0",
    "nopassword.env": "DATABASE_URL=postgresql://lockstep@db.internal/lockstep\nREDIS_URL=redis://cache:6379/0",
    "prose.md": "SMTP_PASSWORD is required. Password: see the vault. The token, if any, is secret.",
    "parser.py": 'upgrade_token = "upgrades"\ntoken_type: str = "bearer_token"',
    "header.py": 'headers = {"Authorization": f"Bearer {token}"}\nh = "Authorization: Bearer TOKEN"',
    "pair.yaml": "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef: {name: db, key: password}",
    "pair2.yaml": "- name: DB_PASSWORD\n  value: $(DB_PASSWORD)",
    "cell-good.ipynb": '"password = \\"PASSWORD\\"\\n",\n"token = os.environ[\\"API_TOKEN\\"]\\n",',
    "Dockerfile.good": "ARG DB_PASSWORD\nENV DB_PASSWORD $DB_PASSWORD\nENV TOKEN_FILE=/run/secrets/token",
    "option.sh": 'mailer --password "$PASSWORD"\nmailer --token ${TOKEN}\nmailer --password-stdin',
    "login-good.py": 'server.login(user, password)\nlogin("mailer", os.environ["X"])\nlogin("USER", "PASSWORD")',
    "pgpass-good": "db.internal:5432:app:me:PASSWORD\nhttp://a:80:b",
    "netrc-good": "machine api.internal login me password PASSWORD",
    "docker-good.json": '{"auths": {"r.io": {"auth": ""}}}',
    "requirements.txt": "httpx==0.28.1 \\\n    --hash=sha256:{hex64}\n    --hash=sha256:{hex64}",
    "package-lock.json": '{"integrity": "sha512-{b64long}", "token": {"version": "1.0.0"}}',
    "recipients.yaml": "age: age1{bech}",
    "sealed.enc.env": "SMTP_PASSWORD=ENC[AES256_GCM,data:{b64long},iv:{b64},tag:{b64},type:str]",
    "lockstep.css": ".token { color: #ffcc00 }\nToken: '#cccccc'",
    "server.crt": "-----BEGIN CERTIFICATE-----\n{b64long}\n-----END CERTIFICATE-----",
}
CASES = [(rule, name) for rule, files in BAD.items() for name in files]


def made_up() -> dict[str, str]:
    """Return fresh values, for each kind that the cases ask for."""
    letters = string.ascii_letters + string.digits

    def some(alphabet: str, length: int) -> str:
        return "".join(secrets.choice(alphabet) for _ in range(length))

    return {
        "v": f"{some(letters, 9)}-{some(letters, 9)}7",
        "v2": f"{some(letters, 9)}-{some(letters, 9)}7",
        "f": f"true{some(letters, 6)}false{some(letters, 6)}",
        "p": " ".join(some(string.ascii_lowercase, 6) for _ in range(4)),
        "s": f"{some(letters, 4)}#%&*!{some(letters, 4)}~^({some(letters, 4)})",
        "e": f"{some(string.ascii_lowercase, 3)}{some(string.digits, 2)}{some(string.ascii_lowercase, 3)}",
        "t": some(letters, 32),
        "h": secrets.token_hex(16),
        "b": some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
        "b64": b64encode(secrets.token_bytes(30)).decode(),
        "a36": some(letters, 36),
        "pem": "\n".join(
            [
                f"-----BEGIN {'RSA'} PRIVATE KEY-----",
                *(some(letters, 64) for _ in range(12)),
                f"-----END {'RSA'} PRIVATE KEY-----",
            ]
        ),
    }


def fill(text: str) -> str:
    """Put ciphertext, hashes and a public key where a good file has them."""
    made = {
        "hex64": secrets.token_hex(32),
        "bech": "".join(secrets.choice("qpzry9x8gf2tvdw0s3jn54khce6mua7l") for _ in range(58)),
    }
    made |= {
        "b64long": b64encode(secrets.token_bytes(64)).decode(),
        "b64": b64encode(secrets.token_bytes(32)).decode(),
    }
    for name, value in made.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def checkout(folder: Path) -> Repo:
    """Return an empty repository with the schema and the tools, nothing committed."""
    (folder / "config").mkdir(parents=True)
    shutil.copy(SCHEMA, folder / "config")
    (folder / ".tools").symlink_to(checkouts.ROOT / ".tools")
    checkouts.git(folder, "init", "-q", "-b", "main")
    (folder / ".git/info/exclude").write_text("/.tools\n")
    return Repo(folder)


def commit(repo: Repo, name: str, content: str | bytes, message: str = "a change") -> None:
    """Write a file and commit it."""
    path = repo.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", message)


def output(
    repo: Repo, *words: str, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run the gate as a module and return its exit code and everything that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.leaks", *words, *([] if cwd else [str(repo.root)])],
        cwd=cwd or checkouts.ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(checkouts.ROOT), **(environ or {})},
        capture_output=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def ids(found: Findings) -> list[str]:
    """Return the ids of the rules that were tripped."""
    return sorted(one.rule for one in found)


@dataclass(frozen=True)
class Crowd:
    """A repository with every bad and every good file, its values, and what the gate found."""

    repo: Repo
    values: list[str]
    found: dict[str, set[str]]
    printed: str


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    repo, values = checkout(tmp_path_factory.mktemp("crowd") / "repo"), []
    for rule, files in BAD.items():
        for name, template in files.items():
            made = made_up()
            values += [each for key, each in made.items() if f"{{{key}}}" in template]
            path = repo.root / "bad" / rule / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(template.format(**made), newline="")
    for name, template in GOOD.items():
        path = repo.root / "good" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(fill(template))
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "a crowd")
    code, printed = output(repo, "--format", "json")
    assert 1 == code, printed
    found: dict[str, set[str]] = {}
    for one in json.loads(printed)["findings"]:
        found.setdefault(one["place"].partition(":")[2], set()).add(one["rule"])
    return Crowd(repo, values, found, printed)


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_each_rule_sees_what_is_bad(crowd: Crowd, rule: str, name: str) -> None:
    """Every bad file trips the rule that is meant for it, and no other."""
    expected = {f"leaks/{rule}"}

    assert expected == crowd.found.get(f"bad/{rule}/{name}", set())


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_secret_is_silent(crowd: Crowd, name: str) -> None:
    """Placeholders, references, ciphertext, lock files and generated values trip nothing."""
    assert set() == crowd.found.get(f"good/{name}", set())


def test_the_output_holds_no_secret(crowd: Crowd) -> None:
    """No value is in the findings, whatever the format."""
    texts = [crowd.printed] + [
        output(crowd.repo, "--folder", "--format", each)[1] for each in ("text", "sarif", "github")
    ]

    assert [] == [value for value in crowd.values for text in texts if value in text]


def test_a_finding_says_where_and_what_to_do(crowd: Crowd) -> None:
    """The place is the commit, the path and the line; the hint begins with the provider."""
    head = command.run(["git", "-C", crowd.repo.root, "rev-parse", "--short=12", "HEAD"]).strip()
    one = next(one for one in json.loads(crowd.printed)["findings"] if "crlf" in one["place"])

    assert (f"{head}:bad/schema-key/crlf.env", 2, "SMTP_PASSWORD") == (one["place"], one["line"], one["key"])
    assert "replace it at its provider, then inv set" in one["hint"]


def test_both_lines_of_a_file_are_found(crowd: Crowd) -> None:
    """A match does not eat the line break that the next one begins with."""
    found = [one for one in json.loads(crowd.printed)["findings"] if one["rule"] == "leaks/pgpass"]

    assert [1, 2] == [one["line"] for one in found]


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


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
        argv: list[str | Path] = ["git", "-C", self.repo.root, "hash-object", "-w", "--stdin"]
        return command.attempt(argv, input=self.leak(place)).stdout.decode().strip()


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


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = checkout(tmp_path / "repo")
    commit(made, "README.md", "hello\n")
    return made


def dotenv() -> str:
    return f"SMTP_PASSWORD={made_up()['v']}\n"


def test_a_clean_history(repo: Repo) -> None:
    """What was looked at is counted."""
    found = leaks.check(repo)

    assert [] == found
    assert (1, 2) == (found.looked["commits"], found.looked["blobs"])


def test_a_leak_in_many_versions_is_one_finding(repo: Repo) -> None:
    """The first commit that had the line is named, and a change elsewhere in the file repeats nothing."""
    leak = dotenv()
    for number in range(3):
        commit(repo, "a.env", f"N={number}\n{leak}")

    (one,) = leaks.check(repo)

    assert command.run(["git", "-C", repo.root, "rev-parse", "--short=12", "HEAD~2"]).strip() == one.place[:12]


def test_a_new_body_between_old_lines_is_found(repo: Repo) -> None:
    """A difference alone would show a value without the name above it."""
    commit(repo, "k.yaml", "- name: MAIL_PASSWORD\n  value: PASSWORD\n")
    commit(repo, "k.yaml", f"- name: MAIL_PASSWORD\n  value: {made_up()['v']}\n")

    assert ["leaks/name-value-pair"] == ids(leaks.check(repo))


def test_a_change_is_looked_at_with_what_is_around_it(repo: Repo) -> None:
    """A later version of a long file is found at its line, by its first commit, and its old lines only once."""
    old, new = dotenv(), dotenv()
    lines = [f"line {number}\n" for number in range(400)]
    commit(repo, "a.env", "".join([*lines, old, *lines]))
    commit(repo, "a.env", "".join([*lines, old, "between\n", new, *lines]))
    commit(repo, "a.env", "".join(["first\n", *lines, old, "between\n", new, *lines, "last\n"]))

    found = leaks.check(repo)

    assert [401, 403] == [one.line for one in sorted(found, key=lambda one: one.line)]


def test_a_private_key_whose_body_changes(repo: Repo) -> None:
    """Far below a head that stays as it was, the new body is a leak of its own."""
    head, *body, tail = made_up()["pem"].splitlines()
    commit(repo, "key.txt", f"{head}\nPLACEHOLDER\n{tail}")
    commit(repo, "key.txt", "\n".join([head, *body, tail]))

    assert ["leaks/known-provider"] == ids(leaks.check(repo))


def test_an_old_leak_beside_a_change_is_not_the_branchs(repo: Repo) -> None:
    """What the base has already is not told again because the line next to it changed."""
    leak = dotenv()
    commit(repo, "a.env", f"{leak}A=1\n")
    checkouts.git(repo.root, "checkout", "-qb", "topic")
    commit(repo, "a.env", f"{leak}A=2\n")

    assert [] == leaks.check_commits(repo, "main")


def test_commits_since_a_base(repo: Repo) -> None:
    """Only what the base does not have is looked at, merges and deleted files too."""
    commit(repo, "old.env", dotenv())
    checkouts.git(repo.root, "checkout", "-qb", "topic")
    commit(repo, "new.env", dotenv())
    checkouts.git(repo.root, "rm", "-q", "new.env")
    checkouts.git(repo.root, "commit", "-qm", "gone")

    found = leaks.check_commits(repo, "main")

    assert ["new.env"] == [one.place.partition(":")[2] for one in found]
    assert 2 == found.looked["commits"]


@pytest.mark.parametrize("base", ["nowhere", "--all", "HEAD"])
def test_a_base_that_leaves_nothing(repo: Repo, base: str) -> None:
    """An unknown base, an option in its place, and a base that has everything are no clean result."""
    with pytest.raises(GateError):
        leaks.check_commits(repo, base)


def test_staged(repo: Repo) -> None:
    """Only what is staged counts, not what lies about."""
    (repo.root / "staged.env").write_text(dotenv())
    checkouts.git(repo.root, "add", "staged.env")
    (repo.root / "unstaged.env").write_text(dotenv())

    found = leaks.check_staged(repo)

    assert [("staged.env", 1)] == [(one.place, one.line) for one in found]


def test_staged_before_the_first_commit(tmp_path: Path) -> None:
    """A repository without a commit has an index all the same."""
    made = checkout(tmp_path / "new")
    (made.root / "a.env").write_text(dotenv())
    checkouts.git(made.root, "add", "a.env")

    assert ["leaks/schema-key"] == ids(leaks.check_staged(made))


def test_nothing_staged_is_clean(repo: Repo) -> None:
    """A commit that only removes or only rewords may go on."""
    checkouts.git(repo.root, "rm", "-q", "README.md")

    assert [] == leaks.check_staged(repo)


def test_staged_from_a_folder_within(repo: Repo) -> None:
    """From a sub-directory the whole index is looked at, and the checkout's schema holds."""
    (repo.root / "deep/er").mkdir(parents=True)
    (repo.root / "top.env").write_text(dotenv())
    checkouts.git(repo.root, "add", "top.env")

    code, printed = output(repo, "--staged", cwd=repo.root / "deep/er")

    assert (1, True) == (code, "top.env:1: leaks/schema-key SMTP_PASSWORD" in printed)


def test_commit_a_is_seen_by_the_hook(repo: Repo) -> None:
    """`git commit -a` has an index of its own, which is the one that counts."""
    hook = repo.root / ".git/hooks/pre-commit"
    call = f"PYTHONPATH={checkouts.ROOT} {sys.executable} -m ci.gates.leaks --staged"
    hook.write_text(f"#!/bin/sh\n{call} > {repo.root}/.git/said 2>&1\n")
    hook.chmod(0o755)
    (repo.root / "README.md").write_text(dotenv())

    with pytest.raises(subprocess.CalledProcessError):
        checkouts.git(repo.root, "commit", "-qam", "all of it")

    assert "README.md:1: leaks/schema-key SMTP_PASSWORD" in (repo.root / ".git/said").read_text()


def test_a_folder(repo: Repo) -> None:
    """Tracked and new files are looked at, ignored ones are not, whatever .git/info/exclude says."""
    (repo.root / ".gitignore").write_text("*.local\n")
    (repo.root / ".git/info/exclude").write_text("*.env\n/.tools\n")
    for name in ("new.env", "mine.local"):
        (repo.root / name).write_text(dotenv())

    assert ["new.env"] == [one.place for one in leaks.check_folder(repo)]


def image(folder: Path, layers: list[dict[str, bytes]], config: str = "{}") -> Path:
    """Write what `docker save` writes."""
    files = {f"blobs/sha256/{number}": tarred(layer) for number, layer in enumerate(layers)}
    path = folder / "image.tar"
    path.write_bytes(tarred({**files, "blobs/sha256/config": config.encode(), "manifest.json": b"[]"}))
    return path


def test_an_image(repo: Repo, tmp_path: Path) -> None:
    """A file in a layer below the one that deletes it is found, and so is the environment in the config."""
    layers = [{"app/a.env": dotenv().encode()}, {"app/.wh.a.env": b""}]
    saved = image(tmp_path, layers, json.dumps({"config": {"Env": [dotenv().strip()]}}))

    found = leaks.check_image(saved, repo)

    assert ["blobs/sha256/0!app/a.env", "blobs/sha256/config"] == [one.place for one in found]
    assert 2 == found.looked["layers"]


def test_an_image_of_compressed_layers(repo: Repo, tmp_path: Path) -> None:
    """A layer may be packed; the command says the same."""
    path = tmp_path / "image.tar"
    path.write_bytes(tarred({"layer.tar.gz": gzip.compress(tarred({"srv/a.env": dotenv().encode()}))}))

    code, printed = output(repo, "--image", str(path))

    assert (1, True) == (code, "layer.tar.gz!unpacked!srv/a.env:1" in printed)


def test_packages_in_an_image(repo: Repo, tmp_path: Path) -> None:
    """An example password of a package is silent; our own key's value is found there too."""
    bad = f'password = "{made_up()["v"]}"\n'.encode()
    place = "usr/lib/python3/site-packages/thing"
    saved = image(tmp_path, [{f"{place}/a.py": bad, f"{place}/b.env": dotenv().encode(), "app/c.py": bad}])

    found = leaks.check_image(saved, repo)

    assert ["b.env", "c.py"] == sorted(one.place.rpartition("/")[2] for one in found)


def test_unpacked_layers(repo: Repo, tmp_path: Path) -> None:
    """A folder of layers is looked at whole, hidden and ignored files too."""
    (tmp_path / "layer/root").mkdir(parents=True)
    (tmp_path / "layer/.gitignore").write_text("*\n")
    (tmp_path / "layer/root/.pgpass").write_text(f"db:5432:app:me:{made_up()['v']}\n")

    assert ["leaks/pgpass"] == ids(leaks.check_image(tmp_path / "layer", repo))


@pytest.mark.parametrize("content", [b"", b"no tar", tarred({"manifest.json": b"[]"}), None])
def test_what_is_no_image(repo: Repo, tmp_path: Path, content: bytes | None) -> None:
    """An empty file, another file, an image without a layer and none at all prove nothing."""
    path = tmp_path / "image.tar"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(GateError):
        leaks.check_image(path, repo)


@pytest.mark.parametrize(
    "content", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01", b"PK\x03\x04broken", b"\x1f\x8b\x08junk"]
)
def test_an_archive_that_cannot_be_opened(repo: Repo, content: bytes) -> None:
    """What nobody can look into is told, not passed over."""
    commit(repo, "thing", content + secrets.token_bytes(40))

    assert ["leaks/unreadable-archive"] == ids(leaks.check(repo))


def test_an_exception_excuses_one_place(repo: Repo) -> None:
    """A finding that was looked at and accepted is silent, and an exception for nothing is not."""
    commit(repo, "a.env", dotenv())
    place = leaks.check(repo)[0].place
    text = (
        "exceptions:\n- {{rule: leaks/schema-key, place: '{}', reason: rotated long ago, expires: 2999-01-01}}\n"
    )
    (repo.root / "config/exceptions.yaml").write_text(text.format(place))

    assert 0 == output(repo)[0]


def shallow(repo: Repo, tmp_path: Path) -> Repo:
    commit(repo, "two.txt", "two\n")
    checkouts.git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo.root}", "shallow")
    (tmp_path / "shallow/.tools").symlink_to(checkouts.ROOT / ".tools")
    return Repo(tmp_path / "shallow")


def no_repository(repo: Repo, tmp_path: Path) -> Repo:
    shutil.rmtree(repo.root / ".git")
    return repo


def no_commits(repo: Repo, tmp_path: Path) -> Repo:
    return checkout(tmp_path / "empty")


def broken_object(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD:README.md"]).strip()
    path = repo.root / ".git/objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(b"not zlib")
    return repo


def missing_object(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD:README.md"]).strip()
    (repo.root / ".git/objects" / name[:2] / name[2:]).unlink()
    return repo


def missing_tree(repo: Repo, tmp_path: Path) -> Repo:
    name = command.run(["git", "-C", repo.root, "rev-parse", "HEAD^{tree}"]).strip()
    (repo.root / ".git/objects" / name[:2] / name[2:]).unlink()
    return repo


def broken_ref(repo: Repo, tmp_path: Path) -> Repo:
    (repo.root / ".git/refs/heads/main").write_text("0" * 39 + "1\n")
    return repo


def broken_schema(repo: Repo, tmp_path: Path) -> Repo:
    (repo.root / "config/schema.yaml").write_text("keys: [")
    return repo


def program(text: str) -> object:
    """Return a change that puts a script in the place of gitleaks."""

    def change(repo: Repo, tmp_path: Path) -> Repo:
        (repo.root / ".tools").unlink()
        (repo.root / ".tools/bin").mkdir(parents=True)
        if text:
            path = repo.root / ".tools/bin/gitleaks"
            path.write_text(f"#!/bin/sh\nREAL={checkouts.ROOT}/.tools/bin/gitleaks\n{text}\n")
            path.chmod(0o755)
        return repo

    return change


@pytest.mark.parametrize(
    "change",
    [
        shallow,
        no_repository,
        no_commits,
        broken_object,
        missing_object,
        missing_tree,
        broken_ref,
        broken_schema,
        program(""),
        program("cat > /dev/null; echo '[]'; exit 0"),
        program("cat > /dev/null; echo '[]'; exit 42"),
        program("exit 1"),
        program("kill -9 $$"),
        program('"$REAL" "$@"; code=$?; echo "1:00PM ERR failed" >&2; exit $code'),
        program('"$REAL" "$@"; code=$?; echo "panic: runtime error" >&2; exit $code'),
        program('"$REAL" "$@"; exit 0'),
        program('head -c 4000 | "$REAL" "$@"'),
        program('grep -v SMTP | "$REAL" "$@"'),
        program('"$REAL" "$@" | head -c 300; exit 42'),
        program('"$REAL" stdin --exit-code 42 -f json -r - --no-color'),
    ],
    ids=lambda change: getattr(change, "__name__", "?"),
)
def test_it_cannot_fail_open(repo: Repo, tmp_path: Path, change: object) -> None:
    """Whatever keeps the gate from looking ends with 2, never with 0."""
    assert callable(change)
    changed = change(repo, tmp_path)

    code, printed = output(changed)

    assert (2, True) == (code, "error:" in printed), printed


def test_a_shallow_clone_hints_at_the_cure(repo: Repo, tmp_path: Path) -> None:
    """The hint says how to get the rest."""
    with pytest.raises(GateError) as caught:
        leaks.check(shallow(repo, tmp_path))

    assert "fetch-depth: 0" in caught.value.hint


def test_nothing_is_left_on_disk(repo: Repo, tmp_path: Path) -> None:
    """The temp folder is empty afterwards, and no object was copied into it meanwhile."""
    commit(repo, "a.env", dotenv())
    temp = tmp_path / "temp"
    temp.mkdir()

    assert 1 == output(repo, environ={"TMPDIR": str(temp)})[0]
    assert [] == list(temp.iterdir())


def test_the_environment_has_no_power(repo: Repo) -> None:
    """Neither gitleaks' nor git's variables of the shell change the result."""
    commit(repo, "a.env", dotenv())
    stray = {
        "GITLEAKS_CONFIG_TOML": "[allowlist]\npaths=['.*']",
        "GIT_DIR": "/nowhere",
        "GIT_GRAFT_FILE": "/nowhere",
    }

    assert 1 == output(repo, environ=stray)[0]


def test_a_replaced_commit_hides_nothing(repo: Repo) -> None:
    """A replacement shows another commit in a commit's place, but not to the gate."""
    commit(repo, "a.env", dotenv())
    checkouts.git(repo.root, "replace", "HEAD", "HEAD~1")

    assert ["leaks/schema-key"] == ids(leaks.check(repo))


def test_rule_ids_are_unique_and_every_pattern_has_one() -> None:
    """What gitleaks is given is what the gate's table names."""
    listed = patterns.every(Repo(checkouts.ROOT).schema.keys.values())

    assert len({rule.id for rule in leaks.RULES}) == len(leaks.RULES)
    assert {one.rule for one in listed} <= set(leaks.RULES)
    assert len({one.id for one in listed}) == len(listed)
    assert {f"leaks/{rule}" for rule in BAD} | {rules.UNREADABLE.id} == {rule.id for rule in leaks.RULES}


def test_every_pattern_finds_its_own_canary() -> None:
    """A canary that is no example of its pattern would fail every run, and one that is a placeholder none."""
    judge = placeholders.Judge(Repo(checkouts.ROOT).schema.keys.values())
    for one in patterns.every(Repo(checkouts.ROOT).schema.keys.values()):
        (match,) = one.matches(one.example.format(**scanner._random()).encode())

        assert one.rule is rules.SCHEMA_KEY or not judge.dismisses(match, one.rule)


@pytest.mark.parametrize("seed", range(20))
def test_changes_hold_every_pair_of_lines_that_is_new(seed: int) -> None:
    """Two lines that were not neighbours before are together in what is looked at, at their place."""
    chosen = random.Random(seed)
    old = [chosen.choice("abcdefgh") for _ in range(60)]
    new = [chosen.choice("abcdefgh") if chosen.random() < 0.1 else line for line in old]
    new[:10] = reversed(new[:10])
    given = list(feeds.changes("\n".join(old).encode(), "\n".join(new).encode()))
    seen = {first + at for first, text in given for at in range(text.count(b"\n") + 1)}

    for number, pair in enumerate(pairwise(new), 1):
        assert pair in set(pairwise(old)) or {number, number + 1} <= seen
    for first, text in given:
        assert text.decode().split("\n") == new[first - 1 : first + text.count(b"\n")]


@pytest.mark.parametrize("unit", [b"word ", b"a line of some length\n", b"a\n\nb\n", b"\n", b"x"])
def test_segments_lose_nothing(unit: bytes) -> None:
    """Whatever is shorter than the overlap is whole in one segment, at its line, and there is always a break."""
    data = b"".join(unit + b"%d" % number for number in range(20_000))
    cut = list(feeds.segments(data))

    assert all(len(piece) <= feeds.SEGMENT for _, piece in cut)
    for start in range(0, len(data) - 500, 1_000):
        piece = data[start : start + 500]
        line = data.count(b"\n", 0, start) + 1
        assert any(piece in each and line == first + each[: each.index(piece)].count(b"\n") for first, each in cut)


def test_this_project_is_clean() -> None:
    """Its working tree, this file included, trips nothing."""
    assert [] == leaks.check_folder(Repo(checkouts.ROOT))
