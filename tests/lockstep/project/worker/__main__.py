"""Run the worker: `python -m worker --health-port N [--sha SHA] [--release N]`."""

import runtime
from model import serving
from worker import mail, sms

config = runtime.load("worker")
serving.serve(serving.options("worker", "--health-port"), mail.about(config) | sms.about(config))
