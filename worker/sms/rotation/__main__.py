"""Answer one request of a rotation: `python -m worker.sms.rotation`, JSON on stdin, JSON on stdout."""

import json
import os
import sys

from runtime import Secret
from worker.sms.rotation import FaultError, answer


def main() -> int:
    """Print the answer, or why there is none, and return the exit code."""
    try:
        document, code = answer(json.load(sys.stdin), Secret(os.environ.get("LOCKSTEP_TWILIO_MAIN_KEY", ""))), 0
    except FaultError as error:
        document, code = {"error": str(error), "hint": error.hint, "refused": error.refused}, 1
    sys.stdout.write(json.dumps(document) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
