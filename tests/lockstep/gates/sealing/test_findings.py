import pytest

from ci.gates import sealing
from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.changes import TEXT, first, top


def test_findings_tell_place_line_key_and_no_value(repo: Repo) -> None:
    """A finding leads to the line and to the command, and repeats nothing that should not be read."""
    first(TEXT)(repo)

    (found,) = sealing.check(repo)

    assert ("secrets/dev.enc.env", 1, "DATABASE_URL") == (found.place, found.line, found.key)
    assert "inv set --env=dev --key=DATABASE_URL" in found.hint


@pytest.mark.parametrize(
    "template_", [TEXT, f"{TEXT}=", f"KEY={TEXT}", f"# {TEXT}", f"sops_{TEXT}=x", f"sops_mac={TEXT}"]
)
def test_no_message_repeats_what_stands_there(repo: Repo, template_: str) -> None:
    """Whatever a line is, it is described and not shown."""
    top(template_)(repo)

    told = "".join(str(one) for one in sealing.check(repo))

    assert told
    assert TEXT not in told
