"""Where SMS would go."""

from runtime import Config


def about(config: Config) -> dict[str, object]:
    """Return the provider, and how often and how long it would be tried; of the key its length alone."""
    return {
        "provider": [config.sms_provider, config.sms_provider_url, config.sms_provider_account],
        "key": len(config.sms_provider_api_key.reveal()),
        "sender": config.sms_sender,
        "attempts": [config.delivery_attempts, config.delivery_timeout_seconds],
        "pauses": [config.delivery_backoff_seconds, config.delivery_backoff_max_seconds],
        "kept": [config.worker_concurrency, config.retention_days],
    }
