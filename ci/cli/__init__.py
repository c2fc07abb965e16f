"""The only layer that prints or reads a terminal: text, JSON, progress, questions, and what goes wrong."""

from ci.cli.faults import reported
from ci.cli.progress import follow

__all__ = ["follow", "reported"]
