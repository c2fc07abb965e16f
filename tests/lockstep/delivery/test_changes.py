"""The lines of a plan, for two releases that differ in one thing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci.delivery import plan
from ci.delivery.plan import Plan
from ci.delivery.release import Job, Release
from ci.ground import git, services
from ci.ground.repo import Repo
from tests.lockstep.delivery import releases
from tests.lockstep.delivery.releases import SHELL, TOOL, WEB, service

OLD = releases.release()
MIGRATE = services.Job(("npm", "run", "migrate"), ("web",))


class Noting:
    """An engine that notes which releases it compared."""

    versioned = True

    def changes(self, before: Release | None, after: Release) -> Sequence[str]:
        """Return a line of its own when they are not the same."""
        return [] if before == after else [f"engine {before and before.number} → {after.number}"]


NOTING = cast("Any", Noting())


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return releases.repository(tmp_path_factory.mktemp("changes") / "repo")


def changed(repo: Repo, before: Release | None, after: Release) -> list[str]:
    """Return the changes but that of the engine, which is the last."""
    *lines, last = plan.changes(repo, NOTING, before, after)
    assert f"engine {before and before.number} → {after.number}" == last
    return lines


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ({"LEVEL": "debug", "SIZE": "1"}, ["plain     ~ LEVEL: info → debug"]),
        ({"LEVEL": "info"}, ["plain     - SIZE"]),
        ({"B": "2", "A": "1", "LEVEL": "info", "SIZE": "1"}, ["plain     + A=1", "plain     + B=2"]),
    ],
)
def test_plain_values(repo: Repo, plain: dict[str, str], expected: list[str]) -> None:
    """Each that is new, gone or another, by name."""
    assert expected == changed(repo, OLD, replace(OLD, plain=plain))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (service(WEB, 1, ["LEVEL", "PASSWORD"]), ["replicas  web 2 → 1"]),
        (
            service(replace(WEB, port=1, single=True), 2, ["LEVEL", "PASSWORD"]),
            ["service   ~ web: port, single"],
        ),
        (service(WEB, 2, ["B", "LEVEL", "A"]), ["keys of web: + A, + B, - PASSWORD"]),
        (service(WEB, 2, ["PASSWORD", "LEVEL"]), ["keys of web: their order"]),
        (
            service(replace(WEB, image="x"), 3, []),
            ["replicas  web 2 → 3", "service   ~ web: image", "keys of web: - LEVEL, - PASSWORD"],
        ),
        (service(WEB, 2, ["LEVEL", "PASSWORD"], "another bundle"), []),
    ],
)
def test_a_service_that_changes(repo: Repo, given: Any, expected: list[str]) -> None:
    """Its replicas, what it declares and its keys; its bundle is another in each release."""
    assert expected == changed(repo, OLD, replace(OLD, services={**OLD.services, "web": given}))


def test_services_and_jobs_that_come_and_go(repo: Repo) -> None:
    """Each by name, a new service with its replicas."""
    new = {"a": service(WEB, 2), "b": service(SHELL), "web": OLD.services["web"]}
    jobs = {"other": Job(TOOL, [])}

    assert [
        "service   + a, 2 replicas",
        "service   + b, 1 replica",
        "service   - shell",
        "job       - tool",
        "job       + other",
    ] == changed(repo, OLD, replace(OLD, services=new, jobs=jobs))


def test_a_job_that_changes(repo: Repo) -> None:
    """What it declares, and not its bundle."""
    other = replace(TOOL, when="x", image="node")
    jobs = {"tool": Job(other, ["LEVEL", "TOKEN"]), "same": Job(TOOL, [])}

    assert ["job       ~ tool: when, image"] == changed(
        repo, replace(OLD, jobs={**OLD.jobs, "same": Job(TOOL, [], "a bundle")}), replace(OLD, jobs=jobs)
    )


def test_the_first_release(repo: Repo) -> None:
    """All of it is new."""
    first = releases.release(plain={"A": "1"}, sealed=["S"], services={"web": service(WEB)}, jobs={})

    assert ["image     abc", "plain     + A=1", "sealed    + S", "service   + web, 1 replica"] == changed(
        repo, None, first
    )


def seal(repo: Repo, text: str) -> str:
    """Commit a sealed file of dev's and return the commit."""
    repo.sealed("dev").parent.mkdir(exist_ok=True)
    repo.sealed("dev").write_bytes(text.encode(errors="surrogateescape"))
    releases.commit(repo.root, "a sealed value")
    return git.sha(repo.root)


def test_sealed_values(tmp_path: Path) -> None:
    """Those that are new or gone, and those whose ciphertext is another in git, by name."""
    repo = releases.repository(tmp_path / "repo")
    first = seal(repo, "# \udcff\nGONE=1\nSAME=1\nOTHER=1\nPART=1\n")
    second = seal(repo, "NEW=1\nSAME=1\nOTHER=2\n")
    before = replace(OLD, config=first, sealed=["SAME", "OTHER", "GONE", "PART", "A"])
    after = replace(OLD, config=second, sealed=["SAME", "OTHER", "NEW", "PART", "B"])

    assert [
        *("sealed    + B", "sealed    + NEW", "sealed    - A", "sealed    - GONE"),
        *("sealed    ~ OTHER", "sealed    ~ PART"),
    ] == changed(repo, before, after)
    assert {"NEW": "1", "SAME": "1", "OTHER": "2"} == plan.sealed_lines(repo, "dev")
    assert {"GONE": "1", "SAME": "1", "OTHER": "1", "PART": "1"} == plan.sealed_lines(repo, "dev", first)


@pytest.mark.parametrize("side", ["before", "after"])
def test_sealed_values_of_a_commit_that_is_unknown(tmp_path: Path, side: str) -> None:
    """They cannot be compared, whichever of both it is."""
    repo = releases.repository(tmp_path / "repo")
    known = replace(OLD, config=seal(repo, "PASSWORD=1\n"))
    unknown = replace(OLD, config="0" * 12)

    given = (unknown, known) if side == "before" else (known, unknown)

    assert ["sealed    cannot be compared, this clone has not the commit of the release that runs"] == changed(
        repo, *given
    )


def test_sealed_values_that_git_does_not_have(repo: Repo) -> None:
    """They are compared by name alone."""
    before = releases.release(environment="local", config="one")

    assert [] == changed(repo, before, replace(before, config="another"))
    assert {} == plan.sealed_lines(repo, "local")
    assert {} == plan.sealed_lines(repo, "dev", "HEAD")


def test_the_commits_of_two_images(tmp_path: Path) -> None:
    """How many there are, how many are rolled back, and the last ten."""
    repo = releases.repository(tmp_path / "repo")
    shas = [git.sha(repo.root)]
    for number in range(1, 13):
        releases.commit(repo.root, f"change {number}")
        shas.append(git.sha(repo.root))
    for name in (f"{shas[0]}..{shas[1]}", f"{shas[1]}..{shas[0]}"):
        (repo.root / name).touch()  # a name that is a range of commits as well

    def between(old: int, new: int) -> list[str]:
        sides = [replace(OLD, sha=shas[one], images={"main": str(one)}) for one in (old, new)]
        first, *more = changed(repo, *sides)
        assert first.startswith(f"image     {shas[old]} → {shas[new]}, ")
        return [first.partition(", ")[2], *(line.removeprefix("          ") for line in more)]

    def said(number: int) -> str:
        return f"{shas[number][:7]} change {number}"

    assert ["1 commit", said(1)] == between(0, 1)
    assert ["2 commits", said(3), said(2)] == between(1, 3)
    assert ["10 commits", *(said(number) for number in range(10, 0, -1))] == between(0, 10)
    assert ["12 commits", *(said(number) for number in range(12, 2, -1)), "and 2 more"] == between(0, 12)
    assert ["0 commits, 3 rolled back"] == between(5, 2)


def test_the_schema_of_a_release(tmp_path: Path) -> None:
    """That of the image's commit, or the working tree's where that runs; of both, what the environment has."""
    repo = releases.repository(tmp_path / "repo")
    services = (
        "web: {command: web}, dev: {command: dev, environments: [dev]}, prod: {command: p, environments: [prod]}"
    )
    (repo.root / "config/schema.yaml").write_text(f"services: {{{services}}}\nkeys: {{}}\n")
    releases.commit(repo.root, "a schema")
    (repo.root / "config/schema.yaml").write_text("services: {other: {command: web}}\nkeys: {}\n")
    read = [
        plan.schema(
            Repo(repo.root),
            "dev",
            cast("Any", SimpleNamespace(versioned=versioned)),
            git.commit(repo.root, "HEAD"),
        )
        for versioned in (True, False)
    ]

    assert [["web", "dev"], ["other"]] == [list(one.services) for one in read]


@pytest.mark.parametrize("sides", [("0" * 12, "HEAD"), ("HEAD", "0" * 12)])
def test_commits_that_git_does_not_know(repo: Repo, sides: tuple[str, str]) -> None:
    """They are not counted."""
    before, after = (replace(OLD, sha=sha, images={"main": sha}) for sha in sides)

    expected = f"image     {sides[0]} → {sides[1]}, of commits that are not in this clone"
    assert [expected] == changed(repo, before, after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "0001", "migration none → 0001"),
        ("0001", "0002", "migration 0001 → 0002"),
        ("", "0002", "migration none → 0002"),
        ("0001", "0001", None),
    ],
)
def test_a_migration(repo: Repo, before: str | None, after: str, expected: str | None) -> None:
    """It is one when the code was written for another revision."""
    old = None if before is None else replace(OLD, revision=before)

    made = plan.make(repo, NOTING, old, replace(OLD, revision=after, number=4), ["a drift"])

    assert ([expected] if expected else []) == [line for line in made.changes if line.startswith("migration")]
    assert (old, 4, ["a drift"]) == (made.before, made.after.number, made.drift)


@pytest.mark.parametrize(
    ("declared", "known", "image", "warned"),
    [
        (MIGRATE, True, "new", True),
        (MIGRATE, True, "sha256:1", False),
        (MIGRATE, False, "new", False),
        (replace(MIGRATE, alembic="migrations"), True, "new", False),
        (None, True, "new", False),
    ],
)
def test_a_migration_that_is_not_alembics(
    repo: Repo,
    declared: services.Job | None,
    known: bool,  # noqa: FBT001
    image: str,
    warned: bool,  # noqa: FBT001
) -> None:
    """Of a new image it is told that nobody knows whether the running code can live with it."""
    jobs = {"migrate": Job(declared, [])} if declared else {}
    old = replace(OLD, jobs=jobs, images={"main": "sha256:1"})

    made = plan.make(repo, NOTING, old if known else None, replace(old, images={"main": image}), [])

    line = "migration by a tool that is not Alembic: whether the running code can live with it is unknown"
    assert warned == (line in made.changes)


@pytest.mark.parametrize(("name", "asks"), [("dev", False), ("prod", True)])
def test_a_protected_environment_asks(repo: Repo, name: str, asks: bool) -> None:  # noqa: FBT001
    """Its plan says so."""
    made = plan.make(repo, NOTING, None, replace(OLD, environment=name), [])

    assert asks == made.asks


def test_the_lines_that_a_person_sees() -> None:
    """From which release to which, the changes, the drift, and whether something is asked."""
    new = replace(OLD, number=4)

    assert ["dev: already up to date with release 3"] == list(Plan(OLD, new, [], [], asks=True).lines())
    assert ["dev: nothing → release 4"] == list(Plan(None, new, [], [], asks=False).lines())
    assert ["dev: release 3 → release 4", "  a change"] == list(
        Plan(OLD, new, ["a change"], [], asks=False).lines()
    )
    assert [
        "dev: release 3 → release 4",
        "  drift: 0 run, is corrected",
        "  asks for the name of the environment, for it is protected",
    ] == list(Plan(OLD, new, [], ["0 run"], asks=True).lines())
