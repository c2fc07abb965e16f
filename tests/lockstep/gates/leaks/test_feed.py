import random
from itertools import pairwise

import pytest

from ci.gates.leaks import feed as feeds


@pytest.mark.parametrize("seed", range(20))
def test_changes_hold_every_pair_of_lines_that_is_new(seed: int) -> None:
    """Two lines that were not neighbours before are together in what is looked at, at their place."""
    chosen = random.Random(seed)
    old = [chosen.choice("abcdefgh") for _ in range(60)]
    new = [chosen.choice("abcdefgh") if chosen.random() < 0.1 else line for line in old]
    new[:10] = reversed(new[:10])
    given = list(feeds.changes("\n".join(old).encode(), "\n".join(new).encode()))
    seen = {first + at for first, text, _ in given for at in range(text.count(b"\n") + 1)}

    for number, pair in enumerate(pairwise(new), 1):
        assert pair in set(pairwise(old)) or {number, number + 1} <= seen
    for first, text, _ in given:
        assert text.decode().split("\n") == new[first - 1 : first + text.count(b"\n")]


def test_an_engine_gets_new_lines_and_those_beside_them() -> None:
    """The other lines are empty, so that each has its number."""
    old = [f"line {number}" for number in range(20)]
    feed = feeds.Feed()

    feed.add_version(feeds.Source("a"), "\n".join(old).encode(), "\n".join([*old[:8], "new", *old[9:]]).encode())

    (text,) = feed.texts
    assert (5, [*old[4:8], "new", *old[9:14]]) == (text.first, text.data.decode().split("\n"))
    assert ["", "", "", "line 7", "new", "line 9", "", "", "", ""] == text.known_by_form.decode().split("\n")


@pytest.mark.parametrize("unit", [b"word ", b"a line of some length\n", b"a\n\nb\n", b"\n", b"x"])
def test_segments_lose_nothing(unit: bytes) -> None:
    """Whatever is shorter than the overlap is whole in one segment, at its line, and there is always a break."""
    data = b"".join(unit + b"%d" % number for number in range(20_000))
    cut = list(feeds.segments(data))

    assert all(len(piece) <= feeds.SEGMENT for _, piece in cut)
    for start in range(0, len(data) - 500, 1_000):
        piece = data[start : start + 500]
        line = data.count(b"\n", 0, start) + 1
        assert any(piece in each and line == first + each[: each.index(piece)].count(b"\n") for first, each in cut)
