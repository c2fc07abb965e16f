"""Run the provider: `python -m sandbox --port N --state FILE`."""

import runtime
from model import serving

config = runtime.load("sandbox")
serving.serve(serving.options("sandbox"), {"key": len(config.sms_provider_api_key.reveal())})
