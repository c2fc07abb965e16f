"""Whether a value that an expression found is a value, or only takes the place of one."""

import re
from collections.abc import Iterable
from itertools import pairwise
from urllib.parse import urlsplit

from ci.gates.finding import Rule
from ci.gates.leaks import rules
from ci.gates.leaks.patterns import Match
from ci.ground.schema import Key

LEAST = 6  # characters of what is assigned to a name that is not the schema's
LONG = 16  # characters that one line has at least, of several that are a secret
SHORT = 7  # letters and digits that may be left of a value around what is filled in later

# ${X}, $X, {{ x }}, ${{ x }}, {x}, <x>, %s, %(x)s, %X%: what is filled in later, and the beginning of such; not
# the {"x": …} of JSON.
_FILLED = re.compile(
    r"\$\{\{[^}]*\}\}|\{\{[^}]*\}\}|\$\{[^}]*\}|\$\([^)]*\)?|\$[A-Za-z_]\w*|\{(?!\s*\x22)[^{}\\]*\}|<[^<>]*>"
    r"|%\([^)]*\)[sd]|%[A-Za-z_]{2,}%|%[sdr]|\$?\{(?!\s*[\x22\\])[^{}]*$"
)
_GENERATED = re.compile(r"\{(?:secrets|uuid|random|token|os\.urandom)")
_META = "password|passwd|passphrase|pass|pwd|secret|token|key|credentials?|value|string|user|placeholder|hash"
_WORDS = re.compile(
    rf"""(?ix)
    (?:[a-z]+[-_ ])*(?:my|your|the|some|new|old|test|db|api|user|super)?(?:{_META})s?
    (?:[-_ ]?(?:here|goes[-_ ]here|1?2?3?4?))
    |(?:change|replace|fix|fill)[-_ ]?(?:me|it|this|in)!?|(?:to|do)-?(?:be|not)-?(?:set|done|tell|use)
    |todo|tbd|n/?a|none|null|nil|undefined|true|false|yes|no|required|optional|empty|unset|redacted|masked|hidden|sensitive|random
    |generated|example|sample|dummy|fake|foo(?:bar)?|bar|baz|qux|str|int|bytes|bool|any|object|canary
    |_*[a-z]+_[a-z]+|\#[0-9a-f]{{3,8}}|your[-_ ].*|[x*._0?-]{{2,}}|.*xxxx.*|.*(?:\*\*\*|\.\.\.|…).*
    """
)
# Where a value has no quotes, a reference in code: os.environ["X"], secrets.X, settings.password, get_password(…
_REFERENCE = re.compile(
    r"""(?x)
    (?:os|process\.env|secrets|vars|self|cls|config|settings|env|environ|vault|var|local|data|inputs)[.:\[]\S*
    |[rfb]{1,2}["'].*|[A-Za-z_][\w.]*[(\[].*|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+
    """
)
_NAME = re.compile(r"(?:[a-z_]+|[A-Z][a-z]+(?:[A-Z][a-z]+)*)[,)\]:]*")  # and a variable or a type
_WORD = re.compile(r"[a-z_]{1,15}")  # a token in the sense of a parser or a template, not of a lock
_SEALED = re.compile(r"ENC\[[A-Z0-9_]+,.*|\$(?:2[aby]|5|6|argon2id?)\$.*|sha(?:256|384|512)[:-].*")
_NAMES = re.compile(rb"\s*[\w.]+(?:\s*,\s*[\w.]+)*\s*,\s*")  # what is before the last name of a, b = 1, 2


class Judge:
    """Knows placeholders, references, and what the schema says of its keys: examples, and what fits them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = {key.name: key for key in keys}
        self.examples = {key.meta["example"] for key in self.keys.values()} | self.keys.keys()
        self.secret = [key.name for key in self.keys.values() if key.secret]

    def dismisses(self, match: Match, rule: Rule) -> bool:
        """Say whether a match is not a secret; `rule` is the rule that found it."""
        value = match.value.strip().strip("\"'`").rstrip(",;").strip()
        if rule is rules.AGE:
            return len(set(value)) <= len("XXX")
        if rule is rules.ASSIGNMENT and (len(value) < LEAST or _NAMES.fullmatch(match.before)):
            return True
        if rule is rules.ASSIGNMENT and "token" in match.name.lower() and _WORD.fullmatch(value):
            return True
        first = value.split()[0] if match.bare and value else value
        if self._stands_for_one(value) or self._stands_for_one(first):
            return True
        if match.bare and (_REFERENCE.fullmatch(first) or (not match.shell and _NAME.fullmatch(first))):
            return True
        key = self.keys.get(match.name)
        return (
            key is not None and key.secret and not (len(value) >= LONG if match.first else self._fits(key, value))
        )

    def _stands_for_one(self, value: str) -> bool:
        if value in self.examples or _SEALED.fullmatch(value) or _GENERATED.search(value):
            return True
        rest = _FILLED.sub("", value)
        if rest != value and len(re.sub(r"\W", "", rest)) <= SHORT:
            return True
        return all(_empty(part) for part in re.split(r"[,:]", rest) if part)

    def _fits(self, key: Key, value: str) -> bool:
        """Say whether a value could be the key's: not what the schema refuses, nor a URL with no password."""
        if "\\n" in value:  # several lines in a quoted string
            if max(map(len, value.split("\\n"))) < LONG:
                return False
            value = value.replace("\\r", "\r").replace("\\n", "\n")
        if "url" not in key.rules:
            return bool(_FILLED.search(value)) or key.problem(value) is None
        try:
            password = urlsplit(value).password
        except ValueError:
            return True
        return bool(password) and not self._stands_for_one(password or "")


def _empty(part: str) -> bool:
    plain = part.strip(" \"'`<>[](){}")
    signs = re.sub(r"\W", "", plain)
    steps = {ord(after) - ord(before) for before, after in pairwise(signs.rstrip("0123456789") or signs)}
    same = len(set(plain.lower())) <= 1 or steps == {1}  # xxxx, abcdefgh1, 12345678
    return same or bool(_WORDS.fullmatch(plain)) or bool(re.fullmatch(r"[A-Z]{2}X+", plain))
