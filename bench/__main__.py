"""Run every benchmark, print its ratios beside their bounds, and fail when one is broken."""

import sys

from bench import gates, loader, tasklist


def main() -> int:
    """Return 0 when every bound holds."""
    rows = [*loader.rows(), *tasklist.rows(), *gates.rows()]
    print(f"{'what':<44} {'ratio':>6}  bound")  # noqa: T201
    for what, ratio, bound in rows:
        shown = f"<= {bound:.2f}{'' if ratio <= bound else '  BROKEN'}" if bound else ""
        print(f"{what:<44} {ratio:>6.2f}  {shown}".rstrip())  # noqa: T201
    return 0 if all(bound is None or ratio <= bound for _, ratio, bound in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
