"""Run the provider: `python -m sandbox --port N --smtp-port N --state FILE`; secrets come on stdin."""

import argparse
import json
import sys
from pathlib import Path

from model import serving

parser = argparse.ArgumentParser(prog="sandbox")
parser.add_argument("--port", type=int)
parser.add_argument("--smtp-port", type=int)
parser.add_argument("--state", type=Path)
given = parser.parse_args()
given.descriptors, given.sha, given.release = [], "", 0
serving.serve(given, {"keys": sorted(json.load(sys.stdin))})
