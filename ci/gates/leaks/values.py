"""What a value is, by itself: filled in later, a reference, a word, prose, a public thing, or possibly a secret.

Each question is about the whole value: a random password may contain `$x`, `<…>`, `false` or `(`, and stays a
password.
"""

import re
from functools import lru_cache
from itertools import pairwise

_META = "password|passwd|passphrase|passcode|pass|pwd|pw|secret|token|key|credentials?|value|string|user|username|login|placeholder|hash|auth"
_WORDS = re.compile(
    rf"""(?ix)
    (?:[a-z]+[-_ .])*(?:my|your|the|some|new|old|test|db|api|user|super|admin|root|top|very)?(?:{_META})s?
    (?:[-_ ]?(?:here|goes[-_ ]here|1?2?3?4?5?6?!?|[0-9]))?
    |(?:change|replace|fix|fill|insert|enter|put|add|set|update)[-_ ]?(?:me|it|this|in|here|your|with|before|to)[a-z0-9_ -]*!?
    |(?:to|do)-?(?:be|not)-?(?:set|done|tell|use)
    |todo|fixme|tbd|n/?a|none|null|nil|undefined|true|false|yes|no|required|optional|empty|unset|redacted|masked|hidden|sensitive
    |random|generated|example[a-z0-9_-]*|sample[a-z0-9_-]*|dummy[a-z0-9_-]*|fake[a-z0-9_-]*|mock[a-z0-9_-]*|foo(?:bar)?(?:baz)?|bar|baz|qux|quux
    |str|int|bytes|bool|any|object|canary|marker|default|include|omit|same-origin
    |\#[0-9a-f]{{3,8}}|(?:<?your|my)[-_ ].*|[x*._0?•-]{{2,}}
    |.*(?:xxxx|\*\*\*).*|[\w/+.-]*(?:\.\.\.|…)[\w/+.-]*|(?:abc|123|1234|qwerty|asdf|xyz|abcd|000|111){{1,4}}\d*|p[a4@]ssw[o0]rd\d{{0,4}}!?|s[e3]cr[e3]t\d{{0,4}}!?
    """
)
# ${X}, $(x), {{ x }}, ${{ x }}, <x>, {x}, %s, %(x)s, %X%, #{x}, @x@, [x]: what is filled in later.
_FILLED = re.compile(
    r"\$\{\{.*?\}\}|\{\{.*?\}\}|\{%.*?%\}|<%.*?%>|\$\{[^{}]*\}|#\{[^{}]*\}|\$\([^()]*(?:\([^()]*\)[^()]*)*\)|<[A-Za-z][^<>]*>|%\(\w+\)[sd]"
    r"|%[A-Za-z_]\w+%|%[+-]?[sdrqvx]|\{[A-Za-z_]?[\w.\[\]()'!:, -]*\}|@[A-Z_]{3,}@|@[A-Z][A-Z\d_]{2,}|\$\$?[A-Za-z_]\w*|__[A-Z][A-Z_]+__"
)
_BRACED = re.compile(r"\$\{[A-Za-z_][\w.]*(?::?[-=?+][^{}]*|:[^{}]*)?\}|\{\{.*\}\}")
_REFERENCE = re.compile(
    r"""(?x)
    (?:op|vault|ref\+\w+|gcpsm|awssm|awsssm|gcp-?sm|azurekv|akv|secretref|keyring|keychain|doppler|infisical|bws?|pass|env|file|ssm|secret|secrets|kms|consul|projects|k8s|sops|exec)
      (?::/?/?|://|/)[\w./+:\#@?=&${}{}-]*
    |arn:[\w-]+:\S*|projects/[\w-]+/secrets/\S*|@Microsoft\.KeyVault\(.*|\{\{?\s*(?:resolve|vault|secret).*
    |!\w+.*|\{(?:cipher|noop|bcrypt)\}.*|vault:\S+|data\.\S+|local\.\S+|var\.\S+|module\.\S+
    |/(?:run|etc|var|opt|home|usr|mnt|tmp|root|app|config|secrets?|vault|path|dev|data|srv|api|v1|auth)/[\w./*-]*|~/[\w./-]*|\.{1,2}/[\w./-]*
    |[A-Za-z]:\\[\w\\. -]+
    |\$\{?\w+\}?/[\w./${}-]*|[\w.-]+(?:/[\w.-]+)+\.[a-z]{2,4}|(?:[a-z0-9-]+\.)+(?:com|org|io|net|in|dev|sh)/[\w./-]*
    |(?:https?|file|ftp|wss?|urn|chrome|mailto)://[^\s@]*|urn:[\w:.-]+
    """.replace("{}{}", "{}"),
)
_CODE = re.compile(
    r"""(?x)
    (?:os|process\.env|secrets|vars|self|this|cls|config|settings|env|environ|vault|var|local|data|inputs|request|req|ctx|args|options|params|props|state|user|app|[A-Z]\w+)[.:\[]\S*
    |[rfb]{1,2}["'].*|[A-Za-z_][\w.]*(?:\(|\[["'A-Za-z_\d\]]).*|&?\*?[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+[;,)]*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+
    |[A-Za-z_][\w.]*\[.*\]|\(.*|lambda.*|function.*|async.*|await.*|new\b.*|\#.*|//.*|/\*.*|[\[\]{}()<>|&!?=+*/-]+|\[.*\]?|\{.*\}?|-> .*
    """
)
_SEALED = re.compile(
    r"ENC\[[A-Z0-9_]+,.*|\$(?:2[abxy]|5|6|1|y|apr1|argon2id?|argon2i|scrypt|pbkdf2[\w-]*)\$.*|(?:md5|sha-?(?:1|256|384|512))[:-].*|pbkdf2_\w+\$.*|SCRAM-SHA-\d+\$.*"
    r"|encrypted:[A-Za-z0-9+/=]+|Ag[A-D][A-Za-z0-9+/]{80,}={0,2}|AQICA[A-Za-z0-9+/=]+|\$ANSIBLE_VAULT.*|gAAAAA[\w=-]{60,}|vault:v\d+:.*|\{SSHA\}.*|\{SHA\}.*"
)
_PUBLIC = re.compile(
    r"age1[0-9a-z]{20,}|age1pq1.*|(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+|sk-\S+@openssh\.com)(?:\s.*)?|pk_(?:test|live)_\w+|-----BEGIN (?:PUBLIC|CERT|RSA PUBLIC).*"
    r"|MI(?:IBIjANBgkqhkiG9w0BAQE|GfMA0GCSqGSIb3DQEBA|ICIjANBgkqhkiG9w0BAQE|IC[A-Za-z0-9+/]{2}DCC|I[A-Z][A-Za-z0-9+/]{3}CCA).*|AAAA(?:B3NzaC1|C3NzaC1|E2VjZHNh).*|[0-9a-f]{2}(?::[0-9a-f]{2}){15,}"
    # what begins as a token of a provider and has not its form: gitleaks knows the real ones
    r"|xox[a-z]-.*|dapi\w*|AIza[\w-]*|sm_[aps]at_\w*|(?:\d|clm)[\w]{3,17}:A[\w-]*"
    r"|data:[a-z]+/.*|@?[\w./-]+@sha256:[0-9a-f]{64}|[\w%]+/[\w%]+/[\w%-]+/\w+/aws4_request"
)
# What manuals print, so that everybody has it: of AWS, Stripe, jwt.io, Square, GitHub and Azurite.
EXAMPLES = frozenset(
    {
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAIOSFODNN7EXAMPLE",
        "sk" + "_test_4eC39HqLyjWDarjtT1zdp7dc",
        "sk" + "_test_BQokikJOvBiI2HlWgH4olfQ2",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "correct horse battery staple",
        "correct-horse-battery-staple",
    }
)
_EXAMPLE = re.compile(
    r"(?i).*(?:EXAMPLE(?:KEY)?|PLACEHOLDER|CHANGE_?ME|REPLACE_?ME|NOT_?A_?(?:REAL|SECRET)\w*|YOUR[_-]\w+|xxxxx)\W*"
)
_JWT_IO = (
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6y",
    "TJVA95OrM7E2cBab30RMHrHDcEfxjoYZ",
    "XbPfbIHMI6arZ3Y922BhjWgQzWXcXNrz",
    "he0ErCNloe4J7Id0Ry2SEDg09lKkZkfs",
)  # how the signatures of its examples begin
# How common a pair of letters is in the words of manuals and programs, aa to zz: 0 (one in a thousand) to 9 (one in
# four of those that begin so). A word of six letters or more has few rare ones; random letters have many.
_COMMON_PAIRS = (
    "26762461604867060879542142855584417439507426748310638153821760774293265860103075469343942554730574642030"
    "64785551301668353987354640834487309007328336667021507041936680355775086363011293439213803454840646620052"
    "55766560002769851677050405935591156151118411818161116445944283064454338673514282359221812723841266631071"
    "95349321812562781064612250727776936244356302885501315566246053567956086675532082448235603822860867632050"
    "13615145114845313131911331825594508044657405775430606163832780454366337972405081539227900542740776513060"
    "67657460601768470778200300934293309001426422504400218215833780550782077433240050838424804542090359320552"
    "6555645470067769058754504285339300800340733455535066"
)
_LEAST_COMMON = {5: 4.6, 6: 5.2, 7: 5.5}  # on the average of a word, by its length; 5.9 if it is longer
_MASKED = re.compile(r"(?i)x{6,}|\*{3,}|\.{3,}|…")
_RUN = re.compile(
    r"abcdefgh(?:i(?:j(?:k(?:l(?:m(?:n(?:o(?:p(?:q(?:r(?:s(?:t(?:u(?:v(?:w(?:x(?:yz?)?)?)?)?)?)?)?)?)?)?)?)?)?)?)?)?)?|(?:0?123456789?0?)+|(?:0?1234567890?)+(?:abcdef)*|(.)\1{7,}|(?:deadbeef)+|(?:0123456789abcdef)+|abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
)
_SEGMENTS = re.compile(r"[-_./: @+#~]+")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+")
_FUNCTION_WORDS = frozenset(
    (  # noqa: SIM905, as a list it is seventy lines
        "the a an is are was be your you my our their his to of for in on with and or not no please enter must "
        "has have this that it if as by from at can will should new old current invalid wrong forgot reset "
        "confirm use used using set when password token secret key passwords tokens secrets keys user users all "
        "any only between access valid required do does did optional returns"
    ).split()
)
_TYPE_NAME = re.compile(
    r"\w*[a-z](?:Private|Public|Secret|Api|Access|Type|Token|Password|[A-Z][a-z]{2,})(?:Key|Token|Secret|Password|Type|Error|Exception|Name|Id|Field|Config|Provider|Manager|Service)s?(?:Type|Pair)?s?|\w*(?:Private|Public)Key(?:Type)?s?"
)
_TYPE = re.compile(
    r"(?:Optional|Union|List|Dict|Type|Callable|Literal|Sequence|Mapping|Set|Tuple|Promise|Array|Option|Vec|Box|Arc)?\b[\[<(]?[A-Za-z_][\w.]*(?:\s*[|,]\s*[A-Za-z_][\w.]*)*[\]>)]?(?:\s*\|\s*None)?[,);:]*"
)
_REGEX = re.compile(r".*(?:\\[dwsSWDb]|\[\^?[a-zA-Z0-9]-[a-zA-Z0-9]|\(\?[:=!<iP]|\.\*|\.\+|\]\+|\]\*|\]\{\d).*")
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VERSION = re.compile(r"(?:[a-z][\w.-]*[-@])?[\^~>=<v ]*\d+(?:\.[\dx*]+)+(?:[-+.][\w.+-]*)?|\d{4}-\d{2}-\d{2}.*")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def filled(value: str) -> bool:
    """Say whether a value is wholly filled in later: references, signs and plain words between them."""
    rest = _FILLED.sub("\0", value)
    if rest == value:
        return False
    if re.search(r"\$[A-Za-z_]", value) and not _BRACED.search(
        value
    ):  # $x may be part of a password: a whole one is not
        rest = re.sub(r"(?<![\w$\0])\$[A-Za-z_]\w*", "\0", value)
        if "$" in rest:
            return False
        return not re.sub(r"[\0:/@., _-]+", "", _FILLED.sub("", rest))
    words = [part for part in re.split(r"[\0\W_]+", rest) if part]
    signs = re.sub(r"[\0\w\s:/@.,_\-'\"=?&+|()]", "", rest)
    if signs:
        return False
    return sum(map(len, words)) <= 24 and all(
        part.isalpha() and part.islower() and wordlike(part) for part in words
    )


def reference(value: str) -> bool:
    """Say whether a value only says where the secret is."""
    return bool(_REFERENCE.fullmatch(value))


def sealed(value: str) -> bool:
    """Say whether a value is a ciphertext or a hash, from which nobody gets the secret."""
    return bool(_SEALED.fullmatch(value))


def public(value: str) -> bool:
    """Say whether a value is made to be seen: a public key, a certificate, a checksum with its name."""
    return bool(_PUBLIC.fullmatch(value))


def documented(value: str) -> bool:
    """Say whether manuals print this value."""
    return value in EXAMPLES or bool(_EXAMPLE.fullmatch(value)) or any(part in value for part in _JWT_IO)


def code(value: str) -> bool:
    """Say whether a value without quotes is an expression of a program."""
    return bool(_CODE.fullmatch(value))


def masked(value: str) -> bool:
    """Say whether a part of a value was made unreadable."""
    return bool(_MASKED.search(value))


@lru_cache(maxsize=50_000)
def placeholder(value: str) -> bool:
    """Say whether a value is wholly a placeholder, or several of them with commas or colons between."""
    return all(_empty(part) for part in re.split(r"[,:]", value) if part.strip())


def _empty(part: str) -> bool:
    plain = part.strip(" \"'`<>[](){}")
    signs = re.sub(r"\W", "", plain)
    steps = {ord(after) - ord(before) for before, after in pairwise(signs.rstrip("0123456789") or signs)}
    if re.fullmatch(r"_*[a-z]+(?:_[a-z]+)+", plain) and all(map(wordlike, plain.strip("_").split("_"))):
        return True
    same = len(set(plain.lower())) <= 1 or steps in ({1}, {-1})  # xxxx, abcdefgh1, 12345678
    return same or bool(_WORDS.fullmatch(plain)) or bool(re.fullmatch(r"[A-Z]{2}X+", plain)) or _runs(plain)


def _runs(plain: str) -> bool:
    """Say whether a part of the alphabet, or of the digits, or one letter many times, is half of a value or more."""
    return bool(plain) and sum(len(run[0]) for run in _RUN.finditer(plain.lower())) * 2 >= len(plain)


@lru_cache(maxsize=50_000)
def wordlike(letters: str) -> bool:
    """Say whether letters can be words: camel case of pieces that can be spoken."""
    if len(letters) <= 4 and letters.islower():
        return True
    pieces = [piece for piece in _PIECE.findall(letters) if piece.isalpha()]
    if not pieces or len(letters) / len(pieces) < (3 if len(pieces) > 2 else 2.5):
        return bool(re.fullmatch(r"[a-z]{1,4}|[A-Z]{1,4}|[A-Z][a-z]{1,3}", letters))
    short = sum(len(piece) <= 2 for piece in pieces)
    if len(pieces) > 2 and (short > 2 or (short > 1 and max(map(len, pieces)) < 6)):
        return False
    return all(map(_spoken, pieces))


def _spoken(piece: str) -> bool:
    """Say whether letters of one case can be a word; nobody can tell with four letters or fewer."""
    places = [ord(letter) - ord("a") for letter in piece.lower()]
    if len(places) <= 4 or max(places) > 25:
        return True
    common = sum(int(_COMMON_PAIRS[26 * one + other]) for one, other in pairwise(places))
    return common >= _LEAST_COMMON.get(len(places), 5.9) * (len(places) - 1)


@lru_cache(maxsize=50_000)
def identifier(value: str, digits: int = 3) -> bool:
    """Say whether a value is a name: words with signs between, each with a few digits at the most."""
    segments = [segment for segment in _SEGMENTS.split(value.strip("$%&*?!=()[]{}<>,;:\"'")) if segment]
    if not segments or len(segments) > 12:
        return False
    many = 12 if len(segments) > 2 and re.fullmatch(r"[a-z0-9_]+", value) else 6
    if sum(segment.isdigit() for segment in segments) > 1 or sum(map(str.isdigit, value)) > many:
        return False
    if _TYPE_NAME.fullmatch(value):
        return True
    if segments[0].isdigit() and len(segments) > 1 and len(segments[0]) <= 4:  # the name of a migration
        segments = segments[1:]
    return all(_segment(segment, digits) for segment in segments)


def _segment(segment: str, digits: int) -> bool:
    if segment.isdigit():
        return len(segment) <= max(digits, 2)
    match = re.fullmatch(
        rf"([A-Za-z]+)(?:(\d{{0,{digits}}})((?:[a-z]{{0,12}}|[A-Z][a-z]{{1,12}}|[A-Z]{{2,5}}))|\d+([a-z]{{3,}}\d{{0,3}}|(?:[A-Z][a-z]+){{2,}}))",
        segment,
    )
    if not match:
        return False
    return all(wordlike(part) for part in (match[1], match[3], (match[4] or "").rstrip("0123456789")) if part)


def prose(value: str) -> bool:
    """Say whether a value is for people to read: a sentence, a label, a translation."""
    if _NON_ASCII.search(value) and not re.search(r"\d.*[A-Z]|[A-Z].*\d", value):
        return True
    words = value.split()
    if len(words) == 1:
        return False
    plain = [word.strip(".,:;!?()\"'`*<>[]") for word in words]
    if any(word.lower() in _FUNCTION_WORDS for word in plain):
        return True
    alphabetic = sum(word.isalpha() or not word for word in plain)
    if alphabetic < len(plain):
        return alphabetic >= 3 or alphabetic * 2 > len(plain) or max(map(len, plain)) < 8
    return value[:1].isupper() or any(mark in value for mark in ".!?:,") or len(words) < 4


def typed(value: str) -> bool:
    """Say whether a value is the name of a type."""
    few = len(re.findall(r"\d+", value)) <= 2  # numbers: Sha256, Base64Url
    return few and bool(_TYPE.fullmatch(value)) and all(map(wordlike, re.findall(r"[A-Za-z]+", value)))


def expression(value: str) -> bool:
    """Say whether a value is a regular expression, or the version of a package."""
    return bool(_REGEX.fullmatch(value) or _VERSION.fullmatch(value))


def uuid(value: str) -> bool:
    """Say whether a value is a UUID."""
    return bool(_UUID.fullmatch(value))


@lru_cache(maxsize=50_000)
def random_looking(value: str) -> bool:
    """Say whether a value looks as if a machine had made it: long, of letters and digits, and no name."""
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    if len(value) < 12 or len(set(value)) < 7 or re.search(r"\s", value):
        return False
    if re.fullmatch(r"[0-9a-fA-F]{16,}", value):
        return digits >= 2 and letters >= 2
    if identifier(value):
        return False
    if digits == 0:
        return len(value) >= 16 and value != value.lower() and bool(re.fullmatch(r"[\w+/=-]+", value))
    return letters >= 4
