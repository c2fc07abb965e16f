"""What sops is given to read is read before: a file and its rules can be a stranger's."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.ground import command, errors
from ci.ground.repo import Repo
from ci.rotation import state
from ci.sealing import ciphertext, edit, environment, identity, members, proposal, recipients, sops
from tests.lockstep.sealing.vaults import DEV, person

KEY = "SMTP_PASSWORD"
STRANGE = [
    "sops_hc_vault__list_0__map_vault_address=http://127.0.0.1:9/",
    "sops_kms__list_0__map_arn=arn:aws:kms:eu-west-1:1:key/x",
    "sops_gcp_kms__list_0__map_resource_id=x",
    "sops_azure_kv__list_0__map_vault_url=http://127.0.0.1:9/",
    "sops_pgp__list_0__map_fp=x",
    "sops_key_groups__list_0__map_hc_vault__list_0__map_vault_address=http://127.0.0.1:9/",
    "sops_shamir_threshold=1",
    "sops_unencrypted_regex=.*",
    "sops_encrypted_regex=X",
    "sops_mac_only_encrypted=true",
    "sops_unencrypted_suffix=PASSWORD",
    "sops_mac=x",
    "sops_age__list_00__map_enc=x",
    "sops_age__list_7__map_enc=x",
    "sops_age__list_999999999__map_enc=x",
    "sops_age__list_\u0661__map_enc=x",
    "sops_age__list_0__map_recipient=x",
    "sops_age__list_0__map_identity=x",
    "sops_age__map_enc=x",
    "sops_x",
]


def held(repo: Repo) -> object:
    """Read the values of a rotation, which are kept as a sealed file."""
    rotation = state.begin(repo, DEV, KEY, leaked=False)
    path = state._values(repo, DEV, KEY)
    path.write_bytes(repo.sealed(DEV).read_bytes())
    return state.held(repo, rotation)


def waiting(repo: Repo) -> object:
    """Accept a proposal that is a copy of the sealed file."""
    path = repo.root / f"secrets/proposals/{DEV}/{KEY}-0a1b2c3d.enc.env"
    path.parent.mkdir(parents=True)
    path.write_bytes(repo.sealed(DEV).read_bytes())
    return proposal.accept(repo, DEV)


def synced(repo: Repo) -> object:
    own = identity.at_hand(repo, DEV)
    return ciphertext.synced(repo, DEV, repo.sealed(DEV).read_bytes(), recipients.read(repo), own)


def updated(repo: Repo) -> object:
    own = identity.at_hand(repo, DEV)
    return ciphertext.updated(repo, "dev.enc.env", repo.sealed(DEV).read_bytes(), {KEY: None}, own)


def in_place(repo: Repo) -> object:
    return sops.call(repo, sops.put(repo.sealed(DEV), KEY), text='"x"')


COMMANDS: list[Callable[[Repo], object]] = [
    lambda repo: environment.sealed(repo, DEV),
    lambda repo: environment.decrypt(repo, DEV),
    lambda repo: edit.put(repo, DEV, KEY, secrets.token_urlsafe()),
    lambda repo: edit.edit(repo, DEV, "true"),
    lambda repo: members.add(repo, DEV, person(repo)[0], "Ben"),
    lambda repo: members.remove(repo, DEV, name="Anna"),
    held,
    waiting,
    synced,
    updated,
    in_place,
]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were started."""
    names: list[str] = []
    monkeypatch.setattr(command, "observer", lambda words: names.append(Path(words[0]).name))
    return names


@pytest.fixture
def whole(repo: Repo) -> Repo:
    """A checkout whose dev has a value."""
    edit.encrypt(repo, DEV, f"{KEY}={secrets.token_urlsafe()}\n")
    members.add(repo, DEV, person(repo, "anna")[0], "Anna")
    return repo


@pytest.mark.parametrize("run", COMMANDS)
def test_every_command_reads_a_file_before_sops_does(
    whole: Repo, started: list[str], run: Callable[[Repo], object]
) -> None:
    """A key service that a file names is not called: the command ends before sops is started on it."""
    whole.sealed(DEV).write_text(f"{whole.sealed(DEV).read_text()}{STRANGE[0]}\n")

    with pytest.raises(errors.TamperedError, match=r"\.enc\.env has metadata that does not belong there$"):
        run(whole)

    assert "sops" not in started


@pytest.mark.parametrize("line", STRANGE)
def test_metadata_that_nobody_wrote_here_is_refused(whole: Repo, started: list[str], line: str) -> None:
    """By an exact list: another kind of key, another rule of what is encrypted, a list with gaps, a second mac."""
    whole.sealed(DEV).write_text(f"{whole.sealed(DEV).read_text()}{line}\n")

    with pytest.raises(errors.TamperedError, match="metadata that does not belong there"):
        environment.sealed(whole, DEV)

    assert "sops" not in started


@pytest.mark.parametrize(
    "change",
    [
        lambda old: old.replace("    age:", "    hc_vault_transit_uri: http://127.0.0.1:9/v1/k\n    age:", 1),
        lambda old: old.replace("    age:", "    kms: arn:aws:kms:eu-west-1:1:key/x\n    age:", 1),
        lambda old: old.replace("    age:", "    pgp: x\n    age:", 1),
        lambda old: old.replace("    age:", "    encrypted_regex: X\n    age:", 1),
        lambda old: re.sub(r"    age:\n      - ", "    key_groups:\n      - age: ", old, count=1),
        lambda old: f"{old}destination_rules:\n  - s3_bucket: x\n",
        lambda old: f"{old}stores: {{dotenv: {{}}}}\n",
        lambda old: f"{old}creation_rules: []\n",
        lambda _: "[]\n",
    ],
)
def test_rules_are_read_before_sops_reads_them(
    whole: Repo, started: list[str], change: Callable[[str], str]
) -> None:
    """Nothing is encrypted for another kind of key than age's, whatever .sops.yaml says."""
    rules = whole.root / ".sops.yaml"
    rules.write_text(change(rules.read_text()))

    with pytest.raises(
        errors.ConfigurationError,
        match=r"^\.sops\.yaml (names more|is not there)",
    ):
        edit.seal(whole, DEV, {KEY: "x"})

    assert "sops" not in started


def test_the_folder_that_a_command_is_given_in_has_no_rules(
    whole: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules are looked for from the folder of sops upward, and read when it decrypts as well."""
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere/.sops.yaml").write_text("stores: [\n")
    monkeypatch.chdir(tmp_path / "somewhere")

    assert [KEY] == list(environment.sealed(whole, DEV))
