"""A pull request cannot judge itself: gates.yml, line by line, over bare repositories and hostile commits.

The lines are the workflow's own. What the forge fills in is given here by the text of its expression, so that an
expression that changes fails these tests until somebody has looked at it.
"""

import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import checkouts

ROOT = checkouts.ROOT
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/gates.yml").read_bytes())
STRANGER = "age1zr0gj25pzq0fr0mdpztd70fmgdfnqrtuqt5c0kdqgpnlu5djadwqsd0qxh"
NUMBER = "7"


@dataclass(frozen=True)
class Forge:
    """A forge with one repository, and a machine of it where jobs run."""

    folder: Path
    fork: Path

    @property
    def origin(self) -> Path:
        """The repository on the forge, a bare one."""
        return self.folder / "acme/notify.git"

    def sha(self, revision: str = "HEAD") -> str:
        """Return the SHA of a revision of the fork."""
        words = ["git", "-C", str(self.fork), "rev-parse", revision]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def proposed(self) -> dict[str, str]:
        """Open a pull request with what the fork committed, and return what its event fills in."""
        checkouts.git(self.fork, "push", "-qf", str(self.origin), f"HEAD:refs/pull/{NUMBER}/head")
        return self._event(self.sha("main"), self.sha(), f"refs/pull/{NUMBER}/head")

    def pushed(self) -> dict[str, str]:
        """Push what the fork committed to main, and return what that event fills in."""
        before = self.sha("main")
        checkouts.git(self.fork, "push", "-q", str(self.origin), "HEAD:main")
        return self._event(before, self.sha(), self.sha())

    def _event(self, base: str, head: str, ref: str) -> dict[str, str]:
        return {
            "github.event_name == 'push' && github.event.before || github.sha": base,
            "github.event_name == 'push' && !github.event.created && github.event.before || github.sha": base,
            "github.event.pull_request.head.sha || github.sha": head,
            "github.server_url": f"file://{self.folder}",
            "github.repository": "acme/notify.git",
            "github.event.pull_request && format('refs/pull/{0}/head', github.event.pull_request.number)"
            " || github.sha": ref,
            "github.token": "a-token",
            "needs.approval.outputs.law || 'base'": "base",
        }

    def job(self, name: str, event: dict[str, str]) -> tuple[int, str]:
        """Run the steps of a job until one fails; return the last exit code and everything that was printed."""
        machine = self.folder / f"machine-{name}-{secrets.token_hex(4)}"
        workspace, home = machine / "workspace", machine / "home"
        home.mkdir(parents=True)
        variables = {key: filled(text, event) for key, text in WORKFLOW["env"].items()}
        variables |= {"EXAMINED": str(machine / "examined.git"), "PATH": os.environ["PATH"], "HOME": str(home)}
        code, output = 0, ""
        for step in WORKFLOW["jobs"][name]["steps"]:
            if "checkout" in step.get("uses", ""):
                assert {"ref", "fetch-depth", "persist-credentials"} == set(step["with"])
                check_out(self.origin, workspace, filled(step["with"]["ref"], event))
            if code == 0 and "run" in step:
                own = {key: filled(text, event) for key, text in step.get("env", {}).items()}
                done = subprocess.run(
                    ["bash", "-e", "-c", step["run"]],
                    cwd=workspace,
                    env=variables | own,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                code, output = done.returncode, output + done.stdout + done.stderr
        return code, output


def filled(text: str, event: dict[str, str]) -> str:
    """Fill in the expressions of a text; a KeyError for one that is not known."""
    parts = text.split("${{ ")
    return parts[0] + "".join(
        event[expression] + rest for expression, _, rest in (p.partition(" }}") for p in parts[1:])
    )


def check_out(origin: Path, workspace: Path, ref: str) -> None:
    """Do what actions/checkout does, on a machine that `run` has set up before."""
    checkouts.git(origin, "clone", "-q", "--no-checkout", f"file://{origin}", str(workspace))
    checkouts.git(workspace, "checkout", "-q", "--detach", ref)
    (workspace / ".tools").symlink_to(ROOT / ".tools")
    programs = workspace / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "uv", "nox"):
        (programs / name).symlink_to(Path(sys.executable).parent / name)
    (workspace / ".venv/made-for").write_text(f"{workspace}\n")
    shutil.copy(workspace / "ci/requirements.txt", workspace / ".venv/made-of")


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """A forge that has this repository, a team's by now, and a fork of it on a branch."""
    source = checkouts.clone(tmp_path / "source").repo.root
    made = Forge(tmp_path, tmp_path / "fork")
    checkouts.git(source, "restore", ".")
    checkouts.git(source, "clone", "-q", "--bare", ".", str(made.origin))
    checkouts.git(source, "clone", "-q", str(made.origin), str(made.fork))
    checkouts.git(made.fork, "switch", "-qc", "change")
    return made


def commit(forge: Forge, **files: str) -> None:
    """Commit files by their places, in which `__` is a slash."""
    for name, text in files.items():
        write(forge, name.replace("__", "/"), text)
    checkouts.git(forge.fork, "add", "-Af")
    checkouts.git(forge.fork, "commit", "-qm", "a change")


def write(forge: Forge, place: str, text: str) -> None:
    path = forge.fork / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def edit(forge: Forge, place: str, old: str, new: str) -> None:
    text = (forge.fork / place).read_text()
    assert old in text
    (forge.fork / place).write_text(text.replace(old, new, 1))


def mark(folder: Path, place: str) -> str:
    """Return a shell line that leaves a marker with a place's name."""
    return f"touch '{folder}/{place.replace('/', '_')}'"


def hostile(forge: Forge, markers: Path, password: str) -> None:
    """Edit gates, workflows, tasks, tools, exceptions, schema, recipients and a secret, in one commit."""
    tree = forge.fork
    for place in ("noxfile.py", "tasks.py", "ci/__init__.py", "ci/cli/gate.py", "ci/gates/leaks/__init__.py"):
        path = tree / place
        body = path.read_text() if path.exists() else ""
        path.write_text(f"import os\nos.system({mark(markers, place)!r})\n{body}")
    for place in ("sitecustomize.py", "yaml.py", "nox.py", "tests/conftest.py"):
        write(forge, place, f"import os\nos.system({mark(markers, place)!r})\n")
    for place in (
        "run",
        ".tools/bin/gitleaks",
        ".tools/bin/sops",
        ".venv/bin/python",
        ".venv/bin/nox",
        "git",
        "nox",
    ):
        write(forge, place, f"#!/bin/sh\n{mark(markers, place)}\nexit 0\n")
        (tree / place).chmod(0o755)
    write(forge, ".github/workflows/gates.yml", "on: pull_request\njobs:\n  gates:\n    steps: [{run: 'true'}]\n")
    write(forge, ".gitattributes", "* filter=x diff=x\n*.env merge=x\n")
    write(forge, ".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = file:///nowhere\n')
    write(forge, "docs/setup.txt", f"SMTP_PASSWORD={password}\n")
    entry = "{rule: leaks/schema-key, place: docs/setup.txt, reason: looked at and accepted, expires: 2999-01-01}"
    write(forge, "config/exceptions.yaml", f"exceptions:\n- {entry}\n")
    schema = (tree / "config/schema.yaml").read_text()
    start = schema.index("  SMTP_PASSWORD:")
    write(forge, "config/schema.yaml", schema[:start] + schema[start:].replace("      secret: true\n", "", 1))
    edit(forge, "config/prod.env", "\n", f"\nSMTP_PASSWORD={password}\n")
    edit(forge, "config/environments.yaml", "    protected: true\n", "")
    with (tree / ".sops.yaml").open("a") as rules:
        rules.write(f"      - {STRANGER}\n")
    commit(forge)


def test_a_pull_request_that_rewrites_its_judges_is_stopped(forge: Forge, tmp_path: Path) -> None:
    """Everything that it changed to get past the gates is named, its secret is found, and nothing of it runs."""
    markers, password = tmp_path / "markers", secrets.token_urlsafe(24)
    markers.mkdir()
    hostile(forge, markers, password)
    event = forge.proposed()

    (compared, loosened), (judged, output) = forge.job("loosened", event), forge.job("gates", event)

    assert [] == list(markers.iterdir())
    assert (True, True) == (compared != 0, judged != 0)
    for rule in ("exception", "secret", "environment", "recipient", "program"):
        assert f"loosened/{rule}" in loosened
    for rule in ("leaks/schema-key", "parity/secret-in-plain", "loosened/recipient", "loosened/program"):
        assert rule in output
    assert password not in loosened + output
    assert [] == [path for path in tmp_path.glob("machine-*/**/setup.txt") if path.name == "setup.txt"]


def test_the_hostile_commit_would_run(forge: Forge, tmp_path: Path) -> None:
    """Checked out and called, the same commit leaves its marker: that none is left elsewhere means something."""
    markers, workspace = tmp_path / "markers", tmp_path / "workspace"
    markers.mkdir()
    hostile(forge, markers, secrets.token_urlsafe(24))
    checkouts.git(forge.fork, "clone", "-q", "--branch", "change", str(forge.fork), str(workspace))

    for words in (["./run", "nox", "-s", "loosened"], [sys.executable, "-m", "ci.gates.loosened", "--base=HEAD"]):
        subprocess.run(words, cwd=workspace, capture_output=True, check=False)

    assert {"run", "ci___init__.py", "sitecustomize.py"} & {path.name for path in markers.iterdir()}
    assert len(list(markers.iterdir())) > 1


def test_an_approval_lets_rules_in_and_no_secret(forge: Forge, tmp_path: Path) -> None:
    """A code owner who approves too much lets the head's rules count; what is wrong by these is still stopped."""
    markers, password = tmp_path / "markers", secrets.token_urlsafe(24)
    markers.mkdir()
    hostile(forge, markers, password)
    event = {**forge.proposed(), "needs.approval.outputs.law || 'base'": "head"}

    code, output = forge.job("gates", event)

    assert [] == list(markers.iterdir())
    assert code != 0
    assert "leaks/schema-key" in output


def test_a_good_pull_request_passes(forge: Forge) -> None:
    """A change that loosens nothing needs nobody."""
    commit(forge, docs__note="a note\n", app__note="")
    event = forge.proposed()

    (compared, loosened), (judged, output) = forge.job("loosened", event), forge.job("gates", event)

    assert (0, 0) == (compared, judged), loosened + output


def test_a_looser_rule_passes_when_it_was_approved(forge: Forge) -> None:
    """The first job fails, so that a code owner is asked; by the law of the head the gates pass."""
    commit(forge, docs__CODEOWNERS="* @acme/owners\n")
    event = forge.proposed()

    compared, loosened = forge.job("loosened", event)
    before, _ = forge.job("gates", event)
    after, output = forge.job("gates", {**event, "needs.approval.outputs.law || 'base'": "head"})

    assert (True, True, 0) == (compared != 0, before != 0, after), loosened + output


def test_a_push_is_judged_commit_by_commit(forge: Forge) -> None:
    """A secret that was clear in a commit on the way stops what came after it, although the end is clean."""
    sealed = (forge.fork / "secrets/prod.enc.env").read_text()
    name, _, _ = sealed.partition("=")
    commit(forge, secrets__prod_enc_env="")
    checkouts.git(forge.fork, "reset", "-q", "--hard", "main")
    write(forge, "secrets/prod.enc.env", f"{name}=hunter2\n{sealed.partition(chr(10))[2]}")
    commit(forge)
    write(forge, "secrets/prod.enc.env", sealed)
    commit(forge)

    code, output = forge.job("gates", forge.pushed())

    assert code != 0
    assert "sealing/plaintext" in output
