"""What a service may know: `config.load(service)` reads the environment against schema.yaml.

Importing this costs what Cerberus and PyYAML cost; nothing is read before `load` is called.
"""

from runtime.loader import Config, ConfigError, load
from runtime.secret import Secret

__all__ = ["Config", "ConfigError", "Secret", "load"]
