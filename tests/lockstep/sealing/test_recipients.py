import re
import secrets

import pytest

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import edit, exposed, identity, keys, members, proposal, recipients
from tests.lockstep.sealing.vaults import (
    DEV,
    LINES,
    committed,
    findings,
    opens,
    person,
    tree,
    values,
    with_old_key,
)


@pytest.fixture
def repo(repo: Repo) -> Repo:
    return committed(repo)


def test_add_lets_somebody_open_the_environment_and_no_other(repo: Repo) -> None:
    """The values keep their ciphertext, the name stands beside the key, and the gate is content."""
    who, own = person(repo)
    before = repo.sealed(DEV).read_text().partition("sops_")[0]

    members.add(repo, DEV, who, "Anna")

    assert opens(repo, own)
    assert before == repo.sealed(DEV).read_text().partition("sops_")[0]
    assert not opens(repo, own, repo.sealed("prod").read_bytes())
    assert f"      - {who}  # Anna\n" in (repo.root / ".sops.yaml").read_text()
    assert set() == findings(repo)


def test_add_reaches_proposals_too(repo: Repo) -> None:
    """Every file of the environment is for everybody of its rule."""
    path = proposal.propose(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe())
    who, own = person(repo)

    members.add(repo, DEV, who)

    assert opens(repo, own, path.read_bytes())
    assert set() == findings(repo)


def test_add_finishes_a_rule_that_was_written_by_hand(repo: Repo) -> None:
    """Who stands in .sops.yaml and cannot open the file yet is let in."""
    who, own = person(repo)
    rules = recipients.read(repo)
    rules[DEV].append(recipients.Recipient(who))
    (repo.root / ".sops.yaml").write_bytes(recipients.changed(repo, rules))

    members.add(repo, DEV, who)

    assert opens(repo, own)
    assert set() == findings(repo)


@pytest.mark.parametrize(
    ("bad", "name", "expected"),
    [
        ("age1", "", "no recipient of age's own kinds"),
        ("ssh-ed25519 AAAA", "", "no recipient of age's own kinds"),
        ("age1" + "q" * 58, "", "no recipient of age's own kinds"),
        ("-o/tmp/x", "", "no recipient of age's own kinds"),
        ("GOOD", "Anna\n      - age1x", "no name"),
        ("GOOD", "# Anna", "no name"),
        ("GOOD", "me", "with another key"),
        ("THERE", "", "opens dev already"),
    ],
)
def test_what_is_no_new_recipient_is_refused(repo: Repo, bad: str, name: str, expected: str) -> None:
    """Neither rule nor files change."""
    rules = recipients.read(repo)
    rules[DEV] = [recipients.Recipient(rules[DEV][0].key, "me")]
    (repo.root / ".sops.yaml").write_bytes(recipients.changed(repo, rules))
    before = tree(repo)
    key = {"GOOD": person(repo)[0], "THERE": rules[DEV][0].key}.get(bad, bad)

    with pytest.raises(errors.RecipientError, match=expected):
        members.add(repo, DEV, key, name)

    assert before == tree(repo)


def test_a_recipient_of_another_kind_is_refused(repo: Repo) -> None:
    """The gate would find the weaker one."""
    who, _ = person(repo, post_quantum=True)

    with pytest.raises(errors.RecipientError, match="another kind"):
        members.add(repo, DEV, who)


def test_who_was_removed_opens_nothing(repo: Repo) -> None:
    """Not the new file by identity, and none of its ciphertexts with the data key of an old clone."""
    who, own = person(repo)
    members.add(repo, DEV, who, "Anna")
    old, before = repo.sealed(DEV).read_bytes(), values(repo)

    members.remove(repo, DEV, name="Anna")

    new = repo.sealed(DEV).read_bytes()
    assert opens(repo, own, old)
    assert not opens(repo, own)
    assert before == values(repo)
    assert dict.fromkeys(before, 0) == with_old_key(repo, own, old, old)
    assert dict.fromkeys(before, 25) == with_old_key(repo, own, old, new)
    assert set() == findings(repo)


def test_several_lines_stay_as_they_are(repo: Repo) -> None:
    """With another recipient, with a new data key, and under a new identity."""
    edit.put(repo, DEV, "SMTP_PASSWORD", LINES)
    before = values(repo)

    members.add(repo, DEV, person(repo)[0], "Anna")
    members.remove(repo, DEV, name="Anna")
    keys.begin(repo, DEV)
    keys.finish(repo, DEV)

    assert LINES == before["SMTP_PASSWORD"]
    assert before == values(repo)
    assert set() == findings(repo)


def test_what_they_could_read_is_listed_until_it_is_changed(repo: Repo) -> None:
    """The same value again changes nothing; a new one, by set, encrypt or edit, leaves the list."""
    who, _ = person(repo)
    members.add(repo, DEV, who, "Anna")
    before = values(repo)

    gone, rows = members.remove(repo, DEV, who)

    assert "Anna" == gone.name
    assert sorted(before) == sorted(row.key for row in rows)
    assert {(DEV, who, "Anna")} == {(row.environment, row.recipient, row.name) for row in exposed.read(repo)}
    edit.put(repo, DEV, "SMTP_PASSWORD", before["SMTP_PASSWORD"])
    assert len(before) == len(exposed.read(repo))
    edit.put(repo, "prod", "SMTP_PASSWORD", secrets.token_urlsafe())
    assert len(before) == len(exposed.read(repo))
    edit.put(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe())
    assert sorted(before.keys() - {"SMTP_PASSWORD"}) == sorted(row.key for row in exposed.read(repo))
    assert set() == findings(repo)
    edit.encrypt(repo, DEV, f"SMTP_PASSWORD={secrets.token_urlsafe()}\nAPI_TOKENS={before['API_TOKENS']}\n")
    assert ["API_TOKENS"] == [row.key for row in exposed.read(repo)]
    edit.edit(repo, DEV, f"sed -i s/{before['API_TOKENS']}/{secrets.token_hex(16)}/")
    assert [] == exposed.read(repo)
    assert not exposed.path(repo).exists()


def test_the_list_holds_no_value(repo: Repo) -> None:
    """It is committed, so it names keys alone."""
    who, _ = person(repo)
    members.add(repo, DEV, who)

    members.remove(repo, DEV, who[:20])

    text = exposed.path(repo).read_text()
    assert [] == [value for value in values(repo).values() if value in text]


def test_who_comes_and_goes_twice_is_listed_once(repo: Repo) -> None:
    """A value is known since the first time."""
    who, _ = person(repo)

    for _ in "ab":
        members.add(repo, DEV, who)
        members.remove(repo, DEV, who)

    assert sorted(values(repo)) == sorted(row.key for row in exposed.read(repo))


def test_the_last_recipient_stays(repo: Repo) -> None:
    """Nobody could ever open the environment again."""
    before = tree(repo)

    with pytest.raises(errors.RecipientError, match="last recipient of dev"):
        members.remove(repo, DEV, recipients.read(repo)[DEV][0].key)

    assert before == tree(repo)


def test_nobody_removes_themselves(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who stays must show that they can open the files; then it works."""
    who, own = person(repo)
    me = recipients.read(repo)[DEV][0].key
    members.add(repo, DEV, who)
    before = tree(repo)

    with pytest.raises(errors.RecipientError, match="identity at hand"):
        members.remove(repo, DEV, me)

    assert before == tree(repo)
    monkeypatch.setenv(identity.VARIABLE, own.reveal())
    members.remove(repo, DEV, me)
    assert opens(repo, own)
    assert set() == findings(repo)


def test_a_proposal_that_they_could_read_comes_first(repo: Repo) -> None:
    """It would bring in a value that is known, after the list was made."""
    who, _ = person(repo)
    members.add(repo, DEV, who)
    proposal.propose(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe())
    before = tree(repo)

    with pytest.raises(errors.RecipientError, match="can read proposals"):
        members.remove(repo, DEV, who)

    assert before == tree(repo)


@pytest.mark.parametrize(("key", "name"), [("", ""), ("", "Bob"), ("age1", ""), ("age1zzzz", "")])
def test_who_to_remove_must_be_clear(repo: Repo, key: str, name: str) -> None:
    """Nobody, a stranger, or two at once is no answer."""
    members.add(repo, DEV, person(repo)[0], "Anna")
    before = tree(repo)

    with pytest.raises((errors.RecipientError, errors.UsageError)):
        members.remove(repo, DEV, key, name)

    assert before == tree(repo)


@pytest.mark.parametrize("name", ["local", "prd", "", "../dev"])
def test_an_environment_without_recipients(repo: Repo, name: str) -> None:
    """It is told, whatever was to be done with it."""
    for act in (
        lambda: members.add(repo, name, "age1"),
        lambda: members.remove(repo, name, "age1"),
        lambda: keys.begin(repo, name),
        lambda: proposal.propose(repo, name, "SMTP_PASSWORD", "abcdefgh"),
        lambda: proposal.accept(repo, name),
    ):
        with pytest.raises(errors.UsageError, match="no environment with recipients"):
            act()


def test_a_lost_identity_with_one_recipient_left(repo: Repo) -> None:
    """It is told what is lost, and what was told to do works."""
    file = identity.path(repo, DEV)
    file.unlink()

    with pytest.raises(errors.NoIdentityError, match="dev has one recipient") as caught:
        members.add(repo, DEV, person(repo)[0])

    told = "\n".join(caught.value.detail)
    assert f".tools/bin/age-keygen -o {file}" in told
    assert "inv encrypt --env=dev" in told
    old = recipients.read(repo)[DEV][0].key
    new = identity.make(repo, file)
    (repo.root / ".sops.yaml").write_text((repo.root / ".sops.yaml").read_text().replace(old, new))
    edit.encrypt(repo, DEV, f"SMTP_PASSWORD={secrets.token_urlsafe()}\n")
    assert {"SMTP_PASSWORD"} == values(repo).keys()
    assert set() == findings(repo)


def test_the_overview_tells_who_opens_what(repo: Repo) -> None:
    """By the rules and by the files, where these differ."""
    who, _ = person(repo)
    members.add(repo, DEV, who, "Anna")
    members.add(repo, "staging", who, "Anna")
    rules = recipients.read(repo)
    rules["prod"].append(recipients.Recipient(who, "Anna"))
    rules["staging"] = rules["staging"][:1]
    (repo.root / ".sops.yaml").write_bytes(recipients.changed(repo, rules))

    it = members.overview(repo)

    (row,) = [row for row in it.rows if row[0] == "Anna"]
    assert "dev, prod (in .sops.yaml alone)" == row[2]
    assert ["staging (in the file alone)"] == [row[2] for row in it.rows if row[0] == "-" and "alone" in row[2]]
    assert ["staging"] == it.alone
    assert {"dev"} == {row[2] for row in members.overview(repo, DEV).rows}


def test_rules_in_another_form_are_read_alike(repo: Repo) -> None:
    """Names are comments beside a key; what stands above the rules stays."""
    path = repo.root / ".sops.yaml"
    text = re.sub(r"age:\n      - (age1\w+)", r"age: [\1]", path.read_text())
    path.write_text("# ours\n" + text)
    who, _ = person(repo)

    members.add(repo, DEV, who, "Anna B. O'Neil, ops")

    assert path.read_text().startswith("# ours\n# Who can")
    assert "Anna B. O'Neil, ops" == recipients.read(repo)[DEV][1].name
    assert set() == findings(repo)


@pytest.mark.parametrize("text", [None, "", "creation_rules: 1", "creation_rules:\n  - x: 1\n", "a: [", "\xff"])
def test_rules_that_cannot_be_read(repo: Repo, text: str | None) -> None:
    """Nothing is guessed."""
    path = repo.root / ".sops.yaml"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("latin-1"))

    with pytest.raises(errors.ConfigurationError, match=r"\.sops\.yaml"):
        members.add(repo, DEV, person(repo)[0])
