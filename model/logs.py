"""One log for everything in a process: JSON or text lines on stdout; no message's content, no whole address."""

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import ExcInfo

from runtime import Config

QUIET = ("httpx", "httpcore", "twilio", "urllib3", "uvicorn.access", "alembic.runtime")  # contents, or chatter


def configure(config: Config, service: str, sha: str = "unknown", release: int = 0) -> None:
    """Send structlog's and the standard library's logs through one formatter; a JSON line names its release."""
    origin = {"service": service, "environment": config.environment, "sha": sha, "release": release}
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(stack),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_machines(origin) if config.log_format == "json" else _for_people()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def stack(exc_info: ExcInfo) -> str:
    """Return where an exception came from and its class, not its text: that may repeat a message or an address."""
    kind, _, frames = exc_info
    return "".join([*traceback.format_tb(frames), kind.__qualname__])


def masked(address: str) -> str:
    """Return a phone number or an e-mail address as a log may hold it: enough to find a case, not a person."""
    name, at, domain = address.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{address[:3]}***{address[-2:]}"


def _for_machines(origin: Mapping[str, Any]) -> list[Any]:
    return [lambda _logger, _method, event: {**origin, **event}, structlog.processors.JSONRenderer()]


def _for_people() -> list[Any]:
    return [structlog.dev.ConsoleRenderer(colors=False)]
