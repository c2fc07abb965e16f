"""Whether the text of a value fits the rules of its key, by the standard library alone.

`ci/ground/schema.py` asks Cerberus the same question; a property test holds both answers equal. A service imports
this module when it starts, so it loads `re` only for keys whose rules need it.
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


# What a person does not see, and a program compares or sends: control characters but tab and line ends, spaces but
# the ordinary one, marks of direction, joiners, fillers, tags. A fixed list: that of Python grows with Unicode.
_UNSEEN = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200c"
    r"\u200e\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SYMBOLS = r"\u20e3\u2190-\u2bff\u3030-\u303d\u3297-\u3299\ufe0f\U0001f000-\U0001faff"  # emoji have joiners
_WEB = ("http", "https", "ws", "wss")


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
    if unseen(text):
        return "holds a character that cannot be seen"
    try:
        value = parse(rules["type"], text)
    except ValueError as error:
        return str(error)
    for rule, fits in _CHECKS.items():
        if rule in rules and not fits(rules[rule], value):
            return url_problem(rules[rule], text) if rule == "url" else explain(rule, rules[rule])
    return None


def explain(rule: str, bound: Any) -> str:
    """Return the words for a value that breaks a rule."""
    if rule == "allowed":
        return "is none of " + ", ".join(map(str, bound))
    return _WORDS[rule].format(bound)


def unseen(text: str) -> bool:
    """Whether a text holds a character that a person does not see."""
    if text.isascii() and text.isprintable():
        return False
    import re  # noqa: PLC0415, only for a text that may have some

    return re.search(rf"[{_UNSEEN}]|(?<![{_SYMBOLS}])[\u200d\ufe0e\ufe0f]", text) is not None


def url_problem(schemes: Sequence[str], text: str) -> str | None:
    """Say why a text is not a URL with a host that every client reads alike; None when it is one.

    RFC 3986, in the part of it on which urllib, SQLAlchemy, libpq, redis-py and WHATWG agree.
    """
    import re  # noqa: PLC0415, only for a key with this rule

    scheme, _, rest = text.partition("://")
    if scheme.lower() not in schemes or not rest:
        return "is not a URL that starts with " + " or ".join(f"{each}://" for each in schemes)
    if re.search("%(?![0-9A-Fa-f]{2})", rest):
        return "has a % without two hexadecimal digits: in a URL, % itself is written %25"
    if not re.fullmatch("[!#$%&'()*+,./0-9:;=?@A-Z_a-z~\\[\\]-]+", rest):
        return "has a character that no URL has: it is written as % and two hexadecimal digits"
    if not _is_text(rest):
        return "has a % whose hexadecimal digits are not text in UTF-8"
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    user, _, place = authority.rpartition("@")
    after = rest[len(authority) :]
    # SQLAlchemy looks for the end of a user who has no password up to the next / or :.
    misread = ":" not in user and "@" in after and (":" in place or not after.startswith("/"))
    if misread or re.search(r"[@\[\]]", user):
        return "has an @ that clients read in two ways: in a user or password, / ? # @ are written %2F %3F %23 %40"
    return _place_problem(place) or _rest_problem(scheme.lower(), after)


def _place_problem(place: str) -> str | None:
    """Say what is wrong with the host and the port of a URL."""
    import re  # noqa: PLC0415, only for a key with this rule

    match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(.*))?", place)
    if match is None:
        return "has a host or a port that clients read in two ways"
    host, port = match.groups()
    if not host:
        return "has no host"
    if port is not None and not (re.fullmatch("[1-9][0-9]{0,4}", port) and int(port) <= 65535):  # noqa: PLR2004
        return "has a port that is not a number from 1 to 65535"
    return _host_problem(host)


def _host_problem(host: str) -> str | None:
    import re  # noqa: PLC0415, only for a key with this rule

    if not host.startswith("["):
        name = re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", host)
        return None if name else "has a host that is not a name: letters, digits, - and _, with dots between them"
    from ipaddress import AddressValueError, IPv6Address  # noqa: PLC0415, only for such a host

    try:
        IPv6Address("" if "%" in host else host[1:-1])
    except AddressValueError:
        return "has a host in [ ] that is not an IPv6 address"
    return None


def _rest_problem(scheme: str, rest: str) -> str | None:
    """Say what is wrong with what follows the host of a URL: clients of databases take a host there, too."""
    if scheme in _WEB:
        return None
    from urllib.parse import parse_qsl  # noqa: PLC0415, only for such a URL

    if "#" in rest:
        return "has a # that clients read in two ways: it is written %23"
    again = {"host", "hostaddr", "port", "user", "username", "password", "passfile", "service", "servicefile"}
    if again.intersection(name.lower() for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)):
        return "names its host, port, user or password a second time, after the ?"
    return None


def _is_text(text: str) -> bool:
    """Whether what is written as % and two digits is UTF-8 that can be seen."""
    if "%" not in text:
        return True
    from urllib.parse import unquote_to_bytes  # noqa: PLC0415, only for such a URL

    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return False
    return not unseen(decoded) and {"\t", "\r", "\n"}.isdisjoint(decoded)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _matches(pattern: str, value: str) -> bool:
    """Whether Cerberus' `regex` accepts a value: it anchors the last alternative alone, at the end of a line."""
    import re  # noqa: PLC0415, only for a key with this rule

    return re.match(pattern if pattern.endswith("$") else f"{pattern}$", value) is not None


_CHECKS: dict[str, Callable[[Any, Any], bool]] = {  # in the order in which Cerberus sorts its errors
    "allowed": lambda allowed, value: value in allowed,
    "max": lambda bound, value: value <= bound,
    "maxlength": lambda bound, value: len(value) <= bound,
    "min": lambda bound, value: value >= bound,
    "minlength": lambda bound, value: len(value) >= bound,
    "regex": _matches,
    "url": lambda schemes, value: url_problem(schemes, value) is None,
}
