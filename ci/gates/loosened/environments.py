"""What config/environments.yaml allows and did not allow at the base."""

from collections.abc import Iterator, Mapping
from typing import Any

from ci.gates.finding import Finding, Rule, finding
from ci.gates.law import ENVIRONMENTS
from ci.gates.loosened import rules
from ci.ground.environments import TEMPLATE, Environment, Environments


def look(head: Environments, base: Environments) -> Iterator[Finding]:
    """Yield what is looser in the head's environments."""
    if head.project == TEMPLATE != base.project:
        yield _finding(
            rules.ENVIRONMENT, "", "the project is called as the template is, whose secrets have no age"
        )
    if head.registry != base.registry:
        yield _finding(rules.ENGINE, "", "images are at another registry")
    for name, old in base.by_name.items():
        new = head.by_name.get(name)
        if new is None:
            yield _finding(rules.ENVIRONMENT, name, "was an environment, and is not")
            continue
        for message in _traits(new, old):
            yield _finding(rules.ENVIRONMENT, name, message)
        if new.engine != old.engine:
            yield _finding(rules.ENGINE, name, f"is run by {new.engine}, and was by {old.engine}")
        elif new.in_git and (changed := sorted(_texts(new.settings).items() ^ _texts(old.settings).items())):
            settings = ", ".join(dict.fromkeys(where for where, _ in changed))
            yield _finding(rules.ENGINE, name, f"has other settings of its engine: {settings}")


def _traits(new: Environment, old: Environment) -> Iterator[str]:
    if old.protected and not new.protected:
        yield "was protected, and is not"
    if old.in_git and not new.in_git:
        yield "was kept in git, where the gates see its values, and is not"
    if old.follows and new.follows != old.follows:
        yield f"followed {old.follows}, and now {new.follows or 'nothing'}"
    if new.soak_minutes < old.soak_minutes:
        yield f"soaks for {new.soak_minutes} minutes, and did for {old.soak_minutes}"


def _texts(settings: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """Return the settings that are texts, such as addresses and images, by their path; numbers lead nowhere."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        path = f"{where}.{name}" if where else str(name)
        if isinstance(value, Mapping):
            found |= _texts(value, path)
        elif isinstance(value, str | list):
            found[path] = str(value)
    return found


def _finding(rule: Rule, name: str, message: str) -> Finding:
    return finding(rule, ENVIRONMENTS, message, key=name)
