"""Names and values in text of any kind, line by line: assignments, calls, headers, URLs, command lines, tables.

Only lines that have a word of a secret are read closely. What is found here is a candidate; judge.py decides.
"""

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate, pairwise

from ci.gates.finding import Rule
from ci.gates.leaks import rules, values
from ci.gates.leaks.judge import Candidate
from ci.gates.leaks.names import TRIGGER, Kind, kind

# Files of programs: a value without quotes is an expression there.
_CODE = re.compile(
    r"(?i)\.(?:py[iwx]?|[cm]?[jt]sx?|go|java|kts?|scala|[ch](?:pp|xx|c|h)?|cc|cs|rb|erb|php\d?|p[lm]|rs|swift|mm?|dart|lua|r|jl|exs?|erl|hs"
    r"|clj[cs]?|groovy|gradle|vb|fsx?|vue|svelte|html?|s?css|less|proto|graphql|ipynb|sol|zig|nim|ml|el|lisp|tsx|j2py|jinja2?html|rst|diff|patch|cshtml|jsp|aspx?)$"
)
_LITERAL = re.compile(
    r"(?i)(?:\.(?:env\w*|ya?ml|ini|cfg|conf\w*|cnf|properties|toml|sh|bash|zsh|fish|ksh|profile|csv|tsv|list|ps1|bat|cmd|service|sql|netrc|pgpass|npmrc|pypirc"
    r"|tfvars|rc|http|rest|mk|dockerfile)|(?:^|/)(?:\.env[\w.-]*|[\w.-]*Dockerfile[\w.-]*|\.\w+rc|Makefile|Procfile|\.netrc|\.pgpass|credentials|config))$"
)
# A line without any of these, in lower case, has nothing that is looked for.
_WORDS = (
    (
        f"{TRIGGER}|identified|curl|redis-cli|mysql|kty|login|signin|sign_in|create_user|createuser|add_user|adduser|connect"
        "|machine|openssl|acl|user |basic|age-|sig=|default|value|securestring|://|-p|-u"
    )
    .encode()
    .split(b"|")
)
_IDENT = re.compile(rf"(?i)(?<![\w.-])(?:--)?[\w.$@-]{{0,120}}?(?:{TRIGGER})[\w.-]{{0,120}}")
_Q = r"""["'`]"""
_QUOTED = r"""(?:\\\\?"(?P<d0>[^"\\\n]+)\\\\?"|\"{3}(?P<d4>[^"\n]+)\"{3}|"(?P<d1>(?:[^"\\\n]|\\.)*)"|\\'(?P<d5>[^'\\\n]+)\\'|'(?P<d2>(?:[^'\\\n]|\\.)*)'|`(?P<d3>[^`\n]+)`|&quot;(?P<d6>[^&]+)&quot;)"""
# Possessive: what wraps a value is never read in a second way, which could take for ever.
_WRAP = (
    r"(?>(?:new\s{1,9})?[A-Za-z_][\w.:<>]{0,60}?(?:[Ss]ecret\w{0,30}|[Ss]tring\w{0,30}|[Pp]assword\w{0,30}|[Tt]oken\w{0,30}|[Bb]ytes\w{0,30}|from|str|Some|b64\w{0,30}|[Qq]uote\w{0,30}|[Cc]har\w{0,30}|[Cc]redential\w{0,30}|[Vv]alue\w{0,30}|literal|[Ss]ensitive\w{0,30})"
    r"(?:::from)?\s{0,9}\(\s{0,9}(?:\w{1,40}\s{0,9}=\s{0,9})?|\[\]byte\(\s{0,9}|\(\s{0,9}|\[\s{0,9}|\{\s{0,9}|@|&(?!quot;)|\$|[bBrRuUfFLN]{1,2}(?=[\"'`])|!!\w+\s{1,9}|!\w+\s{1,9}){0,8}+"
)
# From the end of a name to its value.
_AFTER = re.compile(
    rf"""(?x)
    (?P<close>(?:\\{{0,4}}{_Q}|&quot;|\]|\)|\*\*|__|</?[a-z]{{1,20}}>|\}}){{0,8}})
    (?:
      (?P<assign>\s{{0,40}}(?:\?|!)?(?::\s{{0,40}}[\w.\[\]|<>?,\ &]{{1,80}}?|\s{{1,40}}(?:string|str|String|\w{{1,40}}\s{{0,40}}\*|char\s{{0,40}}\w*\[\d*\]|std::string|\[\]byte|varchar\(\d+\)))?
        \s{{0,40}}(?:=>|:=|===?|!==?|\?\?=|\|\|=|\+=|<-|->|=)\s{{0,40}})
      |(?P<colon>\s{{0,40}}:(?:\*\*|__)?\s{{0,40}})
      |(?P<comma>\s{{0,40}},\s{{0,40}}(?:\w{{1,40}}\s{{0,40}}=\s{{0,40}}|value\s{{0,40}}:\s{{0,40}})?)
      |(?P<table>\s{{0,40}}\|\s{{0,40}})
      |(?P<call>\s{{0,40}}\(\s{{0,40}})
      |(?P<element>>\s{{0,40}}(?:<!\[CDATA\[)?)
      |(?P<attribute>\s{{1,40}}(?:value|content|default|val)\s{{0,40}}[=:]\s{{0,40}})
      |(?P<is>\s{{1,40}}(?:is|was|are|to|as|of|be)\s{{0,40}}:?\s{{1,40}})
      |(?P<gap>\t\s{{0,40}}|\s{{1,40}})
    )
    (?:{_WRAP}{_QUOTED}|(?P<bare>[^\s"'`\\][^\s"'`]*))
    """
)
_DEFAULT = re.compile(
    r"""(?x)\$\{\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?::?[-=]|:)\s*(?P<v1>[^{}\s"']+|"[^"]*"|'[^']*')\s*\}
    |\|\s*default\(?\s*(?P<q>["'])(?P<v2>[^"']+)(?P=q)
    |default\s+(?P<q3>["'])(?P<v3>[^"']+)(?P=q3)\s*[})|.]
    """
)
_FALLBACK = re.compile(
    rf"""(?x)(?:\bor\b|\|\||\?\?|\?:)\s*[a-z]?(?:"(?P<v1>[^"\n]+)"|'(?P<v2>[^'\n]+)'|`(?P<v5>[^`\n]+)`)
    |(?:get|env|getenv|environ|fetch|config|get_or|getOrDefault|getProperty|str|lookup|default|getEnv|GetEnv|Getenv\w*|getenv\w*|get_env|env_or\w*|decouple\w*)
      \s*\(\s*{_Q}[\w.:-]+{_Q}\s*,\s*(?:default\s*[=:]\s*)?[a-z]?(?:"(?P<v3>[^"\n]+)"|'(?P<v4>[^'\n]+)')
    |\?\s{{0,40}}{_Q}?[\w.]{{0,60}}{_Q}?\s{{0,40}}:\s{{0,40}}(?:"(?P<v6>[^"\n]+)"|'(?P<v7>[^'\n]+)')\s*[;,)]?\s*$
    """
)
_NEXT = re.compile(
    r"""^[ \t]*(?:[-+>#*/]+[ \t]+)?(?:[bru]?(?:"(?P<d1>[^"\n]+)"|'(?P<d2>[^'\n]+)'|`(?P<d3>[^`\n]+)`)[ \t]*[,;)\]}+\\.]*|(?P<bare>\S+))[ \t\r]*$"""
)
_OPENED = re.compile(
    r"""(?:\\?["'`]|\])*\s*(?:(?::\s*\w+\s*)?(?:=>|:=|=|:))\s*(?:\w*\(|\[|\{|\\|\|[-+0-9]*|>[-+0-9]*|<<[-~]?['"]?\w+['"]?|"{3}|'{3}|["'`](?P<part>[^"'`\n]*))?\s*$"""
)
_BLOCK = re.compile(r"[|>][-+0-9]*\s*$")
_PAIR_NAME = re.compile(
    r"""(?i)(?:\b(?:name|key|id|variable|field|header|property|param\w*|env)["']?\s*[:=]\s*|\bname=|variable\s+)\\?["']?(?P<name>[\w.$-]+)\\?["']?"""
)
_PAIR_VALUE = re.compile(
    rf"""(?i)["']?\b(?P<word>value|default|val|content|stringvalue|string_value|default_value|defaultvalue|current_value)\\?["']?\s*[:=]\s*(?:{_QUOTED}|(?P<bare>[^\s"'`,]+))"""
)
_SHELL = re.compile(r"(?:.*[\s;&|({\"'`])?(?:export|ENV|ARG|-e|--env|--set|set|-|SET|setx)?\s*")
_EXPORTED = re.compile(
    r".*(?:\b(?:export|ENV|ARG|setx?|SET)\s+|(?:-e|--env|--set)[ =]+[\"']?|[\"'`])$"
)  # the same in a program

_URL = re.compile(
    r"""(?i)\b(?P<name>[a-z][a-z0-9+.-]{1,30}://(?P<user>[^\s"'`<>/:@?#]*)):(?P<v>(?:(?!://)[^\s"'`<>])+)@(?P<host>\$?[\w{(\[%<.-][^\s"'`<>/?#,;]*)"""
)
_HEADER = re.compile(
    r"(?i)(?P<own>authorization[\w-]{0,40}\\?[\"'`]?\]?\)?\s{0,40}[:=,]?>?\s{0,40}[a-z]?\\?[\"'`]?\s{0,40})?\b(?P<scheme>bearer|basic|token|apikey|digest|key|jwt|bot|negotiate)(?:\s{1,40}|%20|:\s{0,40})(?P<v>[^\s\"'`\\,;<>)]{8,})"
)
_AGE = re.compile(r"(?P<name>AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9]+)-(?:PQ-)?1)(?P<v>[0-9A-Z]{16,})")
_LOGIN = re.compile(
    rf"""(?ix)(?P<name>\w{{0,40}}BasicAuth\w{{0,40}}|\b(?:log_?in|sign_?in|auth(?:enticate|entication)?|connect|basic_?auth\w*|credentials?|http_?basic\w*|userpass\w*|with_?auth|set_?auth|networkcredential|usernamepassword\w*|add_?user|create_?user|register))
    (?:\(|\s*[=:]\s*(?:\(|\[|\{{)?\s*)\s*[a-z]?\\?{_Q}(?P<user>[^"'`\n\\]*)\\?{_Q}\s*,\s*(?:{_Q}[^"'`\s@]*@[^"'`\s@]*{_Q}\s*,\s*)?[a-z]?{_QUOTED}"""
)
_PGPASS = re.compile(
    r"(?m)^(?P<name>[A-Za-z0-9.*_-]+:(?:[0-9]{2,5}|[*]):[A-Za-z0-9_*-]+:[A-Za-z0-9_*.-]+:)(?P<v>[^\s:]{4,})[ \t\r]*$"
)
_NETRC = re.compile(
    r"(?i)\b(?P<name>machine[ \t]+[^ \t\n]+|default)\s+login\s+[^ \t\n]+\s+password\s+(?P<v>[^\s]{4,})"
)
_DOCKER = re.compile(r'(?P<name>"auth")\s*:\s*"(?P<v>[A-Za-z0-9+/=]{12,})"')
_SQL = re.compile(
    r"(?i)\b(?P<name>password(?:[ \t]+for[ \t]+\S+)?|identified\s{1,40}(?:with\s{1,40}[\w'\"]+\s{1,40})?(?:by|as)(?:\s{1,40}password)?|passwd)\s{0,40}(?:=|\()?\s{0,40}[EN]?'(?P<v>(?:[^'\n]|'')+)'"
)
_ENV = re.compile(
    r"^\s*(?:ENV|ARG)[ \t]+(?P<name>[A-Za-z_]\w*)[ \t]+(?:\"(?P<v1>[^\"\n]+)\"|'(?P<v2>[^'\n]+)'|(?P<v3>[^\s=]+))"
)
_ARG = r"""(?:"(?P<v1>[^"\n]+)"|'(?P<v2>[^'\n]+)'|(?P<v3>[^\s"'`;|&)\]]+))"""
_OPTIONS = tuple(
    re.compile(before + _ARG)
    for before in (
        r"""(?i)(?:^|[\s"'`\[(])(?P<name>--?(?:[a-z-]*password|[a-z-]*passwd|passphrase|[a-z-]*token|[a-z-]*secret|api-?key|requirepass|masterauth|rootpass|storepass|keypass|pass|pwd))(?:=|[ \t]+|["'`][ \t]*,[ \t]*)""",
        r"(?i)\b(?P<name>requirepass|masterauth|ldappw|bindpw|rootpw)[ \t]+",
        r"(?P<name>ConvertTo-SecureString)[ \t]+(?:-String[ \t]+)?",
        r"(?P<name>sshpass)[ \t]+-p[ \t]*",
        r"(?P<name>redis-cli|valkey-cli)\b[^\n|;]{0,300}?[ \t](?:-a|--pass)[ \t]+",
        r"(?P<name>(?:docker|podman|helm registry|oras|skopeo|buildah|crane|nerdctl|az|oc|argocd|vault|npm|registry)[ \t]+(?:auth[ \t]+)?login)\b[^\n|;]{0,300}?[ \t](?:-p|--password)[ \t=]+",
        r"(?P<name>(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mysqlimport))\b[^\n|;]{0,300}?[ \t]-p(?=\S)",
        r"(?P<name>(?:mongo(?:sh|dump|restore)?|sqlcmd|rabbitmqadmin|cqlsh|clickhouse-client|influx|isql|ldapsearch|ldapmodify|ldapadd|bcp))\b[^\n|;]{0,300}?[ \t](?:-p|-P|-w|--password)[ \t=]+",
        r"(?P<name>(?:zip|unzip|7z|7za|rar|unrar))\b[^\n|;]{0,300}?[ \t](?:-P[ \t]+|-p)(?=\S)",
        r"(?P<name>-pass(?:in|out)?[ \t]+pass:|(?<![\w/])pass:(?=\S*\d))",
        r"(?P<name>htpasswd)[ \t]+-\w*b\w*[ \t]+(?:\S+[ \t]+)?\S+[ \t]+",
        r"(?P<name>(?:rabbitmqctl|rabbitmq)\b[^\n]{0,300}?(?:add_user|change_password)[ \t]+\S+)[ \t]+",
        r"(?i)\buser[ \t]+(?P<name>\S+)[ \t]+(?:on|off)\b[^\n]{0,300}?[ \t]>",
    )
)
# A line without any of these has none of the options.
_OPTION_WORDS = ("-", "requirepass", "masterauth", "ldappw", "bindpw", "rootpw", "pass:", "rabbitmq", "user")
_CURL = re.compile(
    r"""(?P<name>\b(?:curl|http|https|wget|xh)\b[^\n|;]{0,300}?[ \t](?:-u|--user|--proxy-user|-a|--auth|-U)[ \t=]*)["']?(?P<user>[^\s"':]*):(?P<v>[^\s"']+)"""
)
_QUERY = re.compile(
    r"(?i)[?&;](?P<name>x-amz-signature|x-goog-signature|x-amz-security-token|signature|sig|access_token|auth_token|api_?key|apikey|token|secret|client_secret|key|password|pwd|auth)=(?P<v>[^&\s\"'`<>;#)]{12,})"
)
_CONNECTION = re.compile(
    r"(?i)[;\"'(][ \t]*(?P<name>password|pwd|accountkey|sharedaccesskey|sharedsecret|accesskey|user[ \t]password)[ \t]*=[ \t]*(?P<v>(?:\{[^}]*\})|[^;\"'`\s]{4,})(?=[;\"'`\s]|$)"
)

_RULER = re.compile(
    r"\s{0,40}\|?[ \t]*+:?-{2,}+:?[ \t]*+(?:\|[ \t]*+:?-{2,}+:?[ \t]*+)*+\|?\s*+"
)  # of a Markdown table
AHEAD = 7  # lines, from that of a name on, in which its value may be
_NEAR = 400  # characters around a name in which its value is looked for


class Lines:
    """Finds candidates in texts, whatever their language; `keys` are the names of the schema's secret keys."""

    def __init__(self, keys: Collection[str], schemes: Collection[str]) -> None:
        self.keys = frozenset(keys)
        self.schemes = frozenset(schemes)
        words = "|".join(map(re.escape, sorted(keys, key=len, reverse=True)))
        self._name = re.compile(rf"(?<![A-Za-z0-9_])(?:{words})(?![A-Za-z0-9_])") if words else None
        named = {key.lower().encode() for key in keys}
        self._words = (*_WORDS, *(key for key in named if not any(word in key for word in _WORDS)))

    def candidates(
        self,
        text: bytes,
        path: str,
        numbers: Sequence[int],
        skipped: Collection[int] = (),
        fresh: AbstractSet[int] | None = None,
    ) -> Iterator[Candidate]:
        """Give what may be leaks in a text, in the lines of these numbers, which `worded` gave.

        In `skipped` lines, which were parsed, a name's value is not looked for. Of `fresh` lines, if that is given,
        something has to be.
        """
        literal = True if _LITERAL.search(path) else False if _CODE.search(path) else None
        if numbers:
            lines = text.decode(errors="replace").split("\n")
            for number in numbers:
                if fresh is None or not fresh.isdisjoint(range(number, number + AHEAD)):
                    yield from self._line(lines, number, literal, number in skipped)
            yield from self._columns(lines, path)
        if b":" in text or b"login" in text.lower():
            yield from _whole(text)

    def _columns(self, lines: Sequence[str], path: str) -> Iterator[Candidate]:
        """Give what stands in a column of a table whose head names a secret: CSV, TSV and Markdown."""
        separated = re.search(r"(?i)\.[ct]sv$", path)
        heads = (
            [0]
            if separated
            else [
                number
                for number in range(len(lines) - 1)
                if "|" in lines[number] and _RULER.fullmatch(lines[number + 1])
            ]
        )
        for head, following in pairwise([*heads, len(lines)]):
            sign = (
                "|"
                if not separated
                else "\t"
                if path.lower().endswith("tsv")
                else ";"
                if ";" in lines[head]
                else ","
            )
            for column, cell in enumerate(lines[head].split(sign)):
                bound = self._bound(cell.strip(' \t`*"\r'))
                if bound is None:
                    continue
                for number in range(head + 1, min(following, head + 500)):
                    cells = lines[number].split(sign)
                    if len(cells) <= column:
                        break
                    yield Candidate(*bound, cells[column].strip(' \t`*"\r'), number, number)

    def worded(self, texts: Sequence[bytes]) -> list[list[int]]:
        """Return the numbers of the lines of each text that have a word of a secret, and may be read closely.

        To find each word in all texts at once costs less than one expression of all words in each.
        """
        joined = b"\n".join(texts).lower()
        starts = set[int]()
        for word in self._words:
            at = joined.find(word)
            while at >= 0:
                starts.add(joined.rfind(b"\n", 0, at) + 1)
                end = joined.find(b"\n", at)
                at = joined.find(word, end) if end >= 0 else -1
        numbers: list[list[int]] = [[] for _ in texts]
        ends = list(accumulate(len(text) + 1 for text in texts))
        index, number, before = 0, 0, 0
        for start in sorted(starts):
            if start >= ends[index]:
                index = bisect_right(ends, start)
                number, before = 0, ends[index - 1]
            number += joined.count(b"\n", before, start)
            numbers[index].append(number)
            before = start
        return numbers

    def _has_word(self, lowered: bytes) -> bool:
        return any(word in lowered for word in self._words)

    def _line(self, lines: Sequence[str], number: int, literal: bool | None, parsed: bool) -> Iterator[Candidate]:
        line = lines[number]
        for start in range(0, len(line), 20_000):  # a line without end is read in parts
            part = line[max(start - 500, 0) : start + 20_000]
            if len(line) > 20_000 and not self._has_word(part.lower().encode()):
                continue
            yield from self._forms(part, number)
            if not parsed:
                yield from self._names(part, lines, number, literal)
                yield from self._pairs(part, lines, number)

    def _names(self, line: str, lines: Sequence[str], number: int, literal: bool | None) -> Iterator[Candidate]:
        """Give what is assigned to names in a line, or below it."""
        seen = 0
        for match in _IDENT.finditer(line):
            if match.start() < seen:
                continue
            name = match[0].strip("-.$@")
            bound = self._bound(name)
            if bound is None:
                continue
            rule, name = bound
            for value, bare, tight in _values(line, match.start(), match.end(), literal):
                yield Candidate(rule, name, value, number, number, bare, tight)
            rest = line[match.end() : match.end() + _NEAR]
            yield from self._others(rule, name, rest, number)
            yield from self._below(rule, name, rest, lines, number, literal)
        if self._name:
            for match in self._name.finditer(line):
                if _IDENT.search(match[0]) is None:  # a key whose name has no word of a secret
                    for value, bare, tight in _values(line, match.start(), match.end(), literal):
                        yield Candidate(rules.SCHEMA_KEY, match[0], value, number, number, bare, tight)
                    rest = line[match.end() : match.end() + _NEAR]
                    yield from self._below(rules.SCHEMA_KEY, match[0], rest, lines, number, literal)

    def bound(self, name: str) -> tuple[Rule, str] | None:
        """Return the rule of a name, and the name: a key of the schema or another name of a secret; or None."""
        return self._bound(name)

    def _bound(self, name: str) -> tuple[Rule, str] | None:
        for part in (name, name.rpartition(".")[2], name.rpartition("-")[2]):
            if part in self.keys:
                return rules.SCHEMA_KEY, part
        last = name.rpartition(".")[2] or name
        if kind(last) is not Kind.NONE:
            return rules.ASSIGNMENT, last
        return None

    def _others(self, rule: Rule, name: str, rest: str, number: int) -> Iterator[Candidate]:
        """Give what takes the place of a value that is not set."""
        for match in _FALLBACK.finditer(rest):
            yield Candidate(rule, name, next(part for part in match.groups() if part), number, number)

    def _below(
        self, rule: Rule, name: str, rest: str, lines: Sequence[str], number: int, literal: bool | None
    ) -> Iterator[Candidate]:
        """Give the value of a name that stands on the next line, or begins in this one."""
        opened = _OPENED.match(rest) if len(rest) < _NEAR else None
        if not opened or number + 1 >= len(lines):
            return
        if opened["part"] is not None and len(opened["part"]) >= 8:
            yield Candidate(rule, name, opened["part"], number, number, first=True)
            return
        following = _NEXT.match(lines[number + 1])
        if not following:
            return
        bare = following["bare"]
        value = bare or following["d1"] or following["d2"] or following["d3"] or ""
        first = bool(_BLOCK.search(rest)) or "<<" in rest
        if (
            bare
            and not first
            and (literal is False or re.search(r"[:=({]|^-$|^[-\w.]+:$", bare[-1:] + bare))
            and not rest.rstrip().endswith(("\\", '"""', "'''", '"'))
        ):
            return
        if bare and rest.strip() in ("{", ": {", "= {", "[", ": [", "= ["):
            return
        yield Candidate(
            rule,
            name,
            value,
            number,
            number + 1,
            bool(bare),
            literal is not False or first,
            first=first and rule is rules.SCHEMA_KEY,
        )

    def _pairs(self, line: str, lines: Sequence[str], number: int) -> Iterator[Candidate]:
        """Give a name and a value that are two members: `name: X` and `value: y`."""
        for match in _PAIR_NAME.finditer(line):
            bound = self._bound(match["name"])
            if bound is None and not match["name"].lower().endswith("_url"):
                continue
            for ahead in range(AHEAD):
                if number + ahead >= len(lines):
                    break
                text = line[match.end() : match.end() + _NEAR] if ahead == 0 else lines[number + ahead][:_NEAR]
                if ahead and _PAIR_NAME.search(text):
                    break
                value = _PAIR_VALUE.search(text)
                if value:
                    rule = rules.SCHEMA_KEY if bound and bound[0] is rules.SCHEMA_KEY else rules.PAIR
                    name = bound[1] if bound else match["name"]
                    bare = value["bare"]
                    yield Candidate(rule, name, bare or _quoted(value) or "", number, number + ahead, bool(bare))
                    break

    def _forms(self, line: str, number: int) -> Iterator[Candidate]:
        """Give what is known by its form: URLs, headers, calls, options, statements."""

        def found(rule: Rule, name: str, value: str, *, literal: bool = True) -> Candidate:
            return Candidate(rule, name, value, number, number, literal=literal)

        if "://" in line:
            for match in _URL.finditer(line):
                password = match["v"]
                port, slash, _ = password.partition("/")
                if (
                    slash and (port.isdigit() or not re.fullmatch(r"[\w.-]+(?::\d+)?\W?", match["host"]))
                ) or password.startswith("//"):
                    continue
                scheme = match["name"].lower().partition(":")[0].partition("+")[0]
                yield found(rules.SCHEMA_URL if scheme in self.schemes else rules.URL, match["name"], password)
            for match in _QUERY.finditer(line):
                yield found(rules.ASSIGNMENT, "signed_key", match["v"])
        low = line.lower()
        for match in (
            _HEADER.finditer(line)
            if any(word in low for word in ("bearer", "basic", "authorization", "token"))
            else ()
        ):
            if not match["own"] and match["scheme"].lower() not in ("bearer", "basic"):
                continue
            value = _basic(match["v"]) if match["scheme"].lower() == "basic" else match["v"]
            if value:
                yield found(rules.AUTHORIZATION, "authorization" if match["own"] else "bearer", value)
        for match in _AGE.finditer(line) if "AGE-" in line else ():
            yield found(rules.AGE, match["name"], match["v"])
        if "(" in line or "auth" in low or "cred" in low:
            for match in _LOGIN.finditer(line):
                yield found(rules.LOGIN, match["name"], _quoted(match) or "")
        for match in _DOCKER.finditer(line) if '"auth"' in line else ():
            yield found(rules.DOCKER, match["name"], match["v"])
        for match in _SQL.finditer(line) if "password" in low or "identified" in low else ():
            yield found(rules.ASSIGNMENT, "password", match["v"])
        env = _ENV.match(line) if "ENV" in line or "ARG" in line else None
        if env:
            bound = self._bound(env["name"])
            if bound:
                rule = rules.ENV if bound[0] is rules.ASSIGNMENT else bound[0]
                yield found(rule, env["name"], env["v1"] or env["v2"] or env["v3"])
        for option in _OPTIONS if any(word in low for word in _OPTION_WORDS) else ():
            for match in option.finditer(line):
                yield found(rules.OPTION, match["name"], match["v1"] or match["v2"] or match["v3"] or "")
        for match in _CURL.finditer(line) if "-u" in line or "--" in line or "-a" in line or "-U" in line else ():
            yield found(rules.OPTION, match["name"], match["v"])
        for match in _CONNECTION.finditer(line) if "=" in line else ():
            if ";" in line:
                yield found(
                    rules.ASSIGNMENT,
                    "password" if match["name"].lower() in ("pwd", "password") else "account_key",
                    match["v"],
                )
        for match in _DEFAULT.finditer(line) if "default" in low or "${" in line else ():
            name = match["name"] or _before(line, match.start())
            bound = self._bound(name) or self._bound(_before(line, match.start()))
            if bound:
                yield found(bound[0], bound[1], match["v1"] or match["v2"] or match["v3"])


def _values(line: str, start: int, end: int, literal: bool | None) -> Iterator[tuple[str, bool, bool]]:
    """Give the value after a name: it, whether it has no quotes, and whether no code can stand there."""
    match = _AFTER.match(line, end)
    before = line[max(0, start - _NEAR) : start]
    if not match:
        return
    quoted = _quoted(match)
    closed = bool(match["close"]) or before[-1:] in ("`", "|", "*")
    if match["comma"] and not (
        closed
        and quoted
        and re.search(r"[(\[{]\s*\w?\\?[\"'`]$", before)
        and re.match(r"\s*[)\]}]", line[match.end() :])
    ):
        return
    if (
        match["comma"]
        and line[match.end() :].lstrip().startswith(",")
        and before.rstrip("\"'`\\bru").endswith("[")
    ):
        return
    if before.endswith("://"):  # the user of a URL
        return
    if match["table"] is not None and (literal is False or not (line.lstrip().startswith("|") or closed)):
        return
    if match["call"] is not None and not quoted:
        return
    if match["gap"] is not None and not (
        match["gap"].startswith("\t")
        or (literal and not before.strip(" \t#;-"))
        or (quoted is not None and re.fullmatch(r"\s*(?:#define|set|const)?\s*", before))
    ):
        return
    if match["gap"] is not None and quoted is None and re.search(r"\S\s+\S", line[match.start("bare") :].strip()):
        return
    if match["is"] is not None and not (quoted and (closed or match["d3"])):
        return
    if match["element"] is not None and not before.rstrip().endswith("<") and "<" not in before[-60:]:
        return
    if quoted is not None and before[-1:] in ("?", "&"):  # in the query of a URL
        quoted = quoted.partition("&")[0]
    if quoted is not None:
        tail = line[match.end() : match.end() + 3].lstrip()
        if tail.startswith(":"):  # a name in a mapping
            return
        yield quoted, False, True
        return
    bare = match["bare"].partition("&")[0] if before[-1:] in ("?", "&") else match["bare"]
    tight = match["assign"] == "=" and bool((_EXPORTED if literal is False else _SHELL).fullmatch(before))
    if match["element"] is not None:
        bare = bare.partition("<")[0].removesuffix("]]>")
        yield bare, True, True
        return
    if match["table"] is not None:
        cell = line[match.start("bare") :].partition("|")[0].strip()
        if cell == bare:
            yield bare, True, True
        return
    if (";" in before and re.search(r";\s*$", before)) or (
        before.endswith('"') and ";" in line[match.end() - len(bare) :] and match["assign"]
    ):
        yield bare.partition(";")[0], True, True
        return
    code = literal is False and not tight
    if code or (literal is None and not tight and not closed):
        bare = re.split(r"[,;)\]}]", bare)[0]
        yield bare, True, literal is None and _alone(match, before, line)
        return
    rest = line[match.start("bare") :].strip()
    whole = (
        rest
        if not before.strip(" \t")
        or (_SHELL.fullmatch(before) and not before.strip().endswith(("-e", "--env", '"', "'", "`", "-")))
        else bare
    )
    whole = re.sub(r"\s+#.*$", "", whole)
    yield whole if " " not in whole or _words(whole) else bare.rstrip(",;)"), True, literal is not False or tight


def _alone(match: re.Match[str], before: str, line: str) -> bool:
    """Say whether a value without quotes in a text of an unknown kind is a setting, and no expression."""
    line_of_its_own = not before.strip(" \t-#*>") and not re.search(r"\s\S", line[match.end() :])
    setting = bool(match["colon"]) or line_of_its_own or match["assign"] == "="
    return setting and not values.code(match["bare"]) and not re.search(r"[(\[{<]", match["bare"])


def _words(text: str) -> bool:
    return all(word.isalnum() for word in text.split())


def _quoted(match: re.Match[str]) -> str | None:
    return next(
        (match[group] for group in ("d0", "d4", "d1", "d5", "d2", "d3", "d6") if match[group] is not None), None
    )


def _before(line: str, end: int) -> str:
    """Return the name that is assigned to in a line, before a place in it."""
    match = re.search(r"([\w.-]{1,120})[\"'`]?\s{0,40}[:=]\s{0,40}[\"'`]?[^:=]*$", line[max(0, end - _NEAR) : end])
    return match[1] if match else ""


def _basic(value: str) -> str:
    """Return the password in the base64 of `user:password`, or nothing."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, ValueError):
        plain = re.fullmatch(r"[A-Za-z0-9+/_-]{12,}={0,2}", value) and re.search(r"\d", value)
        return value if plain and not value.startswith("eyJ") else ""
    user, colon, password = text.partition(":")
    if not colon or not text.isprintable():
        return value
    return "" if password.lower() in (user.lower(), "password", "pass", "secret", "") else value


def _whole(text: bytes) -> Iterator[Candidate]:
    decoded: str | None = None
    for rule, pattern, word in ((rules.PGPASS, _PGPASS, b":"), (rules.NETRC, _NETRC, b"login")):
        if word not in text:
            continue
        decoded = decoded if decoded is not None else text.decode(errors="replace")
        for match in pattern.finditer(decoded):
            number = decoded.count("\n", 0, match.start())
            last = decoded.count("\n", 0, match.end("v"))
            yield Candidate(rule, match["name"], match["v"], number, last)
