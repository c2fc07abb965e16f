"""What a service may know: `runtime.load(service)` reads the environment by the rules that the schema has.

Standard library only. Nothing is read before `load` is called.
"""

from runtime.loader import Config, ConfigError, load
from runtime.secret import Secret

__all__ = ["Config", "ConfigError", "Secret", "load"]
