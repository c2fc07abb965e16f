"""The 16 keys with environs, which defers its errors and validates with marshmallow."""

from environs import Env, validate

env = Env(eager=False)
settings = {
    "environment": env.str("ENVIRONMENT", validate=validate.Regexp(r"^[a-z][a-z0-9-]*$")),
    "database_url": env.str("DATABASE_URL", validate=validate.URL(schemes={"postgresql"}, require_tld=False)),
    "database_pool_size": env.int("DATABASE_POOL_SIZE", validate=validate.Range(1, 200)),
    "database_timeout_seconds": env.float("DATABASE_TIMEOUT_SECONDS", validate=validate.Range(0.1, 60)),
    "redis_url": env.str("REDIS_URL", validate=validate.URL(schemes={"redis", "rediss"}, require_tld=False)),
    "log_level": env.str("LOG_LEVEL", validate=validate.OneOf(["debug", "info", "warning", "error"])),
    "log_format": env.str("LOG_FORMAT", validate=validate.OneOf(["json", "text"])),
    "shutdown_grace_seconds": env.float("SHUTDOWN_GRACE_SECONDS", validate=validate.Range(1, 600)),
    "worker_concurrency": env.int("WORKER_CONCURRENCY", validate=validate.Range(1, 256)),
    "delivery_attempts": env.int("DELIVERY_ATTEMPTS", validate=validate.Range(1, 50)),
    "sms_provider": env.str("SMS_PROVIDER", validate=validate.OneOf(["sandbox", "twilio"])),
    "sms_provider_url": env.str("SMS_PROVIDER_URL", validate=validate.URL(schemes={"http", "https"})),
    "sms_sender": env.str("SMS_SENDER", validate=validate.Regexp(r"^(\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})$")),
    "smtp_host": env.str("SMTP_HOST", validate=validate.Regexp(r"^[A-Za-z0-9.-]+$")),
    "smtp_port": env.int("SMTP_PORT", validate=validate.Range(1, 65535)),
    "smtp_password": env.str("SMTP_PASSWORD", validate=validate.Length(min=8)),
}
env.seal()
