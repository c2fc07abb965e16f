"""A job of the product that gives out secrets: a program of one request, JSON on stdin, JSON on stdout.

docs/providers.md says what it is asked and what it answers. It runs on this machine, with the product's packages
and a clean environment; the values reach it through stdin alone, and what it prints is shown without them.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ci.ground import command, errors, services
from ci.ground.redaction import SHORTEST_LINE, Redaction
from ci.ground.repo import Repo
from ci.rotation.providers import Job
from runtime import Secret

SECONDS = 120  # for one request
LAST_LINES = 10


@dataclass(frozen=True)
class Provider:
    """The job of this name; by `variables` it finds the product's packages."""

    repo: Repo
    name: str
    variables: Mapping[str, str]
    gap = ""

    def make(self, job: Job) -> Secret:
        """Ask for a new value."""
        answer = self._ask(job, "make")
        if not isinstance(answer.get("value"), str) or not answer["value"]:
            raise self._fault("answered make without a value", 'it prints {"value": "…"}')
        return Secret(answer["value"])

    def admit(self, job: Job, new: Secret) -> None:
        """Ask to make a value valid."""
        self._ask(job, "admit", new=new)

    def admits(self, job: Job, value: Secret) -> bool | None:
        """Ask whether a value is valid."""
        answer = self._ask(job, "admits", value=value)
        if "valid" not in answer or not isinstance(answer["valid"], bool | None):
            raise self._fault("answered admits without valid", 'it prints {"valid": true}, false or null')
        valid: bool | None = answer["valid"]
        return valid

    def revoke(self, job: Job, value: Secret, by: Secret) -> Secret:
        """Ask to make a value invalid; what stays is `by`, unless the answer holds what is left of it."""
        answer = self._ask(job, "revoke", value=value, by=by)
        left = answer.get("value", by.reveal())
        if not isinstance(left, str) or not left:
            raise self._fault("answered revoke with a value that is not a text", 'it prints {} or {"value": "…"}')
        return Secret(left)

    def sweep(self, job: Job) -> None:
        """Ask to revoke what was lost."""
        self._ask(job, "sweep")

    def _ask(self, job: Job, ask: str, **values: Secret) -> Mapping[str, Any]:
        """Return the answer to one request; ProviderError, or KeyRefusedError, when it is not one."""
        secrets = {"old": job.old, **values}
        request = {
            "ask": ask,
            "environment": job.environment,
            "key": job.key,
            "tag": job.tag,
            "leaked": job.leaked,
            "plain": self._plain(job),
            **{name: value.reveal() for name, value in secrets.items()},
        }
        inherited = {name: os.environ[name] for name in self._about.inherits if name in os.environ}
        result = self._run(json.dumps(request).encode(), inherited, ask)
        answer = _object(result.stdout)
        if answer is not None and not result.code:
            return answer
        given = [Secret(value) for value in inherited.values() if len(value) >= SHORTEST_LINE]
        redaction = Redaction([*secrets.values(), *given])
        said = redaction.text(result.stderr.decode(errors="replace")).splitlines()[-LAST_LINES:]
        if ask == "make" and said:
            said = ["what it printed may hold the new value, and is not shown"]
        if answer is None:
            what = "something else than one JSON object" if result.stdout.strip() else "nothing"
            hint = "docs/providers.md says what a provider prints; everything else belongs on stderr"
            raise self._fault(f"answered {ask} with {what}, exit code {result.code}", hint, said)
        kind = errors.KeyRefusedError if answer.get("refused") is True else errors.ProviderError
        message = redaction.text(str(answer.get("error") or f"the job {self.name} failed with {result.code}"))
        hint = redaction.text(str(answer.get("hint") or "the same command goes on when it is fixed"))
        raise kind(message, hint, said)

    def _run(self, request: bytes, inherited: Mapping[str, str], ask: str) -> command.Result:
        argv = self._about.command
        # A deploy follows, which refuses a working tree with files that its commit does not have.
        env = {**self.variables, **inherited, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            return command.attempt(argv, input=request, env=env, cwd=self.repo.root, timeout=SECONDS, whole=True)
        except errors.ToolMissingError:
            hint = "config/schema.yaml has its command"
            raise self._fault(f"cannot be started, there is no program {argv[0]}", hint) from None
        except errors.CommandError:
            hint = "is what it asks reachable from here? The same command goes on"
            raise self._fault(f"did not answer {ask} within {SECONDS:g} s", hint) from None

    @property
    def _about(self) -> services.Job:
        return self.repo.schema.jobs[self.name]

    def _plain(self, job: Job) -> dict[str, str]:
        return {key.name: job.plain[key.name] for key in self.repo.schema.of(self.name) if key.name in job.plain}

    def _fault(self, what: str, hint: str, detail: list[str] | None = None) -> errors.ProviderError:
        return errors.ProviderError(f"the job {self.name} {what}", hint, detail or ())


def _object(printed: bytes) -> Mapping[str, Any] | None:
    """Return the JSON object that was printed, None for anything else."""
    try:
        document = json.loads(printed)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
