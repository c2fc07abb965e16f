"""The only layer that prints: text, JSON, progress, and what goes wrong."""

from ci.cli.progress import follow

__all__ = ["follow"]
