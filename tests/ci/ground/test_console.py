"""The voice."""

import subprocess
import sys

SCRIPT = "from ci.ground import console; console.say('first'); console.emit('second\\n'); console.say('third')"


def test_lines_keep_their_order_in_a_pipe() -> None:
    """What is said line by line and what is written as it is come out as they were told."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)

    assert [b"first", b"second", b"third"] == done.stdout.splitlines()
