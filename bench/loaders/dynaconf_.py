"""The 16 keys with dynaconf, whose validators run at once."""

from dynaconf import Dynaconf, Validator

settings = Dynaconf(
    envvar_prefix=False,
    loaders=["dynaconf.loaders.env_loader"],
    validators=[
        Validator("ENVIRONMENT", must_exist=True, is_type_of=str),
        Validator("DATABASE_URL", must_exist=True, startswith="postgresql://"),
        Validator("DATABASE_POOL_SIZE", must_exist=True, is_type_of=int, gte=1, lte=200),
        Validator("DATABASE_TIMEOUT_SECONDS", must_exist=True, gte=0.1, lte=60),
        Validator("REDIS_URL", must_exist=True, startswith="redis"),
        Validator("LOG_LEVEL", must_exist=True, is_in=["debug", "info", "warning", "error"]),
        Validator("LOG_FORMAT", must_exist=True, is_in=["json", "text"]),
        Validator("SHUTDOWN_GRACE_SECONDS", must_exist=True, gte=1, lte=600),
        Validator("WORKER_CONCURRENCY", must_exist=True, is_type_of=int, gte=1, lte=256),
        Validator("DELIVERY_ATTEMPTS", must_exist=True, is_type_of=int, gte=1, lte=50),
        Validator("SMS_PROVIDER", must_exist=True, is_in=["sandbox", "twilio"]),
        Validator("SMS_PROVIDER_URL", must_exist=True, startswith="http"),
        Validator("SMS_SENDER", must_exist=True),
        Validator("SMTP_HOST", must_exist=True),
        Validator("SMTP_PORT", must_exist=True, is_type_of=int, gte=1, lte=65535),
        Validator("SMTP_PASSWORD", must_exist=True, len_min=8),
    ],
)
settings.validators.validate_all()
