import re
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.changes import Change, rulestext, swap
from tests.lockstep.gates.sealing.envelopes import envelope, stanza, stranger, with_recipient
from tests.lockstep.gates.sealing.repos import rules


def test_post_quantum_files_are_right(hybrid: Repo) -> None:
    """A checkout of post-quantum identities trips nothing, nor after its keys were joined."""
    hybrid_bytes = hybrid.sealed("dev").read_bytes()

    assert b"age1pq1" in hybrid_bytes
    assert set() == rules(hybrid)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("envelope-kind", envelope(lambda raw: b"age-encryption.org/v1\n" + stanza() + raw[raw.index(b"---") :])),
        ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n" + stanza() + b"---", 1))),
        ("envelope", envelope(lambda raw: raw.replace(b"mlkem768x25519 ", b"mlkem768x25519 AAAA", 1))),
        ("envelope", envelope(lambda raw: raw[:-2])),
        ("recipient-weaker", with_recipient(stranger())),
        (
            "recipient-missing",
            rulestext(
                lambda old: old.replace("    age:\n", f"    age:\n      - {stranger(1952, 'age1pq1')}\n", 1)
            ),
        ),
    ],
)
def test_post_quantum_files_that_are_wrong(hybrid: Repo, rule: str, change: Change) -> None:
    """A weaker reader beside a post-quantum one undoes what that was for."""
    change(hybrid)

    assert {rule} == rules(hybrid)


def test_a_post_quantum_stanza_for_an_ordinary_recipient(repo: Repo, hybrid_template: Path) -> None:
    """The kind is held both ways."""
    other = re.findall("map_enc=.*", Repo(hybrid_template).sealed("dev").read_text())[0]
    swap("map_enc=.*", other)(repo)

    assert {"envelope-kind"} == rules(repo)
