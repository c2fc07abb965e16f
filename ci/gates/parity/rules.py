"""What the parity gate looks for."""

from ci.gates.finding import Rule

SET = "inv set --env={environment} --key={key}"
_LINE = "write KEY=value: no quotes, export, blanks or comment around it, LF at the line's end"
MISSING = Rule(
    "parity/missing",
    "a key that an environment lacks",
    "SMTP_HOST in dev and staging, and not in prod",
    "add {key}=value to config/{environment}.env; docs/keys.md says what it is",
)
EXTRA = Rule(
    "parity/extra",
    "a key that the schema does not have",
    "SMTP_HSOT=smtp.acme.example",
    "correct the name, describe the key in config/schema.yaml, or delete it",
)
SECRET_IN_PLAIN = Rule(
    "parity/secret-in-plain",
    "a secret key in a plain file",
    "SMTP_PASSWORD=… in config/dev.env",
    f"delete the line, {SET}, and replace it at its provider if this was ever pushed",
)
PLAIN_IN_SEALED = Rule(
    "parity/plain-in-sealed",
    "a plain key in a sealed file",
    "SMTP_HOST in secrets/dev.enc.env",
    "inv edit --env={environment} takes it out; its place is config/{environment}.env",
)
DUPLICATE = Rule(
    "parity/duplicate", "a key that a file has twice", "two lines LOG_LEVEL=…", "keep the line that is meant"
)
VALUE = Rule(
    "parity/value",
    "a value that the schema refuses",
    "SMTP_PORT=http",
    "correct it in config/{environment}.env; config/schema.yaml says what it may be",
)
EMPTY = Rule("parity/empty", "an empty value", "SMTP_HOST=", "give it a value; an empty one is as good as missing")
PLACEHOLDER = Rule(
    "parity/placeholder",
    "a value that only stands for one",
    "SMTP_HOST=<your mail server>, CHANGEME, ${HOST}",
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
    "SMTP_HOST=smtp.staging.acme.example in config/prod.env",
    "write the host of this environment",
)
LOCALHOST = Rule(
    "parity/localhost",
    "a value of a protected environment that points at the machine itself",
    "SMTP_HOST=127.0.0.1 in config/prod.env",
    "write the host that the service finds there",
)
ENVIRON = Rule(
    "parity/environ-read",
    "an environment variable or env file that is read outside of the loader",
    'os.getenv("SMTP_HOST") in worker/mail.py',
    "read it from what runtime.load() returns; a new key belongs in config/schema.yaml",
)
UNREAD = Rule(
    "parity/unread",
    "a key that no service reads",
    "SMTP_HOST in the schema, and config.smtp_host nowhere",
    "read it, or delete it from config/schema.yaml and from each environment",
)
UNLISTED = Rule(
    "parity/unlisted",
    "a key that is read by a service that its `services` do not name",
    "config.smtp_host in app/, and services: [worker]",
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
    "staging's API_TOKENS in prod",
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
    ENVIRON,
    UNREAD,
    UNLISTED,
    ELSEWHERE,
    STALE,
    SHARED,
)
