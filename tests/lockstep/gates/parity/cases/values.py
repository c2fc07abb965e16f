"""Values, each by itself and against those of the other environments."""

from tests.lockstep.gates.parity.changes import Change, both, meta, put, schema

BAD: list[tuple[str, Change]] = [
    # a value that the schema refuses
    ("value", put("SMTP_PORT", "http")),
    ("value", put("SMTP_PORT", "0")),
    ("value", put("SMTP_PORT", "70000")),
    ("value", put("SMTP_PORT", "5_87")),
    ("value", put("DATABASE_POOL_SIZE", "1e3")),
    ("value", put("DATABASE_TIMEOUT_SECONDS", "5s")),
    ("value", put("DATABASE_TIMEOUT_SECONDS", "nan")),
    ("value", put("LOG_LEVEL", "INFO")),
    ("value", put("LOG_LEVEL", "verbose", "dev")),
    ("value", put("SMTP_TLS", "none")),
    ("value", put("PUBLIC_BASE_URL", "notify.acme.example")),
    ("value", put("PUBLIC_BASE_URL", "ftp://notify.acme.example")),
    ("value", put("PUBLIC_BASE_URL", "https://")),
    ("value", put("SMS_PROVIDER_URL", "https//api.twilio.com", "staging")),
    ("value", put("SMS_SENDER", "+0049123")),
    ("value", put("SMS_SENDER", "a name that is too long")),
    ("value", put("SMTP_SENDER", "nobody")),
    ("value", put("WORKER_CONCURRENCY", "true", "local")),
    # only a placeholder
    *(
        ("placeholder", put("SMTP_HOST", value))
        for value in ("CHANGEME", "changeme.acme.example", "TODO", "tbd", "your-mail-server", "xxxxxxxx", "none")
    ),
    *(
        ("placeholder", put("SMTP_USERNAME", value))
        for value in (
            "<user>",
            "${SMTP_USER}",
            "{{ smtp_user }}",
            "$SMTP_USER",
            "$(cat user)",
            "replace-me",
            "...",
        )
    ),
    ("placeholder", put("PUBLIC_BASE_URL", "https://<host>/")),
    ("placeholder", put("PUBLIC_BASE_URL", "https://your-domain.com")),
    ("placeholder", put("SMS_PROVIDER_ACCOUNT", "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "staging")),
    ("placeholder", put("SMTP_SENDER", "todo@acme.example", "dev")),
    # what schema.yaml says about all environments together
    ("same-everywhere", meta("LOG_FORMAT", same_everywhere=True)),  # text in local
    (
        "same-everywhere",
        both(put("SMTP_PORT", "25"), put("SMTP_PORT", "587", "local"), meta("SMTP_PORT", same_everywhere=True)),
    ),
    ("differs-everywhere", put("ENVIRONMENT", "staging")),
    ("differs-everywhere", put("ENVIRONMENT", "prod", "dev")),
    ("differs-everywhere", put("PUBLIC_BASE_URL", "https://notify.dev.lockstep.example", "staging")),
    ("differs-everywhere", meta("SMS_SENDER", differs_everywhere=True)),
    # prod that points elsewhere
    *(
        ("foreign-host", put("SMTP_HOST", value))
        for value in (
            "smtp.staging.lockstep.example",
            "smtp-dev.acme.example",
            "dev-smtp.internal",
            "stage.acme.example",
            "smtp.development.acme.example",
            "SMTP.Staging.acme.example",
            "notify.dev.lockstep.example",
        )
    ),
    ("foreign-host", put("PUBLIC_BASE_URL", "https://notify.staging.acme.example:8443/x")),
    ("foreign-host", put("SMS_PROVIDER_URL", "https://sandbox.dev.acme.example")),
    ("foreign-host", put("SMTP_SENDER", "notify@staging.acme.example")),
    (
        "foreign-host",
        both(put("PUBLIC_BASE_URL", "https://n7.acme.example", "dev"), put("SMTP_HOST", "n7.acme.example")),
    ),
    *(
        ("localhost", put("SMTP_HOST", value))
        for value in ("localhost", "127.0.0.1", "127.1.2.3", "LOCALHOST", "localhost.localdomain")
    ),
    ("localhost", put("SMS_PROVIDER_URL", "http://localhost:8010")),
    ("localhost", put("SMS_PROVIDER_URL", "http://[::1]:8010")),
    ("localhost", put("SMS_PROVIDER_URL", "http://host.docker.internal:8010")),
]

GOOD: list[Change] = [
    # the shape is the same, the values are not
    put("LOG_LEVEL", "debug"),
    put("SMTP_PORT", "465"),
    put("DATABASE_TIMEOUT_SECONDS", "2.5"),
    put("SMTP_USERNAME", "Some One+tag@acme.example"),
    put("SMTP_USERNAME", "p#q"),
    put("SMTP_USERNAME", "a=b==c"),
    put("SMTP_USERNAME", "ü"),
    put("SMTP_USERNAME", "$5 a day"),
    put("SMTP_USERNAME", "100%"),
    put("SMTP_USERNAME", "changes.mexico"),
    put("SMTP_USERNAME", "nonetheless"),
    put("SMS_SENDER", "Acme Corp"),
    # what schema.yaml allows
    schema(lambda keys: keys["SMTP_TLS"].update(allowed=["none", "starttls", "off"])),
    both(
        schema(lambda keys: keys["SMTP_TLS"].update(allowed=["none", "starttls", "off"])),
        put("SMTP_TLS", "none"),
    ),
    meta("SMS_PROVIDER", differs_everywhere=False),
    both(put("LOG_FORMAT", "json", "local"), meta("LOG_FORMAT", same_everywhere=True)),
    # hosts that are everybody's, or prod's own, or only look like another's
    *(
        put("SMTP_HOST", value)
        for value in (
            "smtp.prod.acme.example",
            "smtp.acme.dev",
            "prod-smtp.dev.acme.example",
            "smtp.devices.example",
            "stagingarea.example",
            "mail.local",
            "smtp.localhost-mail.example",
            "10.127.0.1",
            "1127.0.0.1",
            "backstage.acme.example",
        )
    ),
    put("SMS_PROVIDER_URL", "https://api.twilio.com/dev/staging"),
    put("SMTP_USERNAME", "dev"),
    put("SMTP_HOST", "localhost", "dev"),
    put("SMTP_HOST", "smtp.staging.lockstep.example", "dev"),
    put("SMTP_HOST", "smtp.prod.lockstep.example", "staging"),
]
