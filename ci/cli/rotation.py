"""What a person is shown of rotations: where a leaked value occurs, and how old each value is."""

from ci.cli import console
from ci.rotation.leaked import Report


def leaked(it: Report) -> int:
    """Say what was found and what is to be done, and return the exit code."""
    if it.found:
        console.table(("found in", "where", ""), [(one.kind, one.where, one.what) for one in it.found])
    if it.unseen:
        console.table(("not looked at", "where", "why"), [(one.kind, one.where, one.what) for one in it.unseen])
    for note in it.notes:
        console.say(note)
    looked = ", ".join(f"{count} {what}" for what, count in it.looked.items())
    console.say(f"{len(it.found) or 'no'} places; looked at {looked or 'nothing'}")
    for name, key in it.rotate:
        console.say(f"next: inv rotate --env={name} --key={key} --leaked")
    if it.found and not it.rotate:
        console.say("next: no environment that was opened has it today; see that its provider refuses it")
    return it.code
