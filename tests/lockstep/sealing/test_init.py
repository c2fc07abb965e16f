import os
import re
import secrets
import shutil
import stat
from pathlib import Path

import pytest
import yaml

from ci.ground import dotenv, errors
from ci.ground.environments import TEMPLATE
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import edit, environment, identity, init, recipients, unset
from runtime import Secret
from tests import checkouts
from tests.lockstep.sealing import vaults
from tests.lockstep.sealing.vaults import LINES

ENVIRONMENTS = ["dev", "staging", "prod"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_fits_the_schema(repo: Repo, name: str) -> None:
    """After init, each environment opens with its own identity and has every key."""
    opened = environment.opened(repo, name)

    assert {key.name for key in repo.schema.secrets()} == set(opened.sealed)


@pytest.mark.parametrize("post_quantum", [False, True])
def test_identities_are_private_files_outside_the_repository(tmp_path: Path, *, post_quantum: bool) -> None:
    """Classic or post-quantum, each is a file of mode 0600 that is not in the checkout."""
    repo = checkouts.initialised(tmp_path / "repo", post_quantum=post_quantum)

    paths = [identity.path(repo, name) for name in ENVIRONMENTS]

    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert not any(path.is_relative_to(repo.root) for path in paths)
    start = "AGE-SECRET-KEY-PQ-1" if post_quantum else "AGE-SECRET-KEY-1"
    assert all(f"\n{start}" in path.read_text() for path in paths)


def test_environments_share_no_recipient(repo: Repo) -> None:
    """The identity of one environment opens no other."""
    dev = identity.at_hand(repo, "dev")
    os.environ["LOCKSTEP_IDENTITY"] = dev.reveal()
    try:
        with pytest.raises(errors.WrongIdentityError):
            environment.sealed(repo, "prod")
    finally:
        del os.environ["LOCKSTEP_IDENTITY"]


def test_the_project_gets_its_name(repo: Repo) -> None:
    """environments.yaml says whose the repository is, and keeps its comments."""
    text = (repo.root / "config/environments.yaml").read_text()

    assert "acme" == repo.environments.project
    assert text.startswith("# Each environment")


def test_a_second_init_changes_nothing(repo: Repo) -> None:
    """A repository that is somebody's is not made somebody else's."""
    before = {path: path.read_bytes() for path in repo.root.rglob("*") if path.is_file()}

    with pytest.raises(errors.IdentityExistsError):
        init.init(Repo(repo.root), "other", checkouts.value)

    assert before == {path: path.read_bytes() for path in repo.root.rglob("*") if path.is_file()}


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    """An identity that is there is used, not replaced."""
    repo = checkouts.empty(tmp_path / "repo")
    kept = identity.path(repo, "prod", "acme")
    identity.make(repo, kept)
    before = kept.read_bytes()

    report = init.init(repo, "acme", checkouts.value)

    assert before == kept.read_bytes()
    assert ["prod"] == report.reused
    assert environment.opened(Repo(repo.root), "prod")


def test_a_value_that_is_not_given_is_reported(tmp_path: Path) -> None:
    """What cannot be generated and was not given is named, environment by environment."""
    report = init.init(checkouts.empty(tmp_path / "repo"), "acme", lambda _environment, _key: "")

    expected = ["DATABASE_URL", "REDIS_URL", "SMS_PROVIDER_API_KEY", "SMTP_PASSWORD"]
    assert dict.fromkeys(ENVIRONMENTS, expected) == report.missing


@pytest.mark.parametrize("name", ["Acme", "a b", "../x", TEMPLATE, "1a"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """The project's name becomes a folder's name and is kept simple."""
    with pytest.raises(errors.UsageError):
        init.init(checkouts.empty(tmp_path / "repo"), name, checkouts.value)


def test_without_a_name_the_project_is_named_after_its_folder(tmp_path: Path) -> None:
    """In small letters, with - for what a name cannot hold."""
    report = init.init(checkouts.empty(tmp_path / "Acme's Mail_2"), "", checkouts.value)

    assert "acme-s-mail-2" == report.project


def test_a_bad_value_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    """One refused answer, and no file of the repository was written."""
    repo = checkouts.empty(tmp_path / "repo")
    before = sorted(path.name for path in repo.root.rglob("*"))

    with pytest.raises(errors.BadValueError):
        init.init(repo, "acme", lambda _environment, key: "nothing good" if key.name == "REDIS_URL" else "x" * 30)

    assert before == sorted(path.name for path in repo.root.rglob("*"))


def test_an_optional_secret_is_not_asked_for(tmp_path: Path) -> None:
    """Nor made, nor accepted as missing: the environments are whole without it."""
    repo, asked = vaults.optional(checkouts.empty(tmp_path / "repo"), "SMTP_PASSWORD"), set()

    def ask(environment: str, key: Key) -> str:
        asked.add(key.name)
        return checkouts.value(environment, key)

    report = init.init(repo, "acme", ask)

    assert {"DATABASE_URL", "REDIS_URL", "SMS_PROVIDER_API_KEY"} == asked
    assert {} == report.missing
    assert not unset.path(repo).exists()
    for name in ENVIRONMENTS:
        assert "SMTP_PASSWORD" not in environment.opened(Repo(repo.root), name).sealed
    assert set() == vaults.findings(vaults.committed(Repo(repo.root)))


def test_a_secret_that_no_service_reads_there_is_not_asked_for(tmp_path: Path) -> None:
    """The keys of a service that exists in dev alone are asked for in dev alone."""
    repo = checkouts.empty(tmp_path)
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_bytes())
    document["services"]["extra"] = {"command": "extra", "environments": ["dev"]}
    meta = {"services": ["extra"], "description": "x", "example": "x", "secret": True}
    document["keys"]["ONLY_SECRET"] = {"type": "string", "meta": meta}
    path.write_text(yaml.safe_dump(document, sort_keys=False))

    report = init.init(Repo(repo.root), "acme", lambda _name, _key: "")

    assert ["dev"] == [name for name, keys in report.missing.items() if "ONLY_SECRET" in keys]


def test_answers_can_hold_several_lines(repo: Repo) -> None:
    """Lines on stdin are written as those of `inv encrypt`; what is not JSON in double quotes is a problem."""
    answer = init.answers(repo, f"dev.SMTP_PASSWORD={dotenv.shown(LINES)}\n")

    assert LINES == answer("dev", repo.schema.keys["SMTP_PASSWORD"])
    with pytest.raises(errors.DirtyValueError) as caught:
        init.answers(repo, 'dev.SMTP_PASSWORD="half\n')
    assert ("line 1: the value begins with a double quote and is not a JSON string",) == caught.value.detail


OWN = ["local", "pair"]


@pytest.fixture
def pair(tmp_path: Path) -> Repo:
    """A checkout with two environments that are not in git, and a generator of each secret for both."""
    root = checkouts.empty(tmp_path / "repo").root
    path = root / "config/environments.yaml"
    path.write_text(f"{path.read_text()}  pair:\n    engine: local\n    in_git: false\n")
    text = (root / "config/local.env").read_text()
    (root / "config/pair.env").write_text(text)
    schema = root / "config/schema.yaml"
    schema.write_text(
        re.sub(r"generate: \{local: (.*)\}\n", r"generate: {local: \1, pair: \1}\n", schema.read_text())
    )
    return Repo(root)


@pytest.mark.parametrize("name", OWN)
def test_an_environment_of_this_machine_makes_its_own_values_once(pair: Repo, name: str) -> None:
    """A first deploy makes identity and secrets in its own folder outside git; a second keeps them."""
    init.own_values(pair, name)
    first = environment.sealed(pair, name)
    init.own_values(pair, name)

    assert first == environment.sealed(pair, name)
    assert [".sops.yaml", "identity.agekey", f"secrets/{name}.enc.env"] == sorted(
        str(path.relative_to(pair.state_of(name))) for path in pair.state.rglob("*") if path.is_file()
    )


def test_what_cannot_be_generated_on_this_machine_is_named_until_it_is_set(pair: Repo) -> None:
    """Each with the command that sets it; once set it stays, and so does what was generated before."""
    repo = vaults.by_hand(vaults.by_hand(pair, "SMTP_PASSWORD"), "API_TOKENS")
    value = secrets.token_urlsafe(24)

    with pytest.raises(errors.ConfigurationError, match="local needs secrets that cannot be generated") as caught:
        init.own_values(repo, "local")
    first = environment.sealed(repo, "local")
    edit.put(repo, "local", "SMTP_PASSWORD", LINES)
    edit.put(repo, "local", "API_TOKENS", value)
    for _ in range(2):
        init.own_values(repo, "local")

    commands = [f"inv set --env=local --key={key}" for key in ("API_TOKENS", "SMTP_PASSWORD")]
    assert commands == list(caught.value.detail)
    given = {"SMTP_PASSWORD": Secret(LINES), "API_TOKENS": Secret(value)}
    assert first | given == environment.opened(repo, "local").sealed


def test_a_value_that_was_set_before_the_first_deploy_stays(pair: Repo) -> None:
    """By set or by encrypt, with a generator or without: the deploy generates only the others."""
    url = checkouts.value("local", pair.schema.keys["DATABASE_URL"])
    repo = vaults.by_hand(pair, "SMTP_PASSWORD")
    edit.put(repo, "local", "SMTP_PASSWORD", LINES)
    edit.encrypt(repo, "pair", f"DATABASE_URL={url}\nSMTP_PASSWORD=abcdefgh\n")

    for name in OWN:
        init.own_values(repo, name)

    local, other = (environment.opened(repo, name).sealed for name in OWN)
    assert Secret(LINES) == local["SMTP_PASSWORD"]
    assert (Secret(url), Secret("abcdefgh")) == (other["DATABASE_URL"], other["SMTP_PASSWORD"])


def test_a_secret_that_the_schema_gained_is_generated_at_the_next_deploy(pair: Repo) -> None:
    """Beside those that this machine has, which keep their ciphertext; an optional one is not asked for."""
    init.own_values(pair, "local")
    before = environment.sealed(pair, "local")
    path = pair.root / "config/schema.yaml"
    text = "secret: true, services: [api], description: new, example: x"
    optional = f"  EXTRA: {{type: string, nullable: true, default: null, meta: {{{text}}}}}\n"
    new = f"  NEW: {{type: string, meta: {{{text}, generate: '{{token}}'}}}}\n"
    path.write_text(f"{path.read_text()}\n{optional}{new}")
    lines = [line for line in pair.sealed("local").read_text().splitlines() if not line.startswith("sops_")]

    init.own_values(Repo(pair.root), "local")

    after = environment.opened(Repo(pair.root), "local").sealed
    assert {"NEW"} == after.keys() - before.keys()
    assert set(lines) <= set(pair.sealed("local").read_text().splitlines())


def test_two_environments_of_this_machine_share_nothing(pair: Repo) -> None:
    """Neither a value, nor an identity, nor a folder: what is removed of one is not missed by the other."""
    for name in OWN:
        init.own_values(pair, name)
    local, other = (environment.sealed(pair, name) for name in OWN)

    shutil.rmtree(pair.state_of("local"))

    assert not {value.reveal() for value in local.values()} & {value.reveal() for value in other.values()}
    assert other == environment.sealed(pair, "pair")


def test_the_identity_of_ci_opens_no_environment_of_this_machine(
    pair: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOCKSTEP_IDENTITY is for environments that are in git, whichever it was set for."""
    init.own_values(pair, "pair")
    monkeypatch.setenv(identity.VARIABLE, "AGE-SECRET-KEY-of-another")

    assert environment.sealed(pair, "pair")


def test_an_environment_of_this_machine_has_no_recipients(pair: Repo) -> None:
    """Nobody else can open it, so that nothing can be proposed for it."""
    init.init(pair, "acme", checkouts.value)

    with pytest.raises(errors.UsageError, match="pair is no environment with recipients") as caught:
        recipients.of(pair, recipients.read(pair), "pair")

    assert "dev, staging, prod" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dev.NO_SUCH_KEY=x", "dev.NO_SUCH_KEY is no secret of an environment"),
        ("qa.SMTP_PASSWORD=x", "qa.SMTP_PASSWORD is no secret of an environment"),
        ("nonsense", "line 1: is not environment.KEY=value"),
    ],
)
def test_an_answer_to_no_question_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    """A slip in a name must not cost a value without a word."""
    with pytest.raises(errors.DirtyValueError) as caught:
        init.answers(checkouts.empty(tmp_path / "repo"), line)

    assert (expected,) == caught.value.detail


def test_given_lines_are_read_whole() -> None:
    """Every line that is wrong is named by its number, no value told."""
    values, problems = init.given("# a comment\ndev.A=1=2\nprod.B= x\nnonsense\n")

    assert "1=2" == values["dev", "A"]
    assert [
        "line 3: the value begins or ends with a blank",
        "line 4: is not environment.KEY=value",
    ] == problems
