"""The workflows: what they run exists, what they use is pinned, and who is given what."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.parser import Parser

import tasks
from ci.gates import law
from ci.gates.exceptions import PLACE
from ci.gates.loosened.programs import PATTERNS
from ci.ground.environments import Environment
from ci.ground.repo import Repo
from ci.sealing import identity

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").iterdir())
WORKFLOWS: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
EVERY = {f"{name}:{key}": job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
JOBS = {name: job for name, job in EVERY.items() if "steps" in job}  # the others call a workflow
REAL = [one for one in Repo(ROOT).environments.by_name.values() if one.in_git]
OURS = re.compile(r"(?:sudo )?\./run (?:inv|nox -s) [\w./=\" $-]+")
SHELL = {
    'git clone --quiet --bare . "$EXAMINED"': "no checkout may hold what a pull request wrote",
    'git -C "$EXAMINED" fetch --quiet --no-tags "$ORIGIN" "$REF"': "nor does actions/checkout fetch a fork's head",
    'echo "law=$LAW" >>"$GITHUB_OUTPUT"': "a variable of an environment is known in a step alone",
    "sudo .ci/engine": "what it installs is the machine's, and root's to install",
    'install -D -m 600 /dev/stdin ~/.ssh/known_hosts <<<"$ENGINE_HOSTS"': "ssh knows hosts by a file alone",
    'ssh-agent -a "$SSH_AUTH_SOCK" && ssh-add - <<<"$ENGINE_KEY"': "ssh takes a key from an agent, or a file",
    'docker login "$REGISTRY" --username="$REGISTRY_USER" --password-stdin <<<"$REGISTRY_TOKEN"': (
        "the Docker SDK reads the file that it writes"
    ),
}


def commands(workflow: str = "") -> Iterator[str]:
    """Yield what the jobs run, of one workflow or of all; a variable of a matrix by each of its values."""
    for name, job in JOBS.items():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"] if name.startswith(workflow) else ():
            lines = [step.get("run", "")]
            for variable, value in step.get("env", {}).items():
                if key := re.fullmatch(r"\$\{\{ matrix\.(\w+) \}\}", value):
                    values = [*matrix[key[1]], *(one[key[1]] for one in matrix.get("include", ()))]
                    lines = [re.sub(rf'"?\${variable}"?', one, line) for line in lines for one in values]
            yield from filter(None, lines)


def delivers(one: Environment) -> str:
    """Return the command that brings an environment what it should run."""
    verb = f'promote --to={one.name} --sha="$GITHUB_SHA"' if one.follows else f"deploy --env={one.name}"
    return f"./run inv {verb}{' --yes' if one.protected else ''}"


def test_every_action_is_pinned() -> None:
    """Each by a full SHA, with the version that this is beside it; an action has one SHA in all workflows."""
    lines = [line.strip() for path in FILES for line in path.read_text().splitlines() if "uses:" in line]
    lines = [line for line in lines if "uses: ./.github/workflows/" not in line]  # of the same commit
    found = [
        re.fullmatch(r"(?:- )?uses: ([\w-]+/[\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", line) for line in lines
    ]
    pins = {(one[1], one[2]) for one in found if one}

    assert [] == [line for line, one in zip(lines, found, strict=True) if one is None]
    assert {"actions/checkout", "actions/setup-python"} == {action for action, _ in pins}
    assert 2 == len(pins)


def test_nobody_may_more_than_read() -> None:
    """A workflow has no permissions, a job may read the contents, and a checkout leaves no token behind."""
    checkouts = [step for job in JOBS.values() for step in job["steps"] if "checkout" in step.get("uses", "")]

    assert {name: {} for name in WORKFLOWS} == {name: one["permissions"] for name, one in WORKFLOWS.items()}
    assert {name: {"contents": "read"} if name != "gates:approval" else {} for name in EVERY} == {
        name: job["permissions"] for name, job in EVERY.items()
    }
    assert [False] * (len(JOBS) - 1) == [step["with"]["persist-credentials"] for step in checkouts]


def test_every_job_ends() -> None:
    """Each has a timeout well below the six hours that it would have, and what delivers is never cut off."""
    assert [] == [name for name, job in JOBS.items() if not 0 < job["timeout-minutes"] <= 45]
    assert {one.name: {"group": f"deliver-{one.name}", "cancel-in-progress": False} for one in REAL} == {
        name: job["concurrency"] for name, job in WORKFLOWS["deliver"]["jobs"].items() if "steps" in job
    }


def test_workflows_have_no_shell_of_their_own() -> None:
    """They call sessions and tasks by `./run`, but for what is listed here with its reason."""
    every = list(commands())

    assert [] == [line for line in every if line not in SHELL and not OURS.fullmatch(line)]
    assert [] == [line for line in SHELL if line not in every]


def test_what_is_called_exists() -> None:
    """Each session is in noxfile.py; each task is in tasks.py and has the flags that it is given."""
    called = [shlex.split(line.removeprefix("sudo ")) for line in commands() if OURS.fullmatch(line)]
    sessions = {
        node.name
        for node in ast.parse((ROOT / "noxfile.py").read_text()).body
        if isinstance(node, ast.FunctionDef)
    }

    assert set() == {words[3] for words in called if words[1] == "nox"} - sessions
    for words in [words[2:] for words in called if words[1] == "inv"]:
        assert [words[0]] == [one.name for one in Parser(tasks.namespace.to_contexts()).parse_argv(words)]


def test_every_default_session_is_checked() -> None:
    """What a plain `nox` runs is run for each pull request, and so is what needs more of a machine."""
    text = (ROOT / "noxfile.py").read_text()
    default = re.findall(r"(?m)^nox\.options\.sessions \+?= (\[.*?\])", text)
    wanted = {name for names in default for name in ast.literal_eval(names)} | {"browser", "engine"}

    assert wanted - {"summary"} == {shlex.split(line)[-1] for line in commands("checks:") if " nox " in line}


def test_every_environment_is_delivered_after_the_one_that_it_follows() -> None:
    """One job each, in an environment of that name; the first builds, and each needs the one before."""
    jobs = WORKFLOWS["deliver"]["jobs"]
    built = [line for line in commands("deliver:") if "inv build" in line]

    assert [(one.name, one.follows or "gates", one.name, delivers(one)) for one in REAL] == [
        (name, job["needs"], job["environment"], job["steps"][-1]["run"])
        for name, job in jobs.items()
        if "steps" in job
    ]
    assert ["./run inv build --push"] == built
    assert built[0] in [step.get("run") for step in jobs[REAL[0].name]["steps"]]


def test_every_environment_is_looked_at() -> None:
    """Drift is looked for in each, as itself and without its reviewers."""
    [job] = WORKFLOWS["drift"]["jobs"].values()

    assert [f"./run inv drift -e {one.name}" for one in REAL] == [
        line for line in commands("drift:") if " inv " in line
    ]
    assert "${{ matrix.name }}-drift" == job["environment"]


def test_ages_of_secrets_are_looked_at_each_week() -> None:
    """On one day of the week, and with the whole history, which alone tells them."""
    [job] = WORKFLOWS["rotation"]["jobs"].values()
    [schedule] = WORKFLOWS["rotation"][True]["schedule"]  # `on` is a boolean to YAML 1.1

    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    assert 0 == job["steps"][0]["with"]["fetch-depth"]
    assert ["./run nox -s rotation -- --format=github"] == list(commands("rotation:"))


def test_an_identity_is_given_to_one_step_of_its_environment() -> None:
    """The variable stands at the last step of a job of its environment, and nowhere else."""
    wanted = {
        f"deliver:{one.name}": {identity.VARIABLE: f"${{{{ secrets.{identity.VARIABLE} }}}}"} for one in REAL
    }
    text = "".join(re.sub(r"(?m)^#.*$", "", path.read_text()) for path in FILES)

    assert wanted == {name: job["steps"][-1]["env"] for name, job in JOBS.items() if name in wanted}
    assert 2 * len(REAL) == text.count(identity.VARIABLE)
    assert [one.name for one in REAL] == [JOBS[name]["environment"] for name in wanted]


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if "secrets." in str(job)])
def test_secrets_are_those_of_an_environment(name: str) -> None:
    """Only a step is given one, and only in a job whose environment of GitHub is open to main alone."""
    job = JOBS[name]

    assert job["environment"]
    assert "secrets." not in str({**job, "steps": [step for step in job["steps"] if "run" not in step]})
    assert "secrets." not in str([step["run"] for step in job["steps"] if "run" in step])


def test_delivery_waits_for_the_gates() -> None:
    """The first job calls gates.yml: what landed is judged before it is delivered. No secret is handed on."""
    gates = WORKFLOWS["deliver"]["jobs"]["gates"]

    assert {"name", "permissions", "uses"} == gates.keys()
    assert "./.github/workflows/gates.yml" == gates["uses"]
    assert "workflow_call" in WORKFLOWS["gates"][True]
    assert {"push": {"branches": ["main"]}} == WORKFLOWS["deliver"][True]


def test_a_pull_request_is_judged_by_what_it_cannot_edit() -> None:
    """One workflow alone runs for the target, for main alone, and it checks out the base by its SHA."""
    events = {name: workflow[True] for name, workflow in WORKFLOWS.items()}
    jobs = [WORKFLOWS["gates"]["jobs"][name] for name in ("loosened", "gates")]
    refs = {job["steps"][0]["with"]["ref"] for job in jobs}
    before = "github.event_name == 'push' && !github.event.created && github.event.before"

    assert {"gates": {"branches": ["main"]}} == {
        name: on["pull_request_target"] for name, on in events.items() if "pull_request_target" in on
    }
    assert [] == [name for name, on in events.items() if "workflow_run" in on]
    assert {f"${{{{ {before} || github.sha }}}}"} == refs
    assert jobs[0]["steps"][:-1] == jobs[1]["steps"][:-1]


def test_a_pull_request_meets_no_secret_and_no_cache() -> None:
    """What judges it is given a token that can read the contents, for one step, and restores nothing."""
    jobs = WORKFLOWS["gates"]["jobs"]
    text = (ROOT / ".github/workflows/gates.yml").read_text()

    assert [] == re.findall(r"\bsecrets\b|actions/cache|cache:|artifact", re.sub(r"(?m)#.*$", "", text))
    assert {"code-owners"} == {job["environment"] for job in jobs.values() if "environment" in job}
    assert (
        2
        == text.count("github.token")
        == sum("TOKEN" in step.get("env", {}) for job in jobs.values() for step in job["steps"])
    )


def test_the_required_check_is_never_skipped() -> None:
    """A skipped job would count as passed: it runs whatever became of the others, by the base's law if unsure."""
    job = WORKFLOWS["gates"]["jobs"]["gates"]

    assert (["loosened", "approval"], "${{ !cancelled() }}") == (job["needs"], job["if"])
    assert {"LAW": "${{ needs.approval.outputs.law || 'base' }}"} == job["steps"][-1]["env"]
    assert "failure()" == WORKFLOWS["gates"]["jobs"]["approval"]["if"]


def test_no_other_job_is_named_like_a_required_check() -> None:
    """A required check is known by its name alone, and one that passes is enough."""
    names = [job["name"] for name, job in EVERY.items() if name != "deliver:gates"]

    assert 1 == names.count("gates")
    assert 1 == names.count("loosened")


def test_each_commit_of_a_push_is_looked_at() -> None:
    """The sessions of a push begin where it does, as those of a pull request do."""
    step = WORKFLOWS["checks"]["jobs"]["nox"]["steps"][-1]

    assert "${{ github.event.pull_request.base.sha || github.event.before }}" == step["env"]["LOCKSTEP_BASE"]


def test_code_owners_own_what_judges() -> None:
    """Each part of the machinery and each file of rules has an owner, and no line comes after to take it away."""
    lines = (ROOT / ".github/CODEOWNERS").read_text().splitlines()
    owned = [line.split()[0].strip("/") for line in lines if line and not line.startswith("#")]
    wanted = {*PATTERNS, law.SCHEMA, law.ENVIRONMENTS, PLACE, ".sops.yaml", "secrets"} - {".github/workflows"}

    assert set() == wanted - set(owned)
    assert len(owned) == len(set(owned))
