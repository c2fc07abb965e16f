import secrets
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.gates.sealing import ciphertext, rulesfile, sealed, tracked
from ci.ground import command
from ci.ground.repo import Repo
from ci.sealing import identity, sops

ENVIRONMENTS = ["dev", "staging", "prod"]


@settings(max_examples=300)
@given(
    data=st.one_of(
        st.binary(max_size=400), st.text(alphabet="AB=#\n\rsop_]ENC[,:data", max_size=200).map(str.encode)
    )
)
def test_any_bytes_are_no_sealed_file(data: bytes) -> None:
    """Whatever stands there, it is found and there is no traceback."""
    assert sealed.read("secrets/dev.enc.env", data).findings


@settings(max_examples=200)
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text(alphabet="creation_rules: -[]{}&*!age\n\t'", max_size=120).map(str.encode)
    )
)
def test_any_bytes_are_no_rules(data: bytes) -> None:
    """Whatever stands in .sops.yaml, it is found and there is no traceback."""
    assert rulesfile.read(data, ENVIRONMENTS).findings


@settings(max_examples=200)
@given(
    path=st.text(min_size=1, max_size=60),
    data=st.binary(max_size=100),
    mode=st.sampled_from(["100644", "120000", "160000"]),
)
def test_any_path_can_be_judged(path: str, data: bytes, mode: str) -> None:
    """Whatever a file is called, what is told of it can be printed."""
    found = list(tracked.look({path: tracked.Entry(mode, data)}, ENVIRONMENTS, ["SMTP_PASSWORD"]))

    assert all(one.place.isprintable() for one in found)


def mutated(lines_: list[bytes], kind: str, row: int, column: int, byte: int) -> bytes:
    """Return a sealed file with one value line flipped, swapped, cut, doubled or moved."""
    rows = list(lines_)
    line = rows[row]
    at = line.index(b"=") + 1 + column % (len(line) - line.index(b"=") - 2)
    match kind:
        case "flip":
            rows[row] = line[:at] + bytes([byte]) + line[at + 1 :]
        case "insert":
            rows[row] = line[:at] + bytes([byte]) + line[at:]
        case "delete":
            rows[row] = line[:at] + line[at + 1 :]
        case "swap":
            rows[row], rows[(row + 1) % 5] = rows[(row + 1) % 5], rows[row]
        case "double":
            rows.insert(row, line)
        case "drop":
            del rows[row]
    return b"".join(rows)


ALPHABET = b"ABCyz019+/=,:[]# \\n\x00\xff"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["flip", "insert", "delete", "swap", "double", "drop"]),
    where=st.tuples(st.integers(0, 4), st.integers(0, 10_000)),
    byte=st.sampled_from(ALPHABET),
)
def test_a_changed_value_is_found_or_does_not_decrypt(
    template: Path, tmp_path: Path, kind: str, where: tuple[int, int], byte: int
) -> None:
    """What the gate lets through, sops refuses: together they leave no way to change a value."""
    repo = Repo(template)
    before = repo.sealed("dev").read_bytes()
    after = mutated(before.splitlines(keepends=True), kind, *where, byte)

    found = sealed.read("secrets/dev.enc.env", after).findings
    own = {"SOPS_AGE_KEY": identity.at_hand(repo, "dev").reveal(), "HOME": str(tmp_path)}
    words = sops.decrypt_stdin("dev.enc.env")
    refused = bool(found) or command.attempt([repo.tool("sops"), *words], input=after, env=own).code != 0

    assert (after != before) == refused


@settings(max_examples=300)
@given(data=st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=9, max_size=60))
def test_text_is_never_taken_for_ciphertext(data: str) -> None:
    """Printable text of nine characters or more is made up."""
    assert ciphertext.made_up(data.encode())


def test_random_bytes_are_not_taken_for_text() -> None:
    """Of values as long as a token, none in 20,000 is."""
    found = [one for one in (secrets.token_bytes(24) for _ in range(20_000)) if ciphertext.made_up(one)]

    assert [] == found
