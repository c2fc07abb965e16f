"""Everything that a pull request can loosen is found, and what it tightens is not."""

import pytest

from ci.gates import law, loosened
from ci.gates.loosened import programs
from ci.ground.repo import Repo
from tests.lockstep.gates.loosened.heads import (
    ENVIRONMENTS,
    EXCEPTIONS,
    RULES,
    SCHEMA,
    STRANGER,
    bare,
    found,
    loosens,
    rules,
)
from tests.lockstep.gates.parity.changes import Change, file, swap
from tests.lockstep.gates.sealing.repos import commit, steps


def within(name: str, old: str, new: str) -> Change:
    """Return what replaces a text within a key, or an environment, by another."""

    def apply(repo: Repo) -> None:
        place = SCHEMA if name.isupper() else ENVIRONMENTS
        path = repo.root / place
        before, start, rest = path.read_text().partition(f"\n  {name}:\n")
        assert old in rest
        path.write_text(before + start + rest.replace(old, new, 1))

    return apply


def without(name: str) -> Change:
    """Return what takes a key from the schema, or an environment from its file."""
    return swap(SCHEMA if name.isupper() else ENVIRONMENTS, rf"\n  {name}:\n(    .*\n|\n)+", "\n")


def excusing(expires: str = "2030-01-01", **more: str) -> Change:
    fields = {
        "rule": "leaks/schema-key",
        "place": "docs/setup.txt",
        "reason": "looked at and accepted",
        "expires": expires,
    }
    lines = "".join(f"    {name}: {text}\n" for name, text in (fields | more).items())
    return file(EXCEPTIONS, f"exceptions:\n  -\n{lines}")


def one_more(repo: Repo) -> None:
    """Add a recipient of prod to .sops.yaml."""
    path = repo.root / RULES
    path.write_text(f"{path.read_text()}      - {STRANGER}\n")


def several(*changes: Change) -> Change:
    def apply(repo: Repo) -> None:
        for change in changes:
            change(repo)

    return apply


LOOSER = {
    "a new exception": (excusing(), "exception"),
    "a secret flag": (within("SMTP_PASSWORD", "secret: true", "secret: false"), "secret"),
    "no secret flag": (within("SMTP_PASSWORD", "      secret: true\n", ""), "secret"),
    "a secret key that is gone": (without("SMTP_PASSWORD"), "secret"),
    "a default": (within("SMTP_PORT", "    min: 1\n", "    min: 1\n    default: 25\n"), "optional"),
    "null": (
        within("SMTP_PASSWORD", "    minlength: 8\n", "    minlength: 8\n    nullable: true\n    default: null\n"),
        "optional",
    ),
    "null beside a default": (
        within("API_CONCURRENCY", "    min: 1\n", "    min: 1\n    nullable: true\n"),
        "optional",
    ),
    "another regex": (within("ENVIRONMENT", "[a-z][a-z0-9-]*", ".*"), "values"),
    "no regex": (within("SMTP_HOST", "    regex: '[A-Za-z0-9.-]+'\n", ""), "values"),
    "one more word": (within("LOG_LEVEL", "[debug,", "[trace, debug,"), "values"),
    "no list": (within("LOG_LEVEL", "    allowed: [debug, info, warning, error]\n", ""), "values"),
    "a smaller minlength": (within("SMTP_PASSWORD", "minlength: 8", "minlength: 1"), "values"),
    "no minlength": (within("SMTP_PASSWORD", "    minlength: 8\n", ""), "values"),
    "a smaller min": (within("SMTP_PORT", "min: 1", "min: 0"), "values"),
    "a larger max": (within("SMTP_PORT", "max: 65535", "max: 65536"), "values"),
    "one more scheme": (within("DATABASE_URL", "url: [postgresql]", "url: [postgresql, http]"), "values"),
    "no scheme": (within("SMS_PROVIDER_URL", "    url: [http, https]\n", ""), "values"),
    "another type": (within("SMTP_PORT", "type: integer\n    min: 1\n    max: 65535", "type: string"), "values"),
    "a reader of a secret": (within("API_TOKENS", "services: [api]", "services: [api, worker]"), "readers"),
    "a job that reads secrets": (
        swap(SCHEMA, r"keys: api, alembic", "keys: [api, worker], alembic"),
        "readers",
    ),
    "a later rotation": (within("SMTP_PASSWORD", "rotate_days: 180", "rotate_days: 181"), "age"),
    "no rotation": (within("SMTP_PASSWORD", "      rotate_days: 180\n", ""), "age"),
    "no difference": (within("PUBLIC_BASE_URL", "      differs_everywhere: true\n", ""), "everywhere"),
    "the same secret": (
        within("SMTP_PASSWORD", "      secret: true\n", "      secret: true\n      same_everywhere: true\n"),
        "everywhere",
    ),
    "no list of tokens": (within("API_TOKENS", "      several: true\n", ""), "everywhere"),
    "a settings module": (
        several(file("shop/settings.py", ""), swap(SCHEMA, r"\A", "settings: [shop/settings.py]\n")),
        "settings",
    ),
    "an inherited variable": (
        swap(
            SCHEMA,
            r"command: python -m worker.keys, keys: worker",
            "command: python -m worker.keys, keys: worker, inherits: [MAIN_KEY]",
        ),
        "settings",
    ),
    "an environment that is gone": (without("prod"), "environment"),
    "no protection": (within("prod", "    protected: true\n", ""), "environment"),
    "a shorter soak": (within("prod", "soak_minutes: 10", "soak_minutes: 0.5"), "environment"),
    "nothing to follow": (within("prod", "    follows: staging\n", ""), "environment"),
    "values out of git": (
        within("dev", "    engine: swarm\n", "    engine: swarm\n    in_git: false\n"),
        "environment",
    ),
    "the template's name": (swap(ENVIRONMENTS, "^project: .*", "project: lockstep-template"), "environment"),
    "another engine": (
        several(
            within("dev", "    engine: swarm\n", "    engine: kubernetes\n"),
            within("dev", "    swarm:\n", "    kubernetes:\n"),
        ),
        "engine",
    ),
    "another address": (
        within("prod", "    swarm:\n", "    swarm:\n      docker: ssh://root@evil.example\n"),
        "engine",
    ),
    "another proxy": (within("prod", "haproxy:2.6-bookworm", "evil.example/haproxy:2.6"), "engine"),
    "another registry": (swap(ENVIRONMENTS, "^project: .*", "project: acme\nregistry: evil.example"), "engine"),
    "a recipient": (one_more, "recipient"),
    "a rule for one more environment": (
        swap(RULES, r"\Z", f"  - path_regex: ^secrets/qa\\.enc\\.env$\n    age:\n      - {STRANGER}\n"),
        "recipient",
    ),
    **{
        f"a change of {place}": (file(place, "changed"), "program")
        for place in (
            ".github/workflows/gates.yml",
            ".github/workflows/another.yml",
            ".github/actions/x/action.yml",
            ".github/CODEOWNERS",
            "CODEOWNERS",
            "docs/CODEOWNERS",
            "ci/gates/leaks/own.txt",
            "ci/ground/tools.toml",
            "ci/requirements.txt",
            "noxfile.py",
            "tasks.py",
            "run",
            "runtime/rules.py",
            "requirements/lockstep.txt",
        )
    },
}
STRICTER: dict[str, Change] = {
    "a key that is secret now": within("SMTP_USERNAME", "    meta:\n", "    meta:\n      secret: true\n"),
    "a required key": within("LOG_LEVEL", "    default: info\n", ""),
    "a new rule": within("SMTP_USERNAME", "    type: string\n", "    type: string\n    minlength: 3\n"),
    "a shorter list": within("LOG_LEVEL", "[debug, info,", "[info,"),
    "a larger minlength": within("SMTP_PASSWORD", "minlength: 8", "minlength: 12"),
    "a smaller max": within("SMTP_PORT", "max: 65535", "max: 65534"),
    "an earlier rotation": within("SMTP_PASSWORD", "rotate_days: 180", "rotate_days: 90"),
    "one more difference": within("SMTP_HOST", "    meta:\n", "    meta:\n      differs_everywhere: true\n"),
    "fewer readers": within("SMTP_PASSWORD", "services: [worker, sandbox]", "services: [worker]"),
    "another description": within("SMTP_PASSWORD", "that user's password", "their password"),
    "a plain key that is gone": without("LOG_FORMAT"),
    "a longer soak": within("prod", "soak_minutes: 10", "soak_minutes: 20"),
    "more replicas, another port": several(
        within("prod", "{api: 2, worker: 2}", "{api: 3, worker: 2}"), within("prod", "port: 8083", "port: 9083")
    ),
    "a recipient less": swap(RULES, r"\n  - path_regex: \^secrets/prod.*\n    age:\n      - .*\n", "\n"),
    "code of the product": file("app/other.py", "x = 1\n"),
    "the generated keys": file("runtime/keys.py", "KEYS = {}\n"),
    "a file that is only named like one": file("docs/ci/gates.md", "run\n"),
}


@pytest.mark.parametrize("name", LOOSER)
def test_what_is_looser_is_found(repo: Repo, name: str) -> None:
    """Each way to allow more is one finding of its rule, and of no other."""
    change, rule = LOOSER[name]

    assert {rule} == loosens(repo, change)


@pytest.mark.parametrize("name", STRICTER)
def test_what_is_not_looser_is_no_finding(repo: Repo, name: str) -> None:
    """What is stricter, or nobody's rule, needs no approval."""
    assert set() == loosens(repo, STRICTER[name])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (excusing("2030-01-02"), {"exception"}),
        (excusing(place="docs/other.txt"), {"exception"}),
        (excusing("2029-12-31"), set()),
        (excusing(reason="looked at once more"), set()),
        (file(EXCEPTIONS, "exceptions: []\n"), set()),
        (excusing(key="SMTP_PASSWORD"), {"exception"}),
    ],
)
def test_an_exception_that_excuses_more_or_longer_is_found(repo: Repo, change: Change, expected: set[str]) -> None:
    """One that ends earlier or is gone is not; another scope is another exception."""
    steps(repo, excusing("2030-01-01"))

    assert expected == loosens(repo, change)


def test_a_recipient_on_the_way_is_found(repo: Repo) -> None:
    """A commit in between that seals for a stranger is found, although the last one is as the base."""
    sealed = repo.sealed("prod").read_text()
    envelope = "sops_age__list_1__map_enc=x\nsops_age__list_1__map_recipient=" + STRANGER + "\n"

    def add(repo: Repo) -> None:
        repo.sealed("prod").write_text(sealed.replace("sops_lastmodified", f"{envelope}sops_lastmodified"))

    problems = found(repo, add, lambda repo: repo.sealed("prod").write_text(sealed))

    assert [("loosened/recipient", "secrets/prod.enc.env", "prod")] == [
        (problem.rule, problem.path, problem.key) for problem in problems
    ]
    assert problems[0].commit


def test_an_exception_does_not_excuse_what_is_loosened(repo: Repo) -> None:
    """Not even one that the base has: the file is part of what can be loosened."""
    steps(repo, excusing(rule="loosened/recipient", place=RULES))
    base = steps(repo, one_more)

    assert "loosened/recipient" in rules("loosened", f"--base={base}", "--head=main", bare(repo))


def test_a_base_without_a_schema_has_no_rules(repo: Repo) -> None:
    """A repository that takes Lockstep in has nothing yet that could be loosened, but for what judges."""
    head = commit(repo)
    (repo.root / SCHEMA).unlink()
    base = commit(repo)

    assert set() == {problem.rule for problem in loosened.check(law.opened(repo.root, head, base))}


def test_each_part_of_the_machinery_is_one_finding(repo: Repo) -> None:
    """A hundred changed files of the gates are one line to read, which names the first."""
    problems = found(repo, several(file("ci/a.py", ""), file("ci/b.py", ""), file(".github/x.yml", "")))

    assert ["is changed", "is changed, and 1 more below ci"] == [problem.message for problem in problems]
    assert [".github/x.yml", "ci/a.py"] == [problem.place for problem in problems]


def test_the_machinery_has_its_parts() -> None:
    """They are those that Lockstep brings, the folder of the forge, and each place of its code owners."""
    assert {"ci", "run", "noxfile.py", "tasks.py", ".github", "CODEOWNERS", "docs/CODEOWNERS"} <= {
        *programs.PATTERNS
    }
