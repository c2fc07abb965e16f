"""Generated from config/schema.yaml by `python -m ci.ground.generate`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.secret import Secret

SERVICES: tuple[str, ...] = (
    "api",
    "worker",
    "sandbox",
    "migrate",
    "verify",
    "sms-keys",
)
KEYS: dict[str, dict[str, Any]] = {
    "ENVIRONMENT": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "string",
        "regex": "[a-z][a-z0-9-]*",
    },
    "DATABASE_URL": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "secret": True,
        "type": "string",
        "url": ("postgresql",),
    },
    "DATABASE_POOL_SIZE": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "integer",
        "min": 1,
        "max": 200,
        "default": 10,
    },
    "DATABASE_TIMEOUT_SECONDS": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "float",
        "min": 0.1,
        "max": 60,
        "default": 5.0,
    },
    "REDIS_URL": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "secret": True,
        "type": "string",
        "url": ("redis", "rediss"),
    },
    "API_TOKENS": {
        "services": ("api", "migrate", "verify"),
        "secret": True,
        "type": "string",
        "regex": "((read|submit):)?[A-Za-z0-9_-]{24,}(,((read|submit):)?[A-Za-z0-9_-]{24,})*",
    },
    "PUBLIC_BASE_URL": {
        "services": ("api", "migrate", "verify"),
        "type": "string",
        "url": ("http", "https"),
    },
    "API_CONCURRENCY": {
        "services": ("api", "migrate", "verify"),
        "type": "integer",
        "min": 1,
        "max": 10000,
        "default": 128,
    },
    "RATE_PER_SECOND": {
        "services": ("api", "migrate", "verify"),
        "type": "float",
        "min": 0.1,
        "max": 100000,
        "default": 200.0,
    },
    "RECIPIENT_PER_HOUR": {
        "services": ("api", "migrate", "verify"),
        "type": "integer",
        "min": 1,
        "max": 1000000,
        "default": 30,
    },
    "BACKLOG_MAX": {
        "services": ("api", "migrate", "verify"),
        "type": "integer",
        "min": 1,
        "max": 10000000,
        "default": 100000,
    },
    "LOG_LEVEL": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "string",
        "allowed": ("debug", "info", "warning", "error"),
        "default": "info",
    },
    "LOG_FORMAT": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "string",
        "allowed": ("json", "text"),
        "default": "json",
    },
    "SHUTDOWN_GRACE_SECONDS": {
        "services": ("api", "worker", "migrate", "verify", "sms-keys"),
        "type": "float",
        "min": 1,
        "max": 600,
        "default": 30.0,
    },
    "WORKER_CONCURRENCY": {
        "services": ("worker", "sms-keys"),
        "type": "integer",
        "min": 1,
        "max": 256,
        "default": 4,
    },
    "DELIVERY_ATTEMPTS": {
        "services": ("worker", "sms-keys"),
        "type": "integer",
        "min": 1,
        "max": 50,
        "default": 16,
    },
    "DELIVERY_BACKOFF_SECONDS": {
        "services": ("worker", "sms-keys"),
        "type": "float",
        "min": 0.05,
        "max": 3600,
        "default": 2.0,
    },
    "DELIVERY_BACKOFF_MAX_SECONDS": {
        "services": ("worker", "sms-keys"),
        "type": "float",
        "min": 0.05,
        "max": 86400,
        "default": 900.0,
    },
    "DELIVERY_TIMEOUT_SECONDS": {
        "services": ("worker", "sms-keys"),
        "type": "float",
        "min": 0.1,
        "max": 300,
        "default": 10.0,
    },
    "RETENTION_DAYS": {
        "services": ("worker", "sms-keys"),
        "type": "integer",
        "min": 1,
        "max": 3650,
        "default": 30,
    },
    "SMS_PROVIDER": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "allowed": ("sandbox", "twilio"),
    },
    "SMS_PROVIDER_URL": {
        "services": ("worker", "sandbox", "verify", "sms-keys"),
        "type": "string",
        "url": ("http", "https"),
    },
    "SMS_PROVIDER_ACCOUNT": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "regex": "[A-Za-z0-9]{2,64}",
    },
    "SMS_PROVIDER_API_KEY": {
        "services": ("worker", "sandbox", "verify", "sms-keys"),
        "secret": True,
        "type": "string",
        "regex": "[A-Za-z0-9]+:[A-Za-z0-9_-]{16,}",
    },
    "SMS_COUNTRIES": {
        "services": ("api", "migrate", "verify"),
        "type": "string",
        "regex": "[A-Z]{2}(,[A-Z]{2})*",
    },
    "SMS_SENDER": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "regex": "(\\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})",
    },
    "SMTP_HOST": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "regex": "[A-Za-z0-9.-]+",
    },
    "SMTP_PORT": {
        "services": ("worker", "sandbox", "verify", "sms-keys"),
        "type": "integer",
        "min": 1,
        "max": 65535,
    },
    "SMTP_TLS": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "allowed": ("starttls", "tls", "off"),
        "default": "starttls",
    },
    "SMTP_USERNAME": {
        "services": ("worker", "sandbox", "verify", "sms-keys"),
        "type": "string",
    },
    "SMTP_PASSWORD": {
        "services": ("worker", "sandbox", "verify", "sms-keys"),
        "secret": True,
        "type": "string",
        "minlength": 8,
    },
    "SMTP_SENDER": {
        "services": ("worker", "sms-keys"),
        "type": "string",
        "regex": "[^@\\s]+@[^@\\s]+",
    },
}


class Keys:
    """The attribute of each key and its type; a config has those of its own service."""

    environment: str
    database_url: Secret
    database_pool_size: int
    database_timeout_seconds: float
    redis_url: Secret
    api_tokens: Secret
    public_base_url: str
    api_concurrency: int
    rate_per_second: float
    recipient_per_hour: int
    backlog_max: int
    log_level: str
    log_format: str
    shutdown_grace_seconds: float
    worker_concurrency: int
    delivery_attempts: int
    delivery_backoff_seconds: float
    delivery_backoff_max_seconds: float
    delivery_timeout_seconds: float
    retention_days: int
    sms_provider: str
    sms_provider_url: str
    sms_provider_account: str
    sms_provider_api_key: Secret
    sms_countries: str
    sms_sender: str
    smtp_host: str
    smtp_port: int
    smtp_tls: str
    smtp_username: str
    smtp_password: Secret
    smtp_sender: str
