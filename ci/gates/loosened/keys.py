"""What config/schema.yaml allows and did not allow at the base."""

from collections.abc import Iterator

from ci.gates.finding import Finding, Rule, finding
from ci.gates.law import SCHEMA
from ci.gates.loosened import rules
from ci.ground.schema import Key, Schema

_LOWER, _UPPER = ("min", "minlength"), ("max", "maxlength")
_TRAITS = ("same_everywhere", "differs_everywhere")


def look(head: Schema, base: Schema) -> Iterator[Finding]:
    """Yield what is looser in the head's schema."""
    for name, old in base.keys.items():
        new = head.keys.get(name)
        if new is not None:
            yield from (_finding(rule, name, message) for rule, message in _key(new, old))
        elif old.secret:
            yield _finding(rules.SECRET, name, "was secret, and is no longer in the schema")
    for place in head.settings:
        if place not in base.settings:
            yield _finding(rules.SETTINGS, "", f"{place} may now read the environment by itself")
    for name in head.jobs:
        yield from _job(name, head, base)


def _job(name: str, head: Schema, base: Schema) -> Iterator[Finding]:
    job, old = head.jobs[name], base.jobs.get(name)
    for word in job.inherits:
        if old is None or word not in old.inherits:
            yield _finding(rules.SETTINGS, "", f"the job {name} now inherits {word} from a person's shell")
    more = sorted(set(job.keys) - set(old.keys if old else ()))
    if more and any(key.secret for key in head.of(name)):
        yield _finding(rules.READERS, "", f"the job {name} now gets the secrets of {', '.join(more)}")


def _key(new: Key, old: Key) -> Iterator[tuple[Rule, str]]:
    if old.secret and not new.secret:
        yield rules.SECRET, "was secret, and is not"
    if old.required and not new.required:
        yield rules.OPTIONAL, "was required, and is optional"
    if new.rules.get("nullable") and not old.rules.get("nullable") and not old.required:
        yield rules.OPTIONAL, "can be null, and could not be"
    yield from ((rules.VALUES, message) for message in _values(new, old))
    if (new.secret or old.secret) and (more := set(new.services) - set(old.services)):
        yield rules.READERS, f"is secret, and {', '.join(sorted(more))} gets it now"
    term, before = new.meta.get("rotate_days"), old.meta.get("rotate_days")
    if before and (term is None or term > before):
        yield rules.AGE, f"had to be rotated after {before} days, and now {f'after {term}' if term else 'never'}"
    for trait in _TRAITS:
        if old.meta.get(trait) and not new.meta.get(trait):
            yield rules.EVERYWHERE, f"had {trait}"
    if new.secret and new.meta.get("same_everywhere") and not old.meta.get("same_everywhere"):
        yield rules.EVERYWHERE, "is secret, and may now be the same in every environment"
    if old.several and not new.several:
        yield rules.EVERYWHERE, "was several values, of which each was compared"


def _values(new: Key, old: Key) -> Iterator[str]:
    """Yield each rule that admits more. A regex that is another one may, and so may another type than text was."""
    kind, before = new.rules["type"], old.rules["type"]
    if before not in (kind, "string"):
        yield f"is of type {kind}, and was {before}"
    for rule, limit in old.rules.items():
        value = new.rules.get(rule)
        if value is None:
            if rule in ("regex", "allowed", "url", *_LOWER, *_UPPER):
                yield f"has no {rule} any more"
        elif rule == "regex" and value != limit:
            yield "has another regex"
        elif (rule in _LOWER and value < limit) or (rule in _UPPER and value > limit):
            yield f"has {rule} {value}, and had {limit}"
        elif rule in ("allowed", "url") and (more := [word for word in value if word not in limit]):
            yield f"has more in {rule}: {', '.join(map(str, more))}"


def _finding(rule: Rule, key: str, message: str) -> Finding:
    return finding(rule, SCHEMA, message, key=key)
