"""Keys and lines: those that a file lacks, has too many of, or has in the wrong place."""

import secrets

from tests.lockstep.gates.parity.changes import SPARE, Change, both, code, everywhere, line, put, schema, swap

PART: dict[str, object] = {
    "type": "string",
    "meta": {
        "services": ["api"],
        "description": "where Redis is",
        "example": "redis.internal",
        "secret": True,
        "part_of": "REDIS_URL.host",
    },
}
PARTED = both(
    schema(lambda keys: keys.update(REDIS_HOST=PART)),
    code("def f(config): return config.redis_host\n", "app/more.py"),
)
BAD: list[tuple[str, Change]] = [
    # a key that an environment lacks
    *(("missing", swap(f"config/{name}.env", r"^SMTP_HOST=.*\n", "")) for name in ("local", "dev", "prod")),
    ("missing", swap("config/prod.env", r"^LOG_LEVEL=.*\n", "")),  # has a default, and dev sets it
    ("missing", swap("config/prod.env", r"^SMTP_HOST=", "#SMTP_HOST=")),
    *(("missing", swap(f"secrets/{name}.enc.env", r"^REDIS_URL=.*\n", "")) for name in ("dev", "prod")),
    (
        "missing",
        both(
            schema(lambda keys: keys.update(SPARE=SPARE)),
            code("def f(config): return config.spare\n", "app/more.py"),
        ),
    ),
    # a key that the schema lacks
    ("extra", line("SMTP_HSOT=smtp.acme.example")),
    ("extra", line("NEW_KEY=1", "prod")),
    ("extra", line("SMTP_HOST_=smtp", "local")),
    ("extra", swap("secrets/dev.enc.env", r"\A", "OLD_TOKEN=ENC[AES256_GCM,data:eA==,type:str]\n")),
    ("extra", swap("secrets/prod.enc.env", r"\A", "smtp_password=ENC[AES256_GCM,data:eA==,type:str]\n")),
    # in the wrong file
    *(
        ("secret-in-plain", line(f"SMTP_PASSWORD={secrets.token_hex()}", name))
        for name in ("local", "dev", "prod")
    ),
    ("secret-in-plain", line(f"API_TOKENS={secrets.token_urlsafe(24)}", "staging")),
    ("plain-in-sealed", swap("secrets/dev.enc.env", r"\A", "LOG_LEVEL=ENC[AES256_GCM,data:eA==,type:str]\n")),
    ("plain-in-sealed", swap("secrets/prod.enc.env", r"\A", "SMTP_HOST=smtp.acme.example\n")),
    # a part of another key, with a value of its own
    ("extra", both(PARTED, line("REDIS_HOST=cache.acme.internal"))),
    (
        "extra",
        both(
            PARTED,
            swap("secrets/dev.enc.env", r"\A", "REDIS_HOST=ENC[AES256_GCM,data:eA==,type:str]\n"),
        ),
    ),
    # twice
    ("duplicate", line("LOG_LEVEL=info")),
    ("duplicate", line("LOG_LEVEL=debug", "prod")),
    ("duplicate", swap("secrets/dev.enc.env", r"^(REDIS_URL=.*)$", "REDIS_URL=ENC[a]\nREDIS_URL=ENC[b]")),
    # empty
    ("empty", put("SMTP_HOST", "")),
    ("empty", put("LOG_LEVEL", "", "local")),
    # a line that is read differently
    ("line", put("LOG_LEVEL", '"info"')),
    ("line", put("LOG_LEVEL", "'info'")),
    ("line", put("LOG_LEVEL", "info # quiet")),
    ("line", put("LOG_LEVEL", " info")),
    ("line", put("LOG_LEVEL", "info ")),
    ("line", put("LOG_LEVEL", "info\r")),
    ("line", put("SMTP_USERNAME", r"notify\nagain")),
    ("line", put("SMTP_USERNAME", "notify\x00")),
    ("line", line("  # indented")),
    ("line", line("   ")),
    ("line", line("log_format=json")),
    ("line", line("LOG-FORMAT=json")),
    ("line", line("some words")),
    ("line", line("SOMETHING")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "export LOG_LEVEL=")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "LOG_LEVEL =")),
    ("line", swap("config/dev.env", r"^LOG_LEVEL=", "LOG_LEVEL: ")),
    (
        "line",
        lambda repo: repo.plain("dev").write_bytes(
            b"\xef\xbb\xbfENVIRONMENT=dev\n" + repo.plain("dev").read_bytes()
        ),
    ),
    ("line", lambda repo: repo.plain("dev").write_bytes(repo.plain("dev").read_bytes() + b"# \xff\n")),
    ("line", lambda repo: repo.plain("dev").write_bytes(repo.plain("dev").read_bytes().replace(b"\n", b"\r\n"))),
    ("line", lambda repo: repo.plain("dev").write_text(repo.plain("dev").read_text(), encoding="utf-16")),
]

GOOD: list[Change] = [
    PARTED,
    lambda repo: None,
    line('# a comment, with an = and a "quote"'),
    line(""),
    lambda repo: repo.plain("dev").write_text(repo.plain("dev").read_text().rstrip("\n")),
    lambda repo: repo.plain("dev").write_text("\n".join(sorted(repo.plain("dev").read_text().split("\n"))) + "\n"),
    everywhere(lambda name: swap(f"config/{name}.env", r"^LOG_LEVEL=.*\n", "")),  # the default, in all of them
    both(  # an optional secret, in some of them
        schema(lambda keys: keys["SMTP_PASSWORD"].update(nullable=True, default=None)),
        swap("secrets/dev.enc.env", r"^SMTP_PASSWORD=.*\n", ""),
    ),
]
