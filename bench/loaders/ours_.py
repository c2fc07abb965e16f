"""runtime.load, as the worker calls it."""

import runtime

settings = runtime.load("worker")
