import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.ground import errors, toolchain
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
    """Put a `go` on PATH that "builds" itself, runs a line of shell first, and says what the real one says."""

    def make(line: str = "", says: str = GO_SAYS) -> Path:
        program = tmp_path / "no-go" / "go"
        program.write_text(
            f"#!/bin/sh\nset -eu\ncase $1 in\nenv) echo ${{GOPROXY-}} ;;\nbuild) {line or ':'}\n"
            f'/bin/cp "$0" "$3" ;;\n'
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

    assert content["age/age"] == (repo.tools / "age").read_bytes()


def test_go_builds_what_cannot_be_reached(repo: Repo, age: Age, go: Callable[[], Path]) -> None:
    """Each program is built at the pinned version, which Go confirms."""
    program = go()

    ensure(repo, [age[0]], {})

    assert program.read_bytes() == (repo.tools / "age").read_bytes() == (repo.tools / "age-keygen").read_bytes()
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

    assert "go build: exit code 3, needs a newer Go" == caught.value.detail[-1]


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_go_builds_with_caches_of_its_own(
    repo: Repo, age: Age, go: Callable[[str], Path], home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are below .tools, and gone afterwards; a home is not needed."""
    monkeypatch.setenv("GOMODCACHE", str(repo.root / "planted"))
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    go(
        f"case $GOPATH$GOCACHE in {repo.tools.parent}/*{repo.tools.parent}/*) ;; *) exit 4 ;; esac\n"
        f'[ -z "${{GOMODCACHE-}}" ] || exit 5'
    )

    assert ["age"] == ensure(repo, [age[0]], {})
    assert ["bin/age", "bin/age-keygen", "installed.json"] == left(repo)


def test_the_machine_says_where_modules_are_from_and_no_more(
    repo: Repo, age: Age, go: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would keep Go from checking sums, or have it build other files, is not passed on to it."""
    given = {"GOFLAGS": "-mod=mod", "GONOSUMDB": "*", "GONOSUMCHECK": "1", "GOPRIVATE": "*", "GOSUMDB": "off"}
    given |= {
        "GOINSECURE": "*",
        "GOWORK": "/x",
        "GOENV": "/x",
        "GOTOOLCHAIN": "auto",
        "GOPROXY": "https://go.example",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    go(f"/usr/bin/env >{tmp_path}/seen")

    ensure(repo, [age[0]], {})

    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if line[:2] == "GO")
    assert "https://go.example" == seen.pop("GOPROXY")
    assert {"GOPATH", "GOCACHE", "GOENV", "GOFLAGS", "GOWORK", "GOTOOLCHAIN"} == seen.keys()
    assert ("off", "off", "local") == (seen["GOENV"], seen["GOWORK"], seen["GOTOOLCHAIN"])
    assert "-mod=readonly" in seen["GOFLAGS"].split()


@pytest.mark.parametrize("pin", toolchain.pins(), ids=lambda pin: pin.name)
def test_every_module_of_a_tool_has_a_sum(pin: Tool) -> None:
    """go.mod needs the pinned version and replaces nothing; go.sum has the sum of each module that it names."""
    text, sums = ((toolchain.MODULES / pin.name / name).read_text() for name in ("go.mod", "go.sum"))
    needed = re.findall(r"(?m)^(?:require )?\t?(\S+) (v\S+)", text)

    assert any(f"{path}/".startswith(f"{name}/") for path in pin.go for name, _ in needed)
    assert all(f"v{pin.version}" in dict(needed).values() for _ in pin.go)
    assert "replace" not in text
    assert [] == [name for name, version in needed if f"{name} {version} h1:" not in sums]
