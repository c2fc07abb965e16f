"""What the parity gate looks for."""

from ci.gates.finding import Rule

SET = "inv set --env={environment} --key={key}"
_LINE = "write KEY=value: no quotes, export, blanks or comment around it, LF at the line's end"
MISSING = Rule(
    "parity/missing",
    "a key that an environment lacks",
    "CACHE_HOST in dev and staging, and not in prod",
    "add {key}=value to config/{environment}.env; docs/keys.md says what it is",
)
EXTRA = Rule(
    "parity/extra",
    "a key that the schema does not have",
    "CACHE_HSOT=cache.acme.example",
    "correct the name, describe the key in config/schema.yaml, or delete it",
)
SECRET_IN_PLAIN = Rule(
    "parity/secret-in-plain",
    "a secret key in a plain file",
    "DB_PASSWORD=… in config/dev.env",
    f"delete the line, {SET}, and replace it at its provider if this was ever pushed",
)
PLAIN_IN_SEALED = Rule(
    "parity/plain-in-sealed",
    "a plain key in a sealed file",
    "CACHE_HOST in secrets/dev.enc.env",
    "inv edit --env={environment} takes it out; its place is config/{environment}.env",
)
DUPLICATE = Rule(
    "parity/duplicate", "a key that a file has twice", "two lines LOG_LEVEL=…", "keep the line that is meant"
)
VALUE = Rule(
    "parity/value",
    "a value that the schema refuses",
    "CACHE_PORT=http",
    "correct it in config/{environment}.env; config/schema.yaml says what it may be",
)
EMPTY = Rule(
    "parity/empty", "an empty value", "CACHE_HOST=", "give it a value; an empty one is as good as missing"
)
PLACEHOLDER = Rule(
    "parity/placeholder",
    "a value that only stands for one",
    "CACHE_HOST=<your cache>, CHANGEME, ${HOST}",
    "write the value itself: nothing fills it in later",
)
LINE = Rule(
    "parity/line", "a line that sops, Docker and we read differently", 'export LOG_LEVEL="info" # quiet', _LINE
)
ENVIRONMENT = Rule(
    "parity/environment",
    "an environment that is in one place and not in another",
    "config/qa.env without qa in config/environments.yaml",
    "an environment is in environments.yaml, config/{environment}.env, secrets/{environment}.enc.env, .sops.yaml "
    "and the workflows",
)
SAME = Rule(
    "parity/same-everywhere",
    "a value that must be the same in every environment, and is not",
    "same_everywhere: true, and another value in dev",
    "make them equal, or take same_everywhere out of config/schema.yaml",
)
DIFFERS = Rule(
    "parity/differs-everywhere",
    "a value that must differ between environments, and does not",
    "PUBLIC_BASE_URL of staging in prod",
    "give each environment its own, or take differs_everywhere out of config/schema.yaml",
)
HOST = Rule(
    "parity/foreign-host",
    "a value of a protected environment that points at another one's host",
    "CACHE_HOST=cache.staging.acme.example in config/prod.env",
    "write the host of this environment",
)
LOCALHOST = Rule(
    "parity/localhost",
    "a value of a protected environment that points at the machine itself",
    "CACHE_HOST=127.0.0.1 in config/prod.env",
    "write the host that the service finds there",
)
CLEAR = Rule(
    "parity/clear-text",
    "a value of a protected environment that is not encrypted on its way, where the schema allows what is",
    "http:// where https:// is allowed as well, sslmode=disable",
    "write the encrypted one; in a network of your own, have it accepted in config/exceptions.yaml",
)
REAL = Rule(
    "parity/real-example",
    "an example or a template in the schema that may be a real secret",
    "example: {random}; a template without a random part",
    "write a word in its place, such as PASSWORD, or a field; replace it at its provider if it was real",
)
ENVIRON = Rule(
    "parity/environ-read",
    "an environment variable or env file that is read outside of the loader",
    'os.getenv("CACHE_HOST") in shop/cache.py',
    "read it from what runtime.load() returns, or list the file under `settings` in config/schema.yaml: those "
    "modules may read the environment by themselves",
)
UNKNOWN = Rule(
    "parity/unknown-read",
    "a variable that a settings module reads, and that is not a key of the schema",
    'env.int("CACHE_PROT") in shop/settings.py',
    "correct the name, or describe the key in config/schema.yaml",
)
COMPUTED = Rule(
    "parity/computed-read",
    "a read of a settings module, of which it cannot be known what it reads",
    "os.environ[name], dict(os.environ)",
    "write out each name that is read, or have it accepted in config/exceptions.yaml",
)
DEFAULT = Rule(
    "parity/secret-default",
    "a value in clear that code takes in place of a secret",
    'env.str("DB_PASSWORD", default="…") in shop/settings.py',
    "delete the default: each environment has a value of its own, {key} in secrets/",
)
UNREAD = Rule(
    "parity/unread",
    "a key that no service reads",
    "CACHE_HOST in the schema, and neither config.cache_host nor a read of CACHE_HOST",
    "read it, or delete it from config/schema.yaml and from each environment; what a library reads by itself is "
    "accepted in config/exceptions.yaml",
)
UNLISTED = Rule(
    "parity/unlisted",
    "a key that is read by a service that its `services` do not name",
    "config.cache_host in shop/, and services: [worker]",
    "name the service in config/schema.yaml, or do not read it there",
)
ELSEWHERE = Rule(
    "parity/set-elsewhere",
    "a key of the schema that a Dockerfile, a workflow or a compose file sets",
    "ENV LOG_LEVEL=debug",
    "delete it there: values come from config/{environment}.env and secrets/{environment}.enc.env alone",
)
STALE = Rule(
    "parity/stale",
    "a generated file that is not what the schema says",
    "docs/keys.md after a change of config/schema.yaml",
    "python -m ci.ground.generate",
)
SHARED = Rule(
    "parity/shared-secret",
    "the same secret in two environments (with --sealed)",
    "staging's API_TOKEN in prod",
    f"replace it in one of them: {SET}; or say same_everywhere in config/schema.yaml",
)
RULES: tuple[Rule, ...] = (
    MISSING,
    EXTRA,
    SECRET_IN_PLAIN,
    PLAIN_IN_SEALED,
    DUPLICATE,
    VALUE,
    EMPTY,
    PLACEHOLDER,
    LINE,
    ENVIRONMENT,
    SAME,
    DIFFERS,
    HOST,
    LOCALHOST,
    CLEAR,
    REAL,
    ENVIRON,
    UNKNOWN,
    COMPUTED,
    DEFAULT,
    UNREAD,
    UNLISTED,
    ELSEWHERE,
    STALE,
    SHARED,
)
