import base64
import gzip
import io
import lzma
import marshal
import pickle
import secrets
import sqlite3
import tarfile
import zlib
from collections.abc import Callable

import pytest

from ci.gates import leaks
from ci.ground.repo import Repo
from tests.lockstep.gates.leaks.archives import tarred, zipped
from tests.lockstep.gates.leaks.cases import made_up
from tests.lockstep.gates.leaks.repos import commit, ids

KEY = "SMTP_PASSWORD"


def linked(value: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, f"{KEY}={value}"
        archive.addfile(link)
    return packed.getvalue()


def database(value: str) -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table settings (name text, value text)")
        connection.execute("insert into settings values (?, ?)", (KEY, value))
        connection.commit()
        return connection.serialize()


def workbook(value: str) -> bytes:
    cells = f"<sst><si><t>{KEY}</t></si><si><t>{value}</t></si></sst>"
    return zipped("xl/sharedStrings.xml", cells.encode())


PACKED: dict[str, Callable[[str], bytes]] = {
    "after a program": lambda value: b"#!/usr/bin/env python3\n" + zipped("a.env", f"{KEY}={value}\n".encode()),
    "lzma": lambda value: lzma.compress(f"{KEY}={value}\n".encode(), format=lzma.FORMAT_ALONE),
    "zlib": lambda value: zlib.compress(f"{KEY}={value}\n".encode()),
    "base64 of gzip": lambda value: base64.b64encode(gzip.compress(f"{KEY}={value}\n".encode())),
    "base64 of zip": lambda value: base64.encodebytes(zipped("a.env", f"{KEY}={value}\n".encode())),
    "pickle": lambda value: pickle.dumps({KEY: value}),
    "bytecode": lambda value: bytes(16) + marshal.dumps(compile(f"{KEY} = '{value}'", "x", "exec")),
    "PDF": lambda value: b"%PDF-1.4\nstream\n" + zlib.compress(f"{KEY}={value}\n".encode()) + b"\nendstream",
    "UTF-32": lambda value: f"{KEY}={value}\n".encode("utf-32"),
    "a link in a tar": linked,
    "SQLite": database,
    "a workbook": workbook,
    "zip in tar": lambda value: tarred({"a.zip": zipped("a.env", f"{KEY}={value}\n".encode())}),
}


@pytest.mark.parametrize(
    "content",
    [
        *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01", b"PK\x03\x04broken", b"\x1f\x8b\x08junk"),
        *(b"MSCF", b"\x1f\x9d\x90", b"LZIP", b"xar!", b"hsqs", b"070701", b"\xed\xab\xee\xdb"),
    ],
)
def test_an_archive_that_cannot_be_opened(repo: Repo, content: bytes) -> None:
    """An archive that the gate cannot look into is a finding."""
    commit(repo, "thing", content + secrets.token_bytes(40))

    assert ["leaks/unreadable-archive"] == ids(leaks.check(repo))


def test_what_is_packed_is_found(repo: Repo) -> None:
    """A secret is found in each kind of file that holds it in another form than text."""
    for number, pack in enumerate(PACKED.values()):
        (repo.root / f"{number}.dat").write_bytes(pack(made_up()["t"]))
    found = {
        int(one.place.partition(".")[0]) for one in leaks.check_folder(repo) if one.rule == "leaks/schema-key"
    }

    assert [] == [name for number, name in enumerate(PACKED) if number not in found]


def test_a_private_key_in_der(repo: Repo) -> None:
    """A private key without the words around its base64 is known by its first bytes."""
    content = bytes.fromhex("302e020100300506032b657004220420") + secrets.token_bytes(32)
    commit(repo, "signing.bin", content)

    assert ["leaks/key-file"] == ids(leaks.check(repo))
