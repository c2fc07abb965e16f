"""What the api says about itself."""

from runtime import Config


def about(config: Config) -> dict[str, object]:
    """Return every value that the api reads; of a secret its length alone."""
    secrets = (config.database_url, config.redis_url, config.api_tokens)
    return {
        "environment": config.environment,
        "url": config.public_base_url,
        "secrets": [len(one.reveal()) for one in secrets],
        "database": [config.database_pool_size, config.database_timeout_seconds],
        "limits": [config.api_concurrency, config.rate_per_second, config.backlog_max],
        "log": [config.log_level, config.log_format],
        "grace": config.shutdown_grace_seconds,
    }
