"""The rotation gate: no secret is older than its `rotate_days`. It warns first, and fails after a time of grace.

It needs neither a key nor the network: dates.py says how an age is found. Time alone makes it fail, on a commit
that passed the day before, so it is not part of a plain `nox` nor of a pull request's checks: a workflow runs it
each week.
"""

from datetime import UTC, datetime

from ci.gates.finding import WARNING, Finding, Findings, Rule, finding
from ci.gates.rotation import dates
from ci.gates.rotation.dates import Dated
from ci.ground.repo import Repo

GRACE_DAYS = 14  # two runs of the weekly workflow: a person who misses the first sees the second
_HINT = "inv rotate --env={environment} --key={key}; where it has no provider, inv set with a new value"
DUE = Rule(
    "rotation/due",
    f"a secret that is due: a warning, for {GRACE_DAYS} days",
    "DB_PASSWORD of prod, 183 days old, with rotate_days: 180",
    _HINT,
    WARNING,
)
OVERDUE = Rule(
    "rotation/overdue",
    f"a secret that is more than {GRACE_DAYS} days overdue",
    "DB_PASSWORD of prod, 200 days old, with rotate_days: 180",
    _HINT,
)
RULES = (DUE, OVERDUE)


def check(repo: Repo) -> Findings:
    """Look at the age of every sealed value of every environment.

    Raises GateError when the folder is not a whole git checkout, or when no value's age could be found.
    """
    now = datetime.now(UTC)
    report = dates.read(repo, now)
    return Findings([problem for dated in report.values for problem in _judged(dated, now)], report.looked)


def _judged(dated: Dated, now: datetime) -> list[Finding]:
    late = (now.date() - dated.due).days if dated.due else -1
    if late < 0:
        return []
    last = dated.last
    message = f"is {dated.days} days old and was due on {dated.due}; {last.who} changed it last ({last.shown})"
    rule = OVERDUE if late > GRACE_DAYS else DUE
    return [finding(rule, dated.place, message, line=dated.line, key=dated.key).filled(dated.environment)]
