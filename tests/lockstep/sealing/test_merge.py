"""Real branches, merged by the real git with the driver that `inv init` installs."""

import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.ground.repo import Repo
from ci.sealing import edit, identity, init, members, merge, recipients, sops
from ci.sealing.merge import three_way
from tests import checkouts
from tests.lockstep.sealing.vaults import DEV, LINES, findings, opens, person, values, with_old_key

FILE = "secrets/dev.enc.env"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the fixture project after `inv init`, with a colleague who opens dev."""
    folder = tmp_path_factory.mktemp("merge")
    repo = checkouts.fixture(folder).repo
    with checkouts.at_home(folder / "home"):
        init.init(repo, "acme", checkouts.value)
        repo = Repo(repo.root)  # whose name is acme
        who, own = person(repo)
        members.add(repo, DEV, who, "Anna")
        (folder / "home/anna").write_text(own.reveal())
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "ours")
    return folder


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Repo:
    shutil.copytree(template / "home", tmp_path / "home", dirs_exist_ok=True)
    return Repo(shutil.copytree(template / "clone", tmp_path / "repo", symlinks=True))


def git(repo: Repo, *words: str) -> tuple[int, str]:
    """Run git as a person would, with their identities at hand; return its exit code and what was said."""
    who = ["-c", "user.name=Merge", "-c", "user.email=merge@lockstep.example"]
    done = subprocess.run(["git", *who, *words], cwd=repo.root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def branches(repo: Repo, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Change the checkout in two ways, on main and on a branch `theirs`."""
    checkouts.git(repo.root, "checkout", "-qb", "theirs")
    theirs()
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "theirs")
    checkouts.git(repo.root, "checkout", "-q", "main")
    ours()
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "ours")


def put(repo: Repo, key: str, value: str | None = None) -> Callable[[], None]:
    return lambda: edit.put(repo, DEV, key, value or secrets.token_urlsafe(24))


def drop(repo: Repo, key: str) -> Callable[[], object]:
    return lambda: edit.edit(repo, DEV, f"sed -i /^{key}=/d")


def test_different_keys_merge(repo: Repo) -> None:
    """Each side's value is there, what nobody changed keeps its ciphertext, and the gate is content."""
    mine, other = secrets.token_urlsafe(), secrets.token_urlsafe(24)
    before = values(repo)
    branches(repo, put(repo, "SMTP_PASSWORD", mine), put(repo, "API_TOKENS", other))
    lines = set(repo.sealed(DEV).read_text().partition("sops_")[0].splitlines())

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 0, told
    assert before | {"SMTP_PASSWORD": mine, "API_TOKENS": other} == values(repo)
    assert 1 == len(set(repo.sealed(DEV).read_text().partition("sops_")[0].splitlines()) - lines)
    assert [] == [value for value in values(repo).values() if value in told]
    assert set() == findings(repo)


def test_several_lines_merge(repo: Repo) -> None:
    """Byte for byte, from theirs as from ours, also when the merged file is sealed anew."""
    value = values(repo)["API_TOKENS"]

    def theirs() -> None:
        edit.put(repo, DEV, "SMTP_PASSWORD", LINES)
        members.add(repo, DEV, person(repo, "third")[0], "Third")

    branches(repo, put(repo, "API_TOKENS", f"{value},{value}"), theirs)

    git(repo, "merge", "--no-edit", "theirs")

    assert (LINES, f"{value},{value}") == (values(repo)["SMTP_PASSWORD"], values(repo)["API_TOKENS"])


def test_a_branch_is_rebased_alike(repo: Repo) -> None:
    """Rebase asks the same driver."""
    mine, other = secrets.token_urlsafe(), secrets.token_urlsafe(24)
    branches(repo, put(repo, "SMTP_PASSWORD", mine), put(repo, "API_TOKENS", other))

    code, told = git(repo, "rebase", "-q", "theirs")

    assert code == 0, told
    assert (mine, other) == (values(repo)["SMTP_PASSWORD"], values(repo)["API_TOKENS"])


def test_one_key_changed_both_ways_is_a_conflict(repo: Repo) -> None:
    """The key is named, ours stays for it, the rest is merged, and no value is told or written in clear."""
    mine, other, third = (secrets.token_urlsafe(24) for _ in "abc")

    def theirs() -> None:
        edit.put(repo, DEV, "SMTP_PASSWORD", other)
        edit.put(repo, DEV, "API_TOKENS", third)

    branches(repo, put(repo, "SMTP_PASSWORD", mine), theirs)

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 1
    assert f"CONFLICT (content): Merge conflict in {FILE}" in told
    assert "SMTP_PASSWORD was changed on both sides" in told
    assert "API_TOKENS was" not in told
    assert f"UU {FILE}" in git(repo, "status", "--porcelain")[1]
    assert (mine, third) == (values(repo)["SMTP_PASSWORD"], values(repo)["API_TOKENS"])
    everything = b"".join(path.read_bytes() for path in repo.root.rglob("*") if path.is_file()) + told.encode()
    assert [] == [value for value in (mine, other, third) if value.encode() in everything]
    edit.put(repo, DEV, "SMTP_PASSWORD", other)
    assert set() == findings(repo)


def test_the_same_change_on_both_sides_is_none(repo: Repo) -> None:
    """Two people who set the same value agree."""
    value = secrets.token_urlsafe()
    branches(repo, put(repo, "SMTP_PASSWORD", value), put(repo, "SMTP_PASSWORD", value))

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 0, told
    assert value == values(repo)["SMTP_PASSWORD"]


def test_a_key_that_one_side_removed(repo: Repo) -> None:
    """It goes where the other side left it alone, and is a conflict where the other side changed it."""
    branches(repo, put(repo, "SMTP_PASSWORD"), drop(repo, "API_TOKENS"))
    assert git(repo, "merge", "--no-edit", "theirs")[0] == 0
    assert "API_TOKENS" not in values(repo)

    checkouts.git(repo.root, "branch", "-qD", "theirs")
    branches(repo, put(repo, "SMTP_PASSWORD"), drop(repo, "SMTP_PASSWORD"))
    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 1
    assert "SMTP_PASSWORD was changed on both sides" in told
    assert "SMTP_PASSWORD" in values(repo)


@pytest.mark.parametrize("identity_", [None, "another"])
def test_without_the_identity_it_is_refused(repo: Repo, identity_: str | None) -> None:
    """Ours stays as it was, the file is in conflict, and what to do is told."""
    branches(repo, put(repo, "SMTP_PASSWORD"), put(repo, "API_TOKENS"))
    ours = repo.sealed(DEV).read_bytes()
    identity.path(repo, DEV).unlink()
    if identity_:
        identity.make(repo, identity.path(repo, DEV))

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 1
    assert ("does not open" if identity_ else "no identity for dev here") in told
    assert ours == repo.sealed(DEV).read_bytes()
    assert f"UU {FILE}" in git(repo, "status", "--porcelain")[1]
    assert "Traceback" not in told


@pytest.mark.parametrize("who_removes", ["ours", "theirs"])
def test_who_was_removed_on_one_side_stays_removed(repo: Repo, template: Path, who_removes: str) -> None:
    """The merge has a data key that they never had, so the pair check passes over the whole history."""

    def remove() -> None:
        members.remove(repo, DEV, name="Anna")

    value = secrets.token_urlsafe()
    sides = (remove, put(repo, "SMTP_PASSWORD", value))
    branches(repo, *(sides if who_removes == "ours" else sides[::-1]))

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 0, told
    assert value == values(repo)["SMTP_PASSWORD"]
    assert not opens(repo, identity.at_hand(repo, DEV, {identity.VARIABLE: (template / "home/anna").read_text()}))
    assert set() == findings(repo)


def test_a_data_key_that_one_side_replaced_does_not_come_back(repo: Repo) -> None:
    """After sops rotate on a branch, none of the merged values opens with the data key of before."""
    old, own = repo.sealed(DEV).read_bytes(), identity.at_hand(repo, DEV)

    def rotate() -> None:
        sops.call(repo, ["rotate", "-i", str(repo.sealed(DEV))], identity=own)

    branches(repo, put(repo, "SMTP_PASSWORD"), rotate)
    assert git(repo, "merge", "--no-edit", "theirs")[0] == 0

    new = repo.sealed(DEV).read_bytes()
    assert dict.fromkeys(values(repo), 25) == with_old_key(repo, own, old, new)


def test_a_reader_whom_only_theirs_names_is_left_to_people(repo: Repo) -> None:
    """A merge lets nobody in; once somebody did, all is well."""
    who, own = person(repo, "third")
    value = secrets.token_urlsafe()
    branches(repo, put(repo, "SMTP_PASSWORD", value), lambda: members.add(repo, DEV, who, "Bob"))

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 1
    assert f"theirs lets {who} open it" in told
    assert value == values(repo)["SMTP_PASSWORD"]
    assert not opens(repo, own)
    assert who in [one.key for one in recipients.read(repo)[DEV]]
    members.add(repo, DEV, who)
    assert opens(repo, own)
    assert set() == findings(repo)


def test_a_reader_who_was_smuggled_in_gets_nothing(repo: Repo) -> None:
    """Whoever sealed theirs for somebody else has that file, and not ours."""
    who, own = person(repo, "third")

    def smuggle() -> None:
        text = (repo.root / ".sops.yaml").read_text()
        members.add(repo, DEV, who)
        (repo.root / ".sops.yaml").write_text(text)

    branches(repo, put(repo, "SMTP_PASSWORD"), smuggle)

    git(repo, "merge", "--no-edit", "theirs")

    assert not opens(repo, own)


def test_a_version_that_leads_sops_elsewhere_is_refused(repo: Repo) -> None:
    """Theirs can be a stranger's; ours stays as it was."""

    def lead() -> None:
        edit.put(repo, DEV, "API_TOKENS", secrets.token_urlsafe(24))
        path = repo.sealed(DEV)
        path.write_text(f"{path.read_text()}sops_hc_vault__list_0__map_vault_address=http://127.0.0.1:9/\n")

    branches(repo, put(repo, "SMTP_PASSWORD"), lead)
    ours = repo.sealed(DEV).read_bytes()

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 1
    assert "metadata that does not belong" in told
    assert ours == repo.sealed(DEV).read_bytes()


def test_a_file_that_both_sides_made(repo: Repo) -> None:
    """There is no version before; what each side has is merged."""
    checkouts.git(repo.root, "rm", "-q", FILE)
    checkouts.git(repo.root, "commit", "-qm", "no dev")
    branches(repo, put(repo, "SMTP_PASSWORD"), put(repo, "API_TOKENS"))

    code, told = git(repo, "merge", "--no-edit", "theirs")

    assert code == 0, told
    assert {"SMTP_PASSWORD", "API_TOKENS"} == values(repo).keys()


def test_a_clone_learns_how_to_merge_by_init(repo: Repo, tmp_path: Path) -> None:
    """The command stands in the clone's own configuration, so init says no to the rest and still installs it."""
    checkouts.git(tmp_path, "clone", "-q", str(repo.root), "second")
    checkouts.tools(tmp_path / "second")
    second = checkouts.Clone(Repo(tmp_path / "second"), tmp_path / "home", tmp_path)

    second.inv("init", code=26)

    assert (
        f" {tmp_path}/second/.git/lockstep %O %A %B %P\n" in git(second.repo, "config", "merge.lockstep.driver")[1]
    )
    committed = (repo.root / ".gitattributes").read_text()
    assert "secrets/*.enc.env merge=lockstep\n" in committed
    assert str(checkouts.ROOT) not in committed


def brings(repo: Repo, name: str, text: str) -> None:
    (repo.root / name).parent.mkdir(parents=True, exist_ok=True)
    (repo.root / name).write_text(text)
    checkouts.git(repo.root, "add", "-f", name)


@pytest.mark.parametrize("how", ["merged", "checked out", "rebased"])
@pytest.mark.parametrize(
    "name",
    [
        "ci/sealing/merge.py",
        "ci/__init__.py",
        "runtime/secret.py",
        "yaml.py",
        "sitecustomize.py",
        ".venv/lib/python3.11/site-packages/sitecustomize.py",
    ],
)
def test_a_branch_brings_no_code_of_the_driver(
    repo: Repo, tmp_path: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merging it, or main into it, runs none of its code, whatever modules it has; and the values are merged."""
    mine, other = secrets.token_urlsafe(), secrets.token_urlsafe(24)
    merge.install(repo)
    monkeypatch.setenv("PYTHONPATH", str(repo.root))

    def theirs() -> None:
        put(repo, "API_TOKENS", other)()
        brings(repo, name, f"open({str(tmp_path / 'stolen')!r}, 'w')\n")

    branches(repo, put(repo, "SMTP_PASSWORD", mine), theirs)
    if how != "merged":
        git(repo, "checkout", "-q", "theirs")
    words = {"merged": ["merge", "--no-edit", "theirs"], "checked out": ["merge", "--no-edit", "main"]}

    code, told = git(repo, *words.get(how, ["rebase", "-q", "main"]))

    assert code == 0, told
    assert not (tmp_path / "stolen").exists()
    assert (mine, other) == (values(repo)["SMTP_PASSWORD"], values(repo)["API_TOKENS"])


def test_a_branch_brings_no_program_of_the_driver(repo: Repo, tmp_path: Path) -> None:
    """A sops that a branch tracks, with a record of its own, is not what was installed when the driver was."""
    merge.install(repo)
    branches(repo, put(repo, "SMTP_PASSWORD"), put(repo, "API_TOKENS"))
    link = repo.root / ".git/lockstep/.tools/bin"  # to this clone's own tools, as if they had been installed there
    link.unlink()
    link.symlink_to(repo.root / ".tools/bin")
    git(repo, "checkout", "-q", "theirs")
    shutil.rmtree(repo.root / ".tools")
    brings(repo, ".tools/bin/sops", f"#!/bin/sh\ntouch {tmp_path}/stolen\nexit 1\n")
    (repo.root / ".tools/bin/sops").chmod(0o755)
    checkouts.recorded(repo.root / ".tools/bin")
    checkouts.git(repo.root, "add", "-f", ".tools")
    checkouts.git(repo.root, "commit", "-qm", "tools")

    code, told = git(repo, "merge", "--no-edit", "main")

    assert code
    assert "not what was installed: sops" in told
    assert not (tmp_path / "stolen").exists()


SIDE = st.dictionaries(st.sampled_from("ABC"), st.sampled_from("xyz"))


@given(SIDE, SIDE, SIDE)
def test_a_three_way_merge_loses_no_change(
    base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> None:
    """For each key: what one side changed wins, what both changed alike stands, and the rest is a conflict."""
    merged, conflicts = three_way(base, ours, theirs)

    for key in "ABC":
        old, mine, other, now = (side.get(key) for side in (base, ours, theirs, merged))
        assert (key in conflicts) == (mine != old and other not in (old, mine))
        assert now == (other if mine == old else mine)
