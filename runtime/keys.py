"""Generated from schema.yaml by `python -m ci.ground.generate`."""

from runtime.secret import Secret


class Keys:
    """The attribute of each key and its type; which of them are there depends on the service."""

    environment: str
    database_url: Secret
    database_pool_size: int
    database_timeout_seconds: float
    redis_url: Secret
    api_tokens: Secret
    public_base_url: str
    api_concurrency: int
    rate_per_second: float
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
    sms_sender: str
    smtp_host: str
    smtp_port: int
    smtp_tls: str
    smtp_username: str
    smtp_password: Secret
    smtp_sender: str
