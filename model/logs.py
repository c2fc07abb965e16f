"""One log for everything in a process: JSON or text lines on stdout; no message's content, no whole address."""

import logging
import sys
from typing import Any

import structlog

from config import Config

QUIET = (
    "httpx",
    "httpcore",
    "twilio",
    "urllib3",
    "uvicorn.access",
    "alembic.runtime.plugins",
)  # they tell contents


def configure(config: Config, service: str, sha: str = "unknown", release: int = 0) -> None:
    """Send structlog's and the standard library's logs through one formatter; every line names its release."""
    structlog.contextvars.bind_contextvars(
        service=service, environment=config.environment, sha=sha, release=release
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last = (
        structlog.processors.JSONRenderer()
        if config.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_release(service, config.environment, sha, release), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def masked(address: str) -> str:
    """Return a phone number or an e-mail address as a log may hold it: enough to find a case, not a person."""
    name, at, domain = address.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{address[:3]}***{address[-2:]}"


def _release(service: str, environment: str, sha: str, release: int) -> Any:
    """Threads that a library starts do not see the context variables of the main one."""

    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        for name, value in {
            "service": service,
            "environment": environment,
            "sha": sha,
            "release": release,
        }.items():
            event.setdefault(name, value)
        return event

    return add
