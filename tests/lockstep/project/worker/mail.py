"""Where e-mail would go."""

from runtime import Config


def about(config: Config) -> dict[str, object]:
    """Return the mail server; of the password its length alone."""
    return {
        "server": [config.smtp_host, config.smtp_port, config.smtp_tls],
        "login": [config.smtp_username, len(config.smtp_password.reveal())],
        "from": config.smtp_sender,
    }
