"""What the gate says about a leak: its rules, the first of which wins when two find the same line."""

from ci.gates.finding import Rule

HINT = (
    "whoever saw it knows it, deleting the line undoes nothing: replace it at its provider, then inv set, "
    "as docs/runbooks/secret-committed.md says"
)
AGE = Rule("leaks/age-identity", "an age identity", "AGE-SECRET-KEY-PQ-1{bech32}", HINT)
SCHEMA_KEY = Rule("leaks/schema-key", "the value of a secret key of the schema", "DB_PASSWORD={random}", HINT)
SCHEMA_URL = Rule(
    "leaks/schema-url",
    "a URL with a password, of a scheme that a secret key has",
    "postgresql://shop:{random}@db.internal:5432/shop",
    HINT,
)
URL = Rule("leaks/url-password", "a URL with a password", "amqps://worker:{random}@queue.internal/", HINT)
AUTHORIZATION = Rule(
    "leaks/authorization-header",
    "a credential in an Authorization header",
    "Authorization: Bearer {random}",
    HINT,
)
PAIR = Rule(
    "leaks/name-value-pair",
    "a name and its secret value as two members, as in Kubernetes",
    "- name: DB_PASSWORD\n  value: {random}",
    HINT,
)
NOTEBOOK = Rule(
    "leaks/notebook-cell",
    "a password in a quoted line of code, as in a Jupyter cell",
    r'"password = \"{random}\"\n",',
    HINT,
)
ENV = Rule("leaks/env-instruction", "ENV or ARG with a secret, as in a Dockerfile", "ENV DB_PASS {random}", HINT)
OPTION = Rule("leaks/password-option", "a password on a command line", "client --password {random}", HINT)
LOGIN = Rule("leaks/login-call", "a user and a password in a call", 'server.login("shop", "{random}")', HINT)
PGPASS = Rule("leaks/pgpass", "a line of a .pgpass file", "db.internal:5432:shop:app:{random}", HINT)
NETRC = Rule("leaks/netrc", "an entry of a .netrc file", "machine api.internal login bot password {random}", HINT)
DOCKER = Rule("leaks/docker-auth", "a login in a Docker config file", '"auth": "{base64}"', HINT)
ASSIGNMENT = Rule("leaks/password-assignment", "a secret that is assigned to a name", 'DB_PASS = "{random}"', HINT)
PROVIDER = Rule("leaks/known-provider", "a credential that a rule of gitleaks' own knows", "ghp_{alnum36}", HINT)
KEY_FILE = Rule("leaks/key-file", "a file that holds keys by its nature", "server.p12", HINT)
UNREADABLE = Rule(
    "leaks/unreadable-archive",
    "an archive that cannot be looked into: encrypted, damaged, too big or of an unknown kind",
    "backup.7z",
    "unpack it, or have it accepted in config/exceptions.yaml",
)
RULES: tuple[Rule, ...] = (
    AGE,
    SCHEMA_KEY,
    SCHEMA_URL,
    URL,
    AUTHORIZATION,
    PAIR,
    NOTEBOOK,
    ENV,
    OPTION,
    LOGIN,
    PGPASS,
    NETRC,
    DOCKER,
    PROVIDER,
    ASSIGNMENT,
    KEY_FILE,
    UNREADABLE,
)
