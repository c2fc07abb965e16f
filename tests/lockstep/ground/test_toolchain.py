import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tarfile

import pytest

from ci.ground import errors, toolchain
from ci.ground.events import Began, Ended
from ci.ground.repo import Repo
from ci.ground.toolchain import Tool
from tests import checkouts
from tests.lockstep.ground.tools import Age, ensure, left
from tests.lockstep.mirrors import NOWHERE, Mirror, archive, tool


def test_every_tool_is_pinned_for_every_platform() -> None:
    """Four platforms, each with a file of its own that carries the version, and a sha256."""
    platforms = {"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"}
    pinned = toolchain.pins()
    sums = [sha256 for one in pinned for _, sha256 in one.files.values() if re.fullmatch("[0-9a-f]{64}", sha256)]

    assert ["sops", "age", "gitleaks", "actionlint"] == [one.name for one in pinned]
    assert all(platforms == one.files.keys() for one in pinned)
    assert all(one.version in name for one in pinned for name, _ in one.files.values())
    assert all(one.release.endswith(f"/v{one.version}") for one in pinned)
    assert 16 == len(set(sums)) == len({name for one in pinned for name, _ in one.files.values()})


def test_a_release_archive_is_unpacked(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The pinned programs, and nothing else from the archive, are there and can be run."""
    pin, content = age

    assert ["age"] == ensure(repo, [pin], mirror.environ())

    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)
    assert content["age/age"] == (repo.tools / "age").read_bytes()
    assert content["age/age-keygen"] == (repo.tools / "age-keygen").read_bytes()
    assert os.access(repo.tools / "age", os.X_OK)


def test_an_installation_is_two_events(repo: Repo, mirror: Mirror, age: Age) -> None:
    """It begins with the source that is asked, and ends with the seconds that it took; nothing is printed."""
    address = mirror.environ()[toolchain.MIRROR].rstrip("/")

    began, ended = toolchain.ensure(repo, [age[0]], mirror.environ())

    assert Began("install", f"age 1.2.3 from {address}") == began
    assert isinstance(ended, Ended)
    assert ("install", "age 1.2.3") == (ended.step, ended.text)
    assert 0 < ended.seconds < 10


def test_a_release_file_can_be_the_program_itself(repo: Repo, mirror: Mirror) -> None:
    """A bare binary, as sops is released, ends under the program's name."""
    data = mirror.files["/tools/sops.linux"] = secrets.token_bytes(1000)

    ensure(repo, [tool("sops.linux", data, ["sops"], name="sops")], mirror.environ())

    assert data == (repo.tools / "sops").read_bytes()


def test_what_is_installed_needs_no_network(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A second time nothing is done, and nobody is asked."""
    pin, _ = age
    ensure(repo, [pin], mirror.environ())
    mirror.asked.clear()

    assert [] == ensure(repo, [pin], mirror.environ())
    assert [] == mirror.asked


def test_another_pin_is_installed_over_it(repo: Repo, mirror: Mirror, age: Age) -> None:
    """After a version or a sum has changed, the old programs make way for the new."""
    ensure(repo, [age[0]], mirror.environ())
    data, content = archive("age/age", "age/age-keygen")
    mirror.files["/tools/age.tar.gz"] = data

    assert ["age"] == ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())
    assert content["age/age"] == (repo.tools / "age").read_bytes()


def test_a_wrong_sum_is_an_error(repo: Repo, mirror: Mirror, age: Age) -> None:
    """It names both sums, asks no further source, and leaves nothing behind."""
    pin, _ = age
    forged = mirror.files["/tools/age.tar.gz"] = archive("age/age", "age/age-keygen")[0]

    with pytest.raises(errors.ToolMismatchError, match="wrong checksum") as caught:
        ensure(repo, [pin], mirror.environ())

    assert f"expected {pin.file[1]}" == caught.value.detail[0]
    assert hashlib.sha256(forged).hexdigest() in caught.value.detail[1]
    assert ["/tools/age.tar.gz"] == mirror.asked
    assert [] == left(repo)


def test_a_wrong_sum_leaves_what_was_there(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A new version that cannot be trusted does not take the place of the old one."""
    ensure(repo, [age[0]], mirror.environ())
    newer = tool("age.tar.gz", b"", ["age/age", "age/age-keygen"], version="1.2.4")

    with pytest.raises(errors.ToolMismatchError):
        ensure(repo, [newer], mirror.environ())

    assert age[1]["age/age"] == (repo.tools / "age").read_bytes()


def test_half_a_file_is_no_file(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A connection that breaks off counts as unreachable and leaves nothing behind."""
    mirror.breaks = "age.tar.gz"

    with pytest.raises(errors.ToolMissingError) as caught:
        ensure(repo, [age[0]], mirror.environ())

    assert "IncompleteRead" in caught.value.detail[0]
    assert [] == left(repo)


def kind(name: str, type_: bytes, target: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = type_, target
    return about


@pytest.mark.parametrize(
    "member",
    [
        "age/other",
        "../age/age",
        "/age/age",
        kind("age/age", tarfile.DIRTYPE),
        kind("age/age", tarfile.SYMTYPE, "/etc/passwd"),
        kind("age/age", tarfile.LNKTYPE, "../../../../etc/passwd"),
        kind("age/age", tarfile.FIFOTYPE),
    ],
    ids=["missing", "above", "absolute", "folder", "symlink", "hardlink", "fifo"],
)
def test_an_archive_without_the_program(repo: Repo, mirror: Mirror, member: tarfile.TarInfo | str) -> None:
    """Only a regular file of exactly the pinned path will do; nothing else is written anywhere."""
    data = mirror.files["/tools/age.tar.gz"] = archive(member)[0]

    with pytest.raises(errors.ToolMismatchError, match="does not hold age/age"):
        ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())

    assert [] == left(repo)
    assert {repo.root, repo.root.parent / "no-go"} == set(repo.root.parent.iterdir())


def test_what_is_no_archive(repo: Repo, mirror: Mirror) -> None:
    """A pin of something else under an archive's name is told as such."""
    data = mirror.files["/tools/age.tar.gz"] = secrets.token_bytes(1000)

    with pytest.raises(errors.ToolMismatchError, match="does not hold age/age"):
        ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())


def test_every_source_is_told(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The mirror comes first, then the release page, then Go; each with the reason why it failed."""
    address = {toolchain.MIRROR: f"{mirror.address}/elsewhere"}

    with pytest.raises(errors.ToolMissingError, match="cannot be installed") as caught:
        ensure(repo, [age[0]], address)

    mirrors, release, go = caught.value.detail
    assert f"{mirror.address}/elsewhere: no file, Not Found" == mirrors
    assert release.startswith(f"{NOWHERE}: no file, ")
    assert "go build: Go is not installed" == go
    assert toolchain.MIRROR in caught.value.hint


def test_a_mirrors_password_is_not_told(
    repo: Repo, mirror: Mirror, age: Age, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the progress nor the reasons have what stands before the @ of an address."""
    password = secrets.token_hex()
    address = mirror.address.replace("//", f"//user:{password}@")

    with pytest.raises(errors.ToolMissingError) as caught:
        ensure(repo, [age[0]], {toolchain.MIRROR: address})

    assert password not in f"{caught.value} {caught.value.detail} {capsys.readouterr().err}"


def test_a_changed_program_is_found_and_replaced(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The check hashes; and what has another size or time and content is installed again."""
    pin, content = age
    ensure(repo, [pin], mirror.environ())
    toolchain.check(repo, [pin])
    (repo.tools / "age").write_bytes(secrets.token_bytes(10))

    with pytest.raises(errors.ToolMismatchError, match=r"not what was installed: age$"):
        toolchain.check(repo, [pin])

    assert ["age"] == ensure(repo, [pin], mirror.environ())
    assert content["age/age"] == (repo.tools / "age").read_bytes()


def test_a_missing_program_is_replaced(repo: Repo, mirror: Mirror, age: Age) -> None:
    """One that somebody removed comes back, and the check names it before."""
    pin, _ = age
    ensure(repo, [pin], mirror.environ())
    (repo.tools / "age-keygen").unlink()

    with pytest.raises(errors.ToolMismatchError, match=r"age-keygen$"):
        toolchain.check(repo, [pin])

    assert ["age"] == ensure(repo, [pin], mirror.environ())


def test_a_copy_is_as_good(repo: Repo, mirror: Mirror, age: Age) -> None:
    """Programs whose times have changed but not their content are left as they are."""
    pin, _ = age
    ensure(repo, [pin], mirror.environ())
    os.utime(repo.tools / "age", (0, 0))

    assert [] == ensure(repo, [pin], mirror.environ())


@pytest.mark.parametrize("record", ["", "{"])
def test_a_spoilt_record_is_no_record(repo: Repo, mirror: Mirror, age: Age, record: str) -> None:
    """Half a record means that the tools are installed again, not a failure."""
    pin, _ = age
    ensure(repo, [pin], mirror.environ())
    (repo.tools.parent / "installed.json").write_text(record)

    assert ["age"] == ensure(repo, [pin], mirror.environ())


def installing(repo: Repo, pin: Tool, mirror: Mirror) -> "subprocess.Popen[bytes]":
    """Another process that installs."""
    code = (
        "import sys; from pathlib import Path; from ci.ground.repo import Repo\n"
        "from ci.ground.toolchain import *\n"
        f"list(ensure(Repo(Path(sys.argv[1])), [{pin!r}], {mirror.environ()!r}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(repo.root)], cwd=checkouts.ROOT, stderr=subprocess.PIPE
    )


def test_two_at_once_take_turns(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The second waits for the first, and then has nothing to do."""
    pin, content = age
    mirror.stalls = "age.tar.gz"

    both = [installing(repo, pin, mirror), installing(repo, pin, mirror)]
    assert mirror.stalled.wait(20)
    mirror.stalls = "nothing"
    mirror.released.set()
    for process in both:
        process.communicate(timeout=20)

    assert [0, 0] == [process.returncode for process in both]
    assert ["/tools/age.tar.gz"] == mirror.asked
    assert content["age/age"] == (repo.tools / "age").read_bytes()


def test_one_that_is_killed_is_completed_by_the_next(repo: Repo, mirror: Mirror, age: Age) -> None:
    """After SIGKILL in the middle of a download no lock and no half file is in the way."""
    pin, content = age
    mirror.stalls = "age.tar.gz"
    process = installing(repo, pin, mirror)
    assert mirror.stalled.wait(20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    mirror.stalls = "nothing"
    assert [] == left(repo)

    assert ["age"] == ensure(repo, [pin], mirror.environ())

    assert content["age/age"] == (repo.tools / "age").read_bytes()
    assert {"bin", "installed.json", "lock"} == {path.name for path in repo.tools.parent.iterdir()}
