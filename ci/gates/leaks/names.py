"""What a name says about its value: a password, another secret, some key, or nothing secret.

A name is read as words (`dbPassword`, `DB_PASSWORD` and `db-password` are the same two), because its last word
says what it is: `password_field` names a field, `token_url` a URL, and a `public_key` may be seen by anybody.
"""

import re
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """How a name's value is read: any password, a machine's secret, or a key that only a random value makes secret."""

    PASSWORD = "password"
    SECRET = "secret"
    KEY = "key"
    NONE = ""


# What a name of a secret contains, in lower case: a line without any of these has no such name.
TRIGGER = r"pass|pwd|_pw|pw_|secret|token|key|cred|auth|salt|seed|nonce|jwt|bearer|senha|contrase|signature|cookie|webhook"

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORD = re.compile(
    r"pass(?:word|wd|phrase|code|wort)|passw$|pwd|(?:^|_)pws?(?:$|_)|(?:^|_)pass(?:es)?(?:$|_)|[a-z]{2,}pass$|senha|contrasena"
    r"|requirepass|masterauth|mot_de_passe"
)
_SECRET = re.compile(
    r"secret|token|credential|(?:^|_)creds?(?:$|_)|bearer|authorization|jwt|(?:^|_)auth$"
    r"|(?:api|access|private|auth|crypt|cipher|encryption|decryption|encrypting|signing|sign|account|master|app|application"
    r"|shared|service|session|client|storage|subscription|consumer|admin|write|deploy|integration|hmac|aes|root|server"
    r"|license|customer|secure|security|security|webhook|merchant|stripe|aws|azure|sendgrid|maps|sas|sdk)_?(?:access_?)?keys?(?:$|_)"
    r"|session_cookie|webhook_url"
)
_KEY = re.compile(
    r"(?:^|_|[a-z])keys?(?:_(?:value|str|string|data|base64|b64|hex|pem|bytes|material|secret))?$|salt$|seed$|nonce$"
)
_NOT = re.compile(
    r"public|(?:^|_)pub_?key|publishable|idempot|bypass|compass|trespass|surpass|encompass|monkey|turkey|hockey|whiskey|jockey|donkey"
    r"|keyboard|keyword|keynote|keyframe|keystroke|keypress|keydown|keyup|keycode|passthrough|pass_through|passenger|passive"
    r"|(?:pad|eos|bos|unk|sep|cls|mask|special|max|min|num|input|output|prompt|completion|stop|start|end|next_page|page|continuation"
    r"|next|sync|resume|cancel|cancellation|total|parse|lexer|current|last|first|prev|previous)_?tokens?$"
    r"|^(?:non|not|invalid|wrong|bad|fake|dummy|bogus|incorrect|mock|example|sample|stub|unknown|nonexistent|expired|revoked)(?:_|$)"
    r"|csrf|xsrf|authenticity|viewstate|tokeniz|authors?$|authority|oauth$|unauth|author_|(?:^|_)no_|(?:^|_)(?:has|is|use|allow|show|hide|forgot|reset|change|update|enable|require|without|skip)_"
    r"|(?:primary|foreign|partition|sort|cache|routing|object|map|dict|translation|row|group|index|unique|natural|composite"
    r"|range|shard|i18n|lang|locale|message|msg|label|feature|config|setting|settings|search|lookup|hot|arrow|context|route|menu"
    r"|tab|item|data|field|column|registry|reg|event|meta|query|param|host|known|json|dedup|dedupe|lock|metric|image|file|bucket|s3"
    r"|s3_object|step|job|task|state|etag|sequence|order|doc|document|node|property|attr|enter|shift|ctrl|alt|meta|modifier|any|tree|hash)_?keys?$"
)
# The last word of a name that tells about a secret and does not hold it.
_LAST = frozenset(
    (  # noqa: SIM905, as a list it is two hundred lines
        "name names type types url urls uri endpoint path paths file files filename dir folder field fields id "
        "ids length len size count num min max label labels placeholder hint hints text title message messages "
        "msg error errors prompt regex regexp pattern policy policies rule rules expiry expires expiration expire "
        "expired ttl timeout age version format algorithm alg algo method methods header headers param params "
        "parameter parameters class selector enabled disabled required ref refs reference env var variable prefix "
        "suffix index manager provider providers service store validator validators generator hasher hashers "
        "encoder strategy handler callback factory state status mode scope scopes role date time at in on by "
        "reset change changed help description desc info arn location usage limit interval input form page view "
        "link button btn strength visible verified valid invalid match matches kind hash hashed digest "
        "fingerprint checksum rotation address issuer audience schema model response request test tests function "
        "func fn module util utils helper services config settings options option example examples exception "
        "event events requests counts group set map list storage attempts retries history reuse lifetime duration "
        "column table context encryption mechanism source backend util driver plugin"
    ).split()
)


@lru_cache(maxsize=20_000)
def open_name(name: str) -> bool:
    """Say whether a name tells that its value is not a secret."""
    words = [part.lower() for part in _PARTS.findall(name)]
    return not words or words[-1] in _LAST or bool(_NOT.search("_".join(words)))


@lru_cache(maxsize=20_000)
def kind(name: str) -> Kind:
    """Return what a name says about its value."""
    words = [part.lower() for part in _PARTS.findall(name)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    joined = "_".join(words)
    if not words or len(name) > 80 or _NOT.search(joined):
        return Kind.NONE
    if re.sub("^(?:password|token|secret|key)", "", words[-1]) in _LAST and not (
        words[-1] == "url" and words[0] == "webhook"
    ):
        return Kind.NONE
    for pattern, what in ((_PASSWORD, Kind.PASSWORD), (_SECRET, Kind.SECRET)):
        found = list(pattern.finditer(joined))
        if found and joined.count("_", found[-1].end()) <= 1:
            return what
    return Kind.KEY if _KEY.search(joined) else Kind.NONE
