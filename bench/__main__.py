"""Run every benchmark, or those that are named; print what they find and its bounds; fail when one is broken."""

import sys
from importlib import import_module

from tests import figures

BENCHES = ("loader", "tasklist", "gates", "history", "rotation", "delivery", "load")


def main() -> int:
    """Return 0 when every bound holds."""
    # Each is imported at its turn: a child's peak memory begins with that of the process that it is forked from.
    rows = [row for name in sys.argv[1:] or BENCHES for row in import_module(f"bench.{name}").rows()]
    print(f"{'what':<44} {'':>6}  bound")  # noqa: T201
    for what, ratio, bound in rows:
        shown = f"<= {bound:.2f}{'' if ratio <= bound else '  BROKEN'}" if bound else ""
        figures.tell(f"{what:<44} {ratio:>6.2f}  {shown}".rstrip())
    return 0 if all(bound is None or ratio <= bound for _, ratio, bound in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
