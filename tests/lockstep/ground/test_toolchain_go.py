from collections.abc import Callable
from pathlib import Path

import pytest

from ci.ground import errors
from ci.ground.repo import Repo
from ci.ground.toolchain import Tool
from tests.lockstep.ground.tools import Age, ensure, left
from tests.lockstep.mirrors import VERSION, Mirror, tool

# What Go 1.26 says of an age that it built, with another version.
GO_SAYS = f"""\
/x/age: go1.26.8
	path	filippo.io/age/cmd/age
	mod	filippo.io/age	v{VERSION}	h1:r6RSZLFSMm6rzKepZ7ZAYkKCu14f3/Me8c7uKYh7C8c=
	dep	filippo.io/edwards25519	v1.2.0	h1:crnVqOiS4jqYleHd9vaKZ+HKtHfllngJIiOpNpoJsjo=
"""


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


def test_a_release_file_comes_before_go(repo: Repo, mirror: Mirror, age: Age, go: Callable[[], Path]) -> None:
    """Without a mirror, what the release page has is not built."""
    _, content = age
    go()

    ensure(
        repo,
        [tool("age.tar.gz", mirror.files["/tools/age.tar.gz"], ["age/age"], release=f"{mirror.address}/tools")],
        {},
    )

    assert content["age/age"] == repo.tool("age").read_bytes()


def test_go_builds_what_cannot_be_reached(repo: Repo, age: Age, go: Callable[[], Path]) -> None:
    """Each program is built at the pinned version, which Go confirms."""
    program = go()

    ensure(repo, [age[0]], {})

    assert program.read_bytes() == repo.tool("age").read_bytes() == repo.tool("age-keygen").read_bytes()
    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)


def test_go_builds_for_a_platform_without_a_release_file(repo: Repo, age: Age, go: Callable[[], Path]) -> None:
    """A machine that no file is pinned for can still build."""
    go()
    pin = tool("age.tar.gz", b"", ["age"])

    assert ["age"] == ensure(repo, [Tool(**vars(pin) | {"files": {}})], {})


@pytest.mark.parametrize("says", [GO_SAYS.replace(VERSION, "1.2.4"), "/x/age: could not read Go build info\n"])
def test_another_version_from_go_is_an_error(repo: Repo, age: Age, go: Callable[..., Path], says: str) -> None:
    """What Go does not confirm as the pinned version is not installed."""
    go(says=says)

    with pytest.raises(errors.ToolMismatchError, match="another version of age") as caught:
        ensure(repo, [age[0]], {})

    assert f"expected v{VERSION}" == caught.value.detail[0]
    assert [] == left(repo)


def test_a_failed_build_is_told(repo: Repo, age: Age, go: Callable[[str], Path]) -> None:
    """Go's exit code and its last line are the reason."""
    go("echo first >&2; echo needs a newer Go >&2; exit 3")

    with pytest.raises(errors.ToolMissingError) as caught:
        ensure(repo, [age[0]], {})

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

    assert ["age"] == ensure(repo, [age[0]], {})
    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)
