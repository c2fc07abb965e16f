"""Whether the text of a value fits the rules of its key, by the standard library alone.

`ci/ground/schema.py` asks Cerberus the same question; a property test holds both answers equal. A service imports
this module when it starts, so it loads `re` and `urllib.parse` only for keys whose rules need them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_WORDS = {
    "max": "is above {}",
    "maxlength": "is longer than {} characters",
    "min": "is below {}",
    "minlength": "is shorter than {} characters",
    "regex": "does not match {}",
}


def parse(kind: str, text: str) -> str | int | float | bool:
    """Turn the text of a value into its type, strictly; a ValueError says what it is not."""
    if kind == "string":
        return text
    if kind == "boolean":
        if text not in ("true", "false"):
            raise ValueError("is neither true nor false")
        return text == "true"
    digits = text[1:] if text[:1] in ("+", "-") else text
    whole, point, fraction = digits.partition(".")
    if kind == "integer" and (point or not _is_decimal(whole)):
        raise ValueError("is not a whole number")
    if not _is_decimal(whole) or (point and not _is_decimal(fraction)):
        raise ValueError("is not a number")
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        raise ValueError("has too many digits") from None


def text(value: object) -> str:
    """Return the text of a value, as `parse` reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and "e" in repr(value):
        from decimal import Decimal  # noqa: PLC0415, only for 1e-05 and the like

        return format(Decimal(repr(value)), "f")
    return str(value)


def problem(rules: Mapping[str, Any], text: str) -> str | None:
    """Say what is wrong with the text of a value, without repeating it; None when it is good."""
    if not text:
        return "is empty"
    try:
        value = parse(rules["type"], text)
    except ValueError as error:
        return str(error)
    for rule, fits in _CHECKS.items():
        if rule in rules and not fits(rules[rule], value):
            return explain(rule, rules[rule])
    return None


def explain(rule: str, bound: Any) -> str:
    """Return the words for a value that breaks a rule."""
    if rule == "allowed":
        return "is none of " + ", ".join(map(str, bound))
    if rule == "url":
        return "is not a URL that starts with " + " or ".join(f"{scheme}://" for scheme in bound)
    return _WORDS[rule].format(bound)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _matches(pattern: str, value: str) -> bool:
    """Whether Cerberus' `regex` accepts a value: it anchors the last alternative alone, at the end of a line."""
    import re  # noqa: PLC0415, only for a key with this rule

    return re.match(pattern if pattern.endswith("$") else f"{pattern}$", value) is not None


def _is_url(schemes: Sequence[str], value: str) -> bool:
    from urllib.parse import urlsplit  # noqa: PLC0415, only for a key with this rule

    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return good and not any(character.isspace() for character in value)


_CHECKS: dict[str, Callable[[Any, Any], bool]] = {  # in the order in which Cerberus sorts its errors
    "allowed": lambda allowed, value: value in allowed,
    "max": lambda bound, value: value <= bound,
    "maxlength": lambda bound, value: len(value) <= bound,
    "min": lambda bound, value: value >= bound,
    "minlength": lambda bound, value: len(value) >= bound,
    "regex": _matches,
    "url": _is_url,
}
