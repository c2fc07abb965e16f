"""Run the api: `python -m app --port N [--sha SHA] [--release N]`."""

import runtime
from app import api
from model import serving

serving.serve(serving.options("app"), api.about(runtime.load("api")))
