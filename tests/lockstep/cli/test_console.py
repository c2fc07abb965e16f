"""What is printed, and in which order."""

import subprocess
import sys

SCRIPT = """
from ci.cli import console
console.say("first")
console.emit("second\\n")
console.say("third")
console.done("fourth")
console.say("fifth")
"""


def test_lines_keep_their_order_in_a_pipe() -> None:
    """Results and reports of steps come out in the order in which they were printed."""
    argv = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)

    assert ["first", "second", "third", "✓ fourth", "fifth"] == done.stdout.splitlines()
