"""Values, each by itself and against those of the other environments."""

import secrets

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
    *(
        ("localhost", put("SMTP_HOST", value))
        for value in (
            *(
                "localhost.",
                "mail.localhost",
                "127.1",
                "127.0.1",
                "0x7f.1",
                "0x7f000001",
                "0177.0.0.1",
                "2130706433",
            ),
            *("0.0.0.0", "0", "::1", "127.0.0.1.", "localhost6", "ip6-loopback", "gateway.docker.internal"),
            *(
                "host.containers.internal",
                "host.minikube.internal",
                "lvh.me",
                "127.0.0.1.nip.io",
                "app-127-0-0-1.sslip.io",
            ),
        )
        if value != "::1"  # the schema refuses it there
    ),
    *(
        ("localhost", put("SMTP_USERNAME", value))
        for value in (
            *("me@localhost", "host=127.1 port=5", "0x7f.0.0.1:80", "::1", "[::1]:80", "::ffff:127.0.0.1", "::"),
            *(
                "::ffff:7f00:1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "\uff11\uff12\uff17.0.0.1",
                "127\u30020\u30020\u30021",
            ),
            *("a.acme.example,localhost", "a.acme.example 127.1", "0.0.0.0:25"),
        )
    ),
    *(
        ("localhost", put("PUBLIC_BASE_URL", f"https://{host}/x"))
        for host in (
            "2130706433",
            "0x7f.1:8443",
            "[::ffff:127.0.0.1]",
            "0",
            "notify.localhost:8443",
            "[::]",
            "017700000001",
        )
    ),
    # without TLS, where the schema has it
    ("clear-text", put("PUBLIC_BASE_URL", "http://notify.acme.example")),
    ("clear-text", put("SMS_PROVIDER_URL", "http://api.twilio.com")),
    ("clear-text", put("SMTP_USERNAME", "host=db.acme.example sslmode=disable")),
    # what nobody sees
    *(
        ("value", put("SMTP_USERNAME", value))
        for value in (
            "a\u200bb",
            "a\u00a0b",
            "a\u202eb",
            "a\u2066b",
            "\ufeffab",
            "a\u00adb",
            "a\u3164b",
            "a\U000e0041b",
        )
    ),
    # a real secret in the schema
    *(
        ("real-example", meta(key, **about))
        for key, about in (
            ("SMTP_PASSWORD", {"example": f"{secrets.token_urlsafe(12)}1a"}),
            ("API_TOKENS", {"example": secrets.token_hex(16)}),
            ("DATABASE_URL", {"example": f"postgresql://app:{secrets.token_hex(12)}1a@db.internal/app"}),
            ("PUBLIC_BASE_URL", {"example": f"https://me:{secrets.token_hex(12)}1a@notify.example.com"}),
            ("SMTP_PASSWORD", {"generate": {"local": f"{secrets.token_hex(12)}1a"}}),
            ("REDIS_URL", {"generate": {"dev": f"rediss://:{secrets.token_hex(12)}1a@redis.dev.internal/0"}}),
            ("SMTP_PASSWORD", {"generate": "letmein"}),
        )
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
    # numbers and names that are not this machine
    *(
        put("SMTP_USERNAME", value)
        for value in (
            "2130706433",
            "0",
            "0.0",
            "0.1.2",
            "12:30",
            "0:30",
            "128.0.0.1",
            "::2",
            "1.127.0.1",
            "fe80::1",
            "\u26a0\ufe0f",
        )
    ),
    *(
        put("SMTP_HOST", value)
        for value in ("10.0.0.1", "localhosts.example", "mylocalhost", "1.2.3.4", "docker.internal.acme.com")
    ),
    put("PUBLIC_BASE_URL", "http://notify:8080"),
    put("PUBLIC_BASE_URL", "http://notify.shop.svc.cluster.local:8080"),
    put("PUBLIC_BASE_URL", "http://notify.dev.acme.example", "dev"),
    put("SMTP_USERNAME", "tls=yes"),
    # words in place of a secret
    *(
        meta("SMTP_PASSWORD", example=value)
        for value in (
            "PASSWORD",
            "your-password-here",
            "correct horse battery staple",
            "<secret>",
            "XXXXXXXXXXXX",
            "SK...:SECRET",
        )
    ),
    meta("SMTP_PASSWORD", generate={"local": "guest", "dev": "{token}"}),
    meta("REDIS_URL", generate="rediss://:{token}@redis.acme.example/0"),
    put("SMS_PROVIDER_URL", "https://api.twilio.com/dev/staging"),
    put("SMTP_USERNAME", "dev"),
    put("SMTP_HOST", "localhost", "dev"),
    put("SMTP_HOST", "smtp.staging.lockstep.example", "dev"),
    put("SMTP_HOST", "smtp.prod.lockstep.example", "staging"),
]
