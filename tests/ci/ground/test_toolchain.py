import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci.ground import errors, toolchain
from ci.ground.repo import Repo
from ci.ground.toolchain import Tool
from tests import checkouts, mirrors
from tests.mirrors import NOWHERE, VERSION, Mirror, archive, tool

# What Go 1.26 says of an age that it built, with another version.
GO_SAYS = f"""\
/x/age: go1.26.8
	path	filippo.io/age/cmd/age
	mod	filippo.io/age	v{VERSION}	h1:r6RSZLFSMm6rzKepZ7ZAYkKCu14f3/Me8c7uKYh7C8c=
	dep	filippo.io/edwards25519	v1.2.0	h1:crnVqOiS4jqYleHd9vaKZ+HKtHfllngJIiOpNpoJsjo=
"""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror without files."""
    with mirrors.serving() as server:
        yield server


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A checkout without tools, on a machine without Go."""
    (tmp_path / "no-go").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-go"))
    return Repo(tmp_path / "checkout")


def kind(name: str, type_: bytes, target: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = type_, target
    return about


def left(repo: Repo) -> list[str]:
    """What an attempt left behind, but for its lock."""
    found = [str(path.relative_to(repo.tools.parent)) for path in repo.tools.parent.rglob("*") if path.is_file()]
    return sorted(set(found) - {"lock"})


@pytest.fixture
def age(mirror: Mirror) -> tuple[Tool, dict[str, bytes]]:
    """A tool of two programs that the mirror has, and their content."""
    data, content = archive("age/LICENSE", "age/age", "age/age-keygen")
    mirror.files["/tools/age.tar.gz"] = data
    return tool("age.tar.gz", data, ["age/age", "age/age-keygen"]), content


Age = tuple[Tool, dict[str, bytes]]


@pytest.fixture
def go(tmp_path: Path, repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a `go` on PATH that "installs" itself, runs a line of shell first, and says what the real one says."""

    def make(line: str = "", says: str = GO_SAYS) -> Path:
        program = tmp_path / "no-go" / "go"
        program.write_text(
            f"#!/bin/sh\nset -eu\ncase $1 in\ninstall) {line or ':'}\n"
            f'path=${{2%@v{VERSION}}}; /bin/cp "$0" "$GOBIN/${{path##*/}}" ;;\n'
            f"version) /bin/cat <<'E'\n{says}E\nesac\n"
        )
        program.chmod(0o755)
        return program

    return make


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

    assert ["age"] == toolchain.ensure(repo, [pin], mirror.environ())

    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)
    assert content["age/age"] == repo.tool("age").read_bytes()
    assert content["age/age-keygen"] == repo.tool("age-keygen").read_bytes()
    assert os.access(repo.tool("age"), os.X_OK)


def test_a_release_file_can_be_the_program_itself(repo: Repo, mirror: Mirror) -> None:
    """A bare binary, as sops is released, ends under the program's name."""
    data = mirror.files["/tools/sops.linux"] = secrets.token_bytes(1000)

    toolchain.ensure(repo, [tool("sops.linux", data, ["sops"], name="sops")], mirror.environ())

    assert data == repo.tool("sops").read_bytes()


def test_what_is_installed_needs_no_network(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A second time nothing is done, and nobody is asked."""
    pin, _ = age
    toolchain.ensure(repo, [pin], mirror.environ())
    mirror.asked.clear()

    assert [] == toolchain.ensure(repo, [pin], mirror.environ())
    assert [] == mirror.asked


def test_another_pin_is_installed_over_it(repo: Repo, mirror: Mirror, age: Age) -> None:
    """After a version or a sum has changed, the old programs make way for the new."""
    toolchain.ensure(repo, [age[0]], mirror.environ())
    data, content = archive("age/age", "age/age-keygen")
    mirror.files["/tools/age.tar.gz"] = data

    assert ["age"] == toolchain.ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())
    assert content["age/age"] == repo.tool("age").read_bytes()


def test_a_wrong_sum_is_an_error(repo: Repo, mirror: Mirror, age: Age) -> None:
    """It names both sums, asks no further source, and leaves nothing behind."""
    pin, _ = age
    forged = mirror.files["/tools/age.tar.gz"] = archive("age/age", "age/age-keygen")[0]

    with pytest.raises(errors.ToolMismatchError, match="wrong checksum") as caught:
        toolchain.ensure(repo, [pin], mirror.environ())

    assert f"expected {pin.file[1]}" == caught.value.detail[0]
    assert hashlib.sha256(forged).hexdigest() in caught.value.detail[1]
    assert ["/tools/age.tar.gz"] == mirror.asked
    assert [] == left(repo)


def test_a_wrong_sum_leaves_what_was_there(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A new version that cannot be trusted does not take the place of the old one."""
    toolchain.ensure(repo, [age[0]], mirror.environ())
    newer = tool("age.tar.gz", b"", ["age/age", "age/age-keygen"], version="1.2.4")

    with pytest.raises(errors.ToolMismatchError):
        toolchain.ensure(repo, [newer], mirror.environ())

    assert age[1]["age/age"] == repo.tool("age").read_bytes()


def test_half_a_file_is_no_file(repo: Repo, mirror: Mirror, age: Age) -> None:
    """A connection that breaks off counts as unreachable and leaves nothing behind."""
    mirror.breaks = "age.tar.gz"

    with pytest.raises(errors.ToolMissingError) as caught:
        toolchain.ensure(repo, [age[0]], mirror.environ())

    assert "IncompleteRead" in caught.value.detail[0]
    assert [] == left(repo)


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
        toolchain.ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())

    assert [] == left(repo)
    assert {repo.root, repo.root.parent / "no-go"} == set(repo.root.parent.iterdir())


def test_what_is_no_archive(repo: Repo, mirror: Mirror) -> None:
    """A pin of something else under an archive's name is told as such."""
    data = mirror.files["/tools/age.tar.gz"] = secrets.token_bytes(1000)

    with pytest.raises(errors.ToolMismatchError, match="does not hold age/age"):
        toolchain.ensure(repo, [tool("age.tar.gz", data, ["age/age"])], mirror.environ())


def test_every_source_is_told(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The mirror comes first, then the release page, then Go; each with the reason why it failed."""
    address = {toolchain.MIRROR: f"{mirror.address}/elsewhere"}

    with pytest.raises(errors.ToolMissingError, match="cannot be installed") as caught:
        toolchain.ensure(repo, [age[0]], address)

    mirrors, release, go = caught.value.detail
    assert f"{mirror.address}/elsewhere: no file, Not Found" == mirrors
    assert release.startswith(f"{NOWHERE}: no file, ")
    assert "go install: Go is not installed" == go
    assert toolchain.MIRROR in caught.value.hint


def test_a_release_file_comes_before_go(repo: Repo, mirror: Mirror, age: Age, go: Callable[[], Path]) -> None:
    """Without a mirror, what the release page has is not built."""
    _, content = age
    go()

    toolchain.ensure(
        repo,
        [tool("age.tar.gz", mirror.files["/tools/age.tar.gz"], ["age/age"], release=f"{mirror.address}/tools")],
        {},
    )

    assert content["age/age"] == repo.tool("age").read_bytes()


def test_a_mirrors_password_is_not_told(
    repo: Repo, mirror: Mirror, age: Age, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the progress nor the reasons have what stands before the @ of an address."""
    password = secrets.token_hex()
    address = mirror.address.replace("//", f"//user:{password}@")

    with pytest.raises(errors.ToolMissingError) as caught:
        toolchain.ensure(repo, [age[0]], {toolchain.MIRROR: address})

    assert password not in f"{caught.value} {caught.value.detail} {capsys.readouterr().err}"


def test_go_builds_what_cannot_be_reached(repo: Repo, age: Age, go: Callable[[], Path]) -> None:
    """Each program is built at the pinned version, which Go confirms."""
    program = go()

    toolchain.ensure(repo, [age[0]], {})

    assert program.read_bytes() == repo.tool("age").read_bytes() == repo.tool("age-keygen").read_bytes()
    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)


def test_go_builds_for_a_platform_without_a_release_file(repo: Repo, age: Age, go: Callable[[], Path]) -> None:
    """A machine that no file is pinned for can still build."""
    go()
    pin = tool("age.tar.gz", b"", ["age"])

    assert ["age"] == toolchain.ensure(repo, [Tool(**vars(pin) | {"files": {}})], {})


@pytest.mark.parametrize("says", [GO_SAYS.replace(VERSION, "1.2.4"), "/x/age: could not read Go build info\n"])
def test_another_version_from_go_is_an_error(repo: Repo, age: Age, go: Callable[..., Path], says: str) -> None:
    """What Go does not confirm as the pinned version is not installed."""
    go(says=says)

    with pytest.raises(errors.ToolMismatchError, match="another version of age") as caught:
        toolchain.ensure(repo, [age[0]], {})

    assert f"expected v{VERSION}" == caught.value.detail[0]
    assert [] == left(repo)


def test_a_failed_build_is_told(repo: Repo, age: Age, go: Callable[[str], Path]) -> None:
    """Go's exit code and its last line are the reason."""
    go("echo first >&2; echo needs a newer Go >&2; exit 3")

    with pytest.raises(errors.ToolMissingError) as caught:
        toolchain.ensure(repo, [age[0]], {})

    assert "go install: exit code 3, needs a newer Go" == caught.value.detail[-1]


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_go_builds_without_a_home(
    repo: Repo, age: Age, go: Callable[[str], Path], home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where HOME is no use, Go's caches are below .tools, and gone afterwards."""
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    go(f"case $GOPATH$GOCACHE in {repo.tools.parent}/*) ;; *) exit 4 ;; esac")

    assert ["age"] == toolchain.ensure(repo, [age[0]], {})
    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)


def test_a_changed_program_is_found_and_replaced(repo: Repo, mirror: Mirror, age: Age) -> None:
    """The check hashes; and what has another size or time and content is installed again."""
    pin, content = age
    toolchain.ensure(repo, [pin], mirror.environ())
    toolchain.check(repo, [pin])
    repo.tool("age").write_bytes(secrets.token_bytes(10))

    with pytest.raises(errors.ToolMismatchError, match=r"not what was installed: age$"):
        toolchain.check(repo, [pin])

    assert ["age"] == toolchain.ensure(repo, [pin], mirror.environ())
    assert content["age/age"] == repo.tool("age").read_bytes()


def test_a_missing_program_is_replaced(repo: Repo, mirror: Mirror, age: Age) -> None:
    """One that somebody removed comes back, and the check names it before."""
    pin, _ = age
    toolchain.ensure(repo, [pin], mirror.environ())
    repo.tool("age-keygen").unlink()

    with pytest.raises(errors.ToolMismatchError, match=r"age-keygen$"):
        toolchain.check(repo, [pin])

    assert ["age"] == toolchain.ensure(repo, [pin], mirror.environ())


def test_a_copy_is_as_good(repo: Repo, mirror: Mirror, age: Age) -> None:
    """Programs whose times have changed but not their content are left as they are."""
    pin, _ = age
    toolchain.ensure(repo, [pin], mirror.environ())
    os.utime(repo.tool("age"), (0, 0))

    assert [] == toolchain.ensure(repo, [pin], mirror.environ())


@pytest.mark.parametrize("record", ["", "{"])
def test_a_spoilt_record_is_no_record(repo: Repo, mirror: Mirror, age: Age, record: str) -> None:
    """Half a record means that the tools are installed again, not a failure."""
    pin, _ = age
    toolchain.ensure(repo, [pin], mirror.environ())
    (repo.tools.parent / "installed.json").write_text(record)

    assert ["age"] == toolchain.ensure(repo, [pin], mirror.environ())


def installing(repo: Repo, pin: Tool, mirror: Mirror) -> "subprocess.Popen[bytes]":
    """Another process that installs."""
    code = (
        "import sys; from pathlib import Path; from ci.ground.repo import Repo\n"
        "from ci.ground.toolchain import *\n"
        f"ensure(Repo(Path(sys.argv[1])), [{pin!r}], {mirror.environ()!r})"
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
    assert content["age/age"] == repo.tool("age").read_bytes()


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

    assert ["age"] == toolchain.ensure(repo, [pin], mirror.environ())

    assert content["age/age"] == repo.tool("age").read_bytes()
    assert {"bin", "installed.json", "lock"} == {path.name for path in repo.tools.parent.iterdir()}
