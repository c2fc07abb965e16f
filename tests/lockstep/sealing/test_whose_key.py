"""Who can read what is sealed: the recipients that a rule has, and nobody who made the file's data key before."""

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.ground import command, errors
from ci.ground.repo import Repo
from ci.sealing import ciphertext, edit, envelopes, identity, members, proposal, recipients, sops
from runtime import Secret
from tests import checkouts
from tests.lockstep.sealing.vaults import DEV, by_hand, person, values

PUT = "SMTP_PASSWORD"
NAMED = ("--filename-override", "secrets/dev.enc.env")


def outsiders(repo: Repo) -> tuple[Secret, bytes]:
    """Seal dev anew as somebody who may not open it, for exactly its recipients; return what opens it for them.

    They seal for themselves as well, keep that, and propose the file without their own envelope.
    """
    who, own = person(repo, "outsider")
    group = [each.key for each in recipients.read(repo)[DEV]]
    text = json.dumps({key.name: checkouts.value(DEV, key) for key in repo.schema.secrets()})
    words = ["encrypt", *sops.SEAL, "--age", ",".join([*group, who]), *NAMED]
    whole = sops.call(repo, words, text=text)
    mine = rf"sops_age__list_{len(group)}__map_\w+=.*\n"
    repo.sealed(DEV).write_text(re.sub(mine, "", whole))
    return own, "".join(re.findall(mine, whole)).replace(f"list_{len(group)}_", "list_0_").encode()


def read_by(repo: Repo, own: Secret, envelope: bytes, key: str) -> bool:
    """Tell whether an envelope that somebody kept opens a value of dev's file, whatever the MAC says."""
    text = repo.sealed(DEV).read_bytes()
    line = next(row for row in text.splitlines() if row.startswith(key.encode()))
    rest = b"".join(
        row + b"\n" for row in text.splitlines() if row.startswith((b"sops_mac", b"sops_l", b"sops_v"))
    )
    words = [*sops.decrypt_stdin("dev.enc.env"), "--ignore-mac"]
    env = {"SOPS_AGE_KEY": own.reveal(), "HOME": "/nonexistent"}
    done = command.attempt([repo.tool("sops"), *words], input=line + b"\n" + envelope + rest, env=env)
    return done.code == 0


def put(repo: Repo) -> None:
    edit.put(repo, DEV, PUT, secrets.token_urlsafe())


def edited(repo: Repo) -> None:
    edit.edit(repo, DEV, f"sed -i s/^{PUT}=/{PUT}={secrets.token_hex(8)}/")


def accepted(repo: Repo) -> None:
    proposal.propose(repo, DEV, PUT, secrets.token_urlsafe())
    proposal.accept(repo, DEV)


def added(repo: Repo) -> None:
    members.add(repo, DEV, person(repo, "third")[0], "Third")
    put(repo)


@pytest.mark.parametrize("act", [put, edited, accepted, added])
def test_who_sealed_a_file_does_not_read_what_is_set_later(repo: Repo, act: Callable[[Repo], None]) -> None:
    """A file with a stranger's data key is sealed anew before a value is added to it; no value of it is lost."""
    own, envelope = outsiders(repo)
    assert read_by(repo, own, envelope, PUT)
    before = values(repo)

    act(repo)

    assert not read_by(repo, own, envelope, PUT)
    assert before.keys() == values(repo).keys()
    assert [PUT] == [key for key, value in values(repo).items() if before[key] != value]


def test_a_file_that_was_sealed_here_keeps_its_data_key(repo: Repo) -> None:
    """After it was sealed anew once, a change is one line again."""
    outsiders(repo)
    put(repo)
    before = repo.sealed(DEV).read_text().partition("sops_")[0].splitlines()

    put(repo)

    after = repo.sealed(DEV).read_text().partition("sops_")[0].splitlines()
    assert 1 == len(set(after) - set(before))


def test_readers_that_differ_from_the_rule_get_a_new_data_key(repo: Repo) -> None:
    """A recipient who was taken out of .sops.yaml by hand opens nothing that is set from then on."""
    who, own = person(repo)
    members.add(repo, DEV, who)
    path = recipients.path(repo)
    path.write_text(path.read_text().replace(f"      - {who}\n", ""))

    put(repo)

    assert who not in ciphertext.readers(repo.sealed(DEV).read_bytes())
    with pytest.raises(errors.WrongIdentityError):
        ciphertext.opened(repo, "dev.enc.env", repo.sealed(DEV).read_bytes(), own)


def test_without_a_place_to_remember_every_change_is_sealed_anew(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be kept, nothing is trusted."""
    own = identity.at_hand(repo, DEV)
    monkeypatch.setenv(identity.VARIABLE, own.reveal())
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    before = repo.sealed(DEV).read_bytes()

    put(repo)

    after = repo.sealed(DEV).read_bytes()
    assert not envelopes.ours(after)
    assert set() == set(re.findall(rb"data:[^,]+", before)) & set(re.findall(rb"data:[^,]+", after))


@pytest.mark.parametrize(
    "rule",
    [
        "  - path_regex: .*\n    age:\n      - {who}\n",
        "  - path_regex: dev\n    age: {who}\n",
        "  - path_regex: ^secrets/dev\\.enc\\.env$\n    age:\n      - {who}\n",
        "  - age: {who}\n",
        "  - path_regex: ^secrets/dev\\.enc\\.env$\n    age: {who}\n    mac_only_encrypted: true\n",
    ],
)
def test_a_rule_that_sops_would_take_first_stops_encrypt(repo: Repo, rule: str) -> None:
    """Nothing is sealed for a stranger; the file stays as it was."""
    who, _ = person(repo, "stranger")
    path, before = recipients.path(repo), repo.sealed(DEV).read_bytes()
    text = path.read_text().replace("creation_rules:\n", f"creation_rules:\n{rule.format(who=who)}", 1)
    path.write_text(text)

    with pytest.raises(errors.ConfigurationError, match="not as inv init writes it"):
        edit.encrypt(repo, DEV, f"{PUT}={secrets.token_urlsafe()}\n")

    assert before == repo.sealed(DEV).read_bytes()


def test_a_rule_without_the_person_who_encrypts_stops_encrypt(repo: Repo) -> None:
    """What they seal they could not open: the rule was changed by somebody else."""
    who, _ = person(repo, "stranger")
    path, before = recipients.path(repo), repo.sealed(DEV).read_bytes()
    path.write_text(path.read_text().replace(recipients.read(repo)[DEV][0].key, who))

    with pytest.raises(errors.WrongIdentityError, match="not a recipient of dev"):
        edit.encrypt(repo, DEV, f"{PUT}={secrets.token_urlsafe()}\n")

    assert before == repo.sealed(DEV).read_bytes()


def test_encrypt_names_what_it_would_drop(repo: Repo) -> None:
    """Each key that the file has and the lines lack."""
    left = [key for key in values(repo) if key != PUT]

    assert left == edit.dropped(repo, DEV, f"{PUT}={secrets.token_urlsafe()}\n")
    assert [] == edit.dropped(by_hand(repo, PUT), DEV, "".join(f"{key}=x\n" for key in values(repo)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda line: f'"{line}"', "is in quotes"),
        (lambda line: f"\u201c{line}\u201d", "is in quotes"),
        (lambda line: f"\ufeff{line}", "byte order mark"),
        (lambda _line: "~/.config/lockstep/acme/dev.agekey", "name of a file"),
        (lambda _line: "age1" + "q" * 58, "is a recipient"),
        (lambda _line: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "is an SSH key"),
        (lambda line: f"SOPS_AGE_KEY={line}", "is a name and a value"),
        (str.lower, "is not in capitals"),
        (lambda line: line[:-5], "is not an age identity"),
        (lambda line: line.replace("1", "I", 1), "is not an age identity"),
        (lambda _line: "  \n", "is empty"),
    ],
)
def test_what_is_not_an_identity_is_named_as_that(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], expected: str
) -> None:
    """In a variable or a file; nobody is sent to a colleague, and nothing of it is shown."""
    line = identity.at_hand(repo, DEV).reveal().splitlines()[-1]
    identity.path(repo, DEV).write_text(change(line))

    with pytest.raises(errors.NoIdentityError, match=expected) as from_file:
        identity.at_hand(repo, DEV)
    monkeypatch.setenv(identity.VARIABLE, change(line))
    with pytest.raises(errors.NoIdentityError, match=expected) as from_variable:
        identity.at_hand(repo, DEV)

    for caught in (from_file, from_variable):
        assert line[20:40] not in f"{caught.value} {caught.value.hint}"
        assert "age-keygen" in caught.value.hint


RULES = """\
# Anna keeps this file.
creation_rules:
  # the shared one
  - path_regex: ^secrets/dev\\.enc\\.env$  # all developers
    age:
      # the pipeline's
      - {dev}  # CI
      # leaves in May
      - {anna}  # Anna
    # below the list
  - path_regex: ^secrets/staging\\.enc\\.env$
    age: {staging} # one text
  - path_regex: ^secrets/prod\\.enc\\.env$
    age: [{prod}]
# the end
"""


@pytest.fixture
def annotated(repo: Repo) -> Repo:
    """Return a checkout whose .sops.yaml has comments everywhere."""
    members.add(repo, DEV, person(repo, "anna")[0], "Anna")
    keys = {name: group[0].key for name, group in recipients.read(repo).items()}
    anna = recipients.read(repo)[DEV][1].key
    recipients.path(repo).write_text(RULES.format(**keys, anna=anna))
    return repo


def test_comments_of_the_rules_stay_when_somebody_joins_and_leaves(annotated: Repo) -> None:
    """Each line but that of the recipient stays as it is, in the order that it has."""
    before = recipients.path(annotated).read_text().splitlines()

    who, _ = person(annotated, "third")
    members.add(annotated, DEV, who, "Third")
    joined = recipients.path(annotated).read_text().splitlines()
    members.remove(annotated, DEV, name="Anna")
    left = recipients.path(annotated).read_text().splitlines()

    assert [f"      - {who}  # Third"] == [line for line in joined if line not in before]
    assert before == [line for line in joined if line in before]
    assert [f"      - {recipients.read(annotated)[DEV][0].key}  # CI"] == left[6:7]
    assert [line for line in joined if "# Anna" not in line or line.startswith("#")] == left


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_a_rule_of_one_text_becomes_a_list(annotated: Repo, name: str) -> None:
    """The other rules and the comments stay, and the file is read as before."""
    before, (own,) = recipients.path(annotated).read_text().splitlines(), recipients.read(annotated)[name]

    who, _ = person(annotated, "third")
    members.add(annotated, name, who, "Third")

    after = recipients.path(annotated).read_text().splitlines()
    assert [own.key, who] == [each.key for each in recipients.read(annotated)[name]]
    assert 1 == len([line for line in before if line not in after])
    assert {"# the end", "      # leaves in May", "# Anna keeps this file."} <= set(after)
    assert ("# one text" in "\n".join(after)) is True


def test_the_place_of_what_is_remembered_is_the_users(repo: Repo, tmp_path: Path) -> None:
    """A checkout that somebody sends cannot say which envelopes were made here."""
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    data = repo.sealed(DEV).read_bytes()

    assert not envelopes.ours(data, environ)
    envelopes.note(data, environ)
    assert envelopes.ours(data, environ)
    assert not envelopes.ours(repo.sealed("prod").read_bytes(), environ)
