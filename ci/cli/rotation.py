"""What a person is shown of rotations: where a leaked value occurs, and how old each value is."""

from ci.cli import console
from ci.rotation.leaked import Report


def leaked(report: Report) -> int:
    """Say what was found and what is to be done, and return the exit code."""
    if report.found:
        console.table(("found in", "where", ""), [(row.kind, row.where, row.what) for row in report.found])
    if report.unseen:
        console.table(
            ("not looked at", "where", "why"), [(row.kind, row.where, row.what) for row in report.unseen]
        )
    for note in report.notes:
        console.say(note)
    looked = ", ".join(f"{count} {noun}" for noun, count in report.looked.items())
    console.say(f"{len(report.found) or 'no'} places; looked at {looked or 'nothing'}")
    for name, key in report.rotate:
        console.say(f"next: inv rotate --env={name} --key={key} --leaked")
    if report.found and not report.rotate:
        console.say("next: no environment that was opened has it today; see that its provider refuses it")
    return report.code
