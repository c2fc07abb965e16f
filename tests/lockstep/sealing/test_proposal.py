import secrets
from pathlib import Path

import pytest

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import edit, exposed, identity, members, proposal
from tests.lockstep.sealing.vaults import DEV, LINES, committed, findings, person, tree, values

KEY = "SMTP_PASSWORD"


@pytest.fixture
def repo(repo: Repo) -> Repo:
    return committed(repo)


def sealed(repo: Repo, path: Path, lines: dict[str, str]) -> None:
    """Write a proposal as somebody could who does not use the verb."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(edit.seal(repo, DEV, lines))


def place(repo: Repo, key: str = KEY) -> Path:
    return repo.root / f"secrets/proposals/{DEV}/{key}-0a1b2c3d.enc.env"


@pytest.mark.parametrize("value", [secrets.token_urlsafe(), LINES], ids=["one line", "several"])
def test_a_value_can_be_proposed_without_an_identity(repo: Repo, value: str) -> None:
    """It is accepted by somebody who has one, and the proposal is gone."""
    file = identity.path(repo, DEV)
    own = file.read_bytes()
    file.unlink()

    path = proposal.propose(repo, DEV, KEY, value)

    assert value.encode() not in path.read_bytes()
    assert set() == findings(repo)
    file.write_bytes(own)
    file.chmod(0o600)
    before = values(repo)
    assert [KEY] == proposal.accept(repo, DEV)
    assert before | {KEY: value} == values(repo)
    assert [] == proposal.files(repo, DEV)
    assert set() == findings(repo)


def test_several_are_accepted_together(repo: Repo) -> None:
    """Of several keys, and for a file that is not there yet."""
    wanted = {key: secrets.token_urlsafe(24) for key in (KEY, "API_TOKENS")}
    for key, value in wanted.items():
        proposal.propose(repo, DEV, key, value)
    repo.sealed(DEV).unlink()

    assert sorted(wanted) == sorted(proposal.accept(repo, DEV))

    assert wanted == values(repo)
    assert set() == findings(repo)


def test_to_accept_where_nothing_waits(repo: Repo) -> None:
    """It is no fault, and needs no identity."""
    identity.path(repo, DEV).unlink()
    before = tree(repo)

    assert [] == proposal.accept(repo, DEV)
    assert before == tree(repo)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (KEY, "short", errors.BadValueError),
        (KEY, "a nul\0 in it", errors.DirtyValueError),
        (KEY, "", errors.DirtyValueError),
        ("DATABASE_URL", "mysql://host/database", errors.BadValueError),
        ("LOG_LEVEL", "debug", errors.BadValueError),
        ("NO_SUCH_KEY", "abcdefgh", errors.BadValueError),
        ("../../x", "abcdefgh", errors.BadValueError),
    ],
)
def test_a_value_that_does_not_fit_is_not_proposed(
    repo: Repo, key: str, value: str, expected: type[errors.LockstepError]
) -> None:
    """It is checked against the schema before it is sealed."""
    before = tree(repo)

    with pytest.raises(expected):
        proposal.propose(repo, DEV, key, value)

    assert before == tree(repo)


@pytest.mark.parametrize(
    "lines",
    [
        {KEY: "short"},
        {"API_TOKENS": "x" * 24},
        {KEY: "long enough", "API_TOKENS": "x" * 24},
        {"LOG_LEVEL": "debug"},
        {},
    ],
    ids=["does not fit", "another key", "two keys", "no secret", "nothing"],
)
def test_what_the_verb_did_not_write_is_not_accepted(repo: Repo, lines: dict[str, str]) -> None:
    """Nor anything else that waits: all or none."""
    proposal.propose(repo, DEV, "API_TOKENS", secrets.token_urlsafe(24))
    sealed(repo, place(repo, next(iter(lines)) if lines == {"LOG_LEVEL": "debug"} else KEY), lines)
    before = tree(repo)

    with pytest.raises((errors.NotSealedError, errors.BadValueError)):
        proposal.accept(repo, DEV)

    assert before == tree(repo)


@pytest.mark.parametrize(
    "line",
    ["sops_hc_vault__list_0__map_vault_address=http://127.0.0.1:9/", "sops_kms__list_0__map_arn=x", "sops_x=1"],
)
def test_metadata_that_leads_elsewhere_is_refused_before_sops_follows(repo: Repo, line: str) -> None:
    """A proposal can be a stranger's."""
    path = proposal.propose(repo, DEV, KEY, secrets.token_urlsafe())
    path.write_text(f"{path.read_text()}{line}\n")

    with pytest.raises(errors.TamperedError, match="metadata that does not belong"):
        proposal.accept(repo, DEV)


def test_a_changed_proposal_is_refused(repo: Repo) -> None:
    """Its MAC tells; nothing of what waits is accepted."""
    proposal.propose(repo, DEV, "API_TOKENS", secrets.token_urlsafe(24))
    path = proposal.propose(repo, DEV, KEY, secrets.token_urlsafe())
    path.write_text(path.read_text().replace("data:", "data:AAAA", 1))
    before = tree(repo)

    with pytest.raises(errors.LockstepError):
        proposal.accept(repo, DEV)

    assert before == tree(repo)


def test_two_proposals_for_one_key_are_left_to_people(repo: Repo) -> None:
    """Which of them is meant cannot be known."""
    for _ in "ab":
        proposal.propose(repo, DEV, KEY, secrets.token_urlsafe())
    before = tree(repo)

    with pytest.raises(errors.NotSealedError, match=f"{KEY} is proposed twice"):
        proposal.accept(repo, DEV)

    assert before == tree(repo)


def test_an_accepted_value_is_no_longer_exposed(repo: Repo) -> None:
    """It is a change like any other."""
    who, _ = person(repo)
    members.add(repo, DEV, who)
    members.remove(repo, DEV, who)
    proposal.propose(repo, DEV, KEY, secrets.token_urlsafe())

    proposal.accept(repo, DEV)

    assert KEY not in [one.key for one in exposed.read(repo)]
    assert "API_TOKENS" in [one.key for one in exposed.read(repo)]
