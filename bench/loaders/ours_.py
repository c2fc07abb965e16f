"""config.load, as the worker calls it."""

import config

settings = config.load("worker")
