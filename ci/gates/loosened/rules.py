"""What the gate `loosened` looks for, and to which other gate each rule matters."""

from ci.gates.finding import Rule

_APPROVE = "take it back, or have a code owner approve it: docs/threat-model.md says how"
EXCEPTION = Rule(
    "loosened/exception",
    "an exception that is new, excuses more, or lasts longer",
    "an entry of config/exceptions.yaml that comes with what it excuses",
    _APPROVE,
)
SECRET = Rule(
    "loosened/secret",
    "a key that was secret and is not, or is no longer in the schema",
    "secret: true deleted",
    _APPROVE,
)
OPTIONAL = Rule("loosened/optional", "a required key that became optional", "default: null", _APPROVE)
VALUES = Rule(
    "loosened/values",
    "a rule of a key that admits more values, or that was rewritten",
    "another regex, a smaller minlength, one more word in allowed",
    _APPROVE,
)
READERS = Rule(
    "loosened/readers",
    "a secret that one more service or job gets",
    "services: [api, worker] of a secret",
    _APPROVE,
)
AGE = Rule("loosened/age", "a secret that may grow older", "rotate_days: 365 in place of 90", _APPROVE)
EVERYWHERE = Rule(
    "loosened/everywhere",
    "a comparison between environments that is no longer made",
    "differs_everywhere: true deleted",
    _APPROVE,
)
SETTINGS = Rule(
    "loosened/settings",
    "one more module that reads the environment by itself, or job that inherits a variable",
    "settings: [shop/settings.py]",
    _APPROVE,
)
ENVIRONMENT = Rule(
    "loosened/environment",
    "an environment that was removed, or lost what protects it",
    "protected, follows, soak_minutes or in_git of prod changed",
    _APPROVE,
)
ENGINE = Rule(
    "loosened/engine",
    "another engine, address or registry: where secrets and images go",
    "another docker: ssh://… for prod",
    _APPROVE,
)
RECIPIENT = Rule(
    "loosened/recipient",
    "a recipient that can decrypt an environment and could not before",
    "one more line under age in .sops.yaml, also in a commit on the way",
    _APPROVE,
)
PROGRAM = Rule(
    "loosened/program",
    "a change of what judges: gates, workflows, tasks, their tools, code owners",
    "ci/gates/leaks edited in the pull request that it would stop",
    _APPROVE,
)
RULES: tuple[Rule, ...] = (
    EXCEPTION,
    SECRET,
    OPTIONAL,
    VALUES,
    READERS,
    AGE,
    EVERYWHERE,
    SETTINGS,
    ENVIRONMENT,
    ENGINE,
    RECIPIENT,
    PROGRAM,
)
# A gate that is given a base reports what loosens its own judgement: it never says "clean" by a rule that the head
# rewrote. Sealing, whose subject is who may know a value at all, reports everything but a change of programs.
OF: dict[str, frozenset[str]] = {
    "sealing": frozenset(rule.id for rule in RULES if rule is not PROGRAM),
    "parity": frozenset(rule.id for rule in (SECRET, OPTIONAL, VALUES, EVERYWHERE, SETTINGS, ENVIRONMENT)),
    "leaks": frozenset({SECRET.id}),
    "rotation": frozenset({AGE.id}),
}
