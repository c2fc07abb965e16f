import gc
import hashlib
import io
import json
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci.delivery import docker, image, release
from ci.delivery.image import inspection, parts, source
from ci.delivery.image.source import Source
from ci.ground import errors, git
from ci.ground.repo import Repo
from tests import checkouts, engines

# The SDK does not close the socket on which no engine answered; `_collected` has it end here, not in another test.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
GOOD: Mapping[str, Any] = {"User": "10001:10001", "Entrypoint": inspection.ENTRY, "Env": ["PYTHONPATH=/srv"]}


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A clone of the fixture project."""
    return checkouts.fixture(tmp_path_factory.mktemp("image")).repo


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    """A clone to change, its ports committed."""
    shutil.copytree(template.root, tmp_path / "repo", symlinks=True)
    made = Repo(tmp_path / "repo")
    engines.commit(made)
    return made


def of_head(repo: Repo) -> Source:
    return Source(repo, git.commit(repo.root, "HEAD"))


def context(repo: Repo, packages: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(Source, "_packages", lambda self, machine: packages)
    with of_head(repo).context("amd64") as spooled:
        return spooled.read()


def test_only_what_runs_goes_in(repo: Repo) -> None:
    """The services, their keys, the lock file and the Dockerfile: no value, no schema, no test, no tool."""
    found = set(of_head(repo).files)

    assert {"Dockerfile", ".dockerignore", "app", "model", "requirements", "runtime", "worker"} == {
        name.split("/")[0] for name in found
    }
    assert "runtime/keys.py" in found
    assert {"requirements/services.txt"} == {name for name in found if name.startswith("requirements")}


def test_the_tree_is_not_what_is_built(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that is not committed, and a file that git does not know, are not in the context."""
    (packages := tmp_path / "packages").mkdir()
    before = context(repo, packages, monkeypatch)
    (repo.root / "app/api.py").write_text("raise SystemExit")
    (repo.root / "app/new.py").write_text("")

    assert before == context(repo, packages, monkeypatch)


def test_the_same_commit_gives_the_same_bytes(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner, time and order of files do not depend on the machine; a package keeps its place."""
    for name, umask in (("one", 0o600), ("two", 0o664)):
        (tmp_path / name / "pack").mkdir(parents=True)
        (tmp_path / name / "pack/__init__.py").write_text("")
        (tmp_path / name / "pack/__init__.py").chmod(umask)

    one, two = (context(repo, tmp_path / name, monkeypatch) for name in ("one", "two"))

    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(two).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert "packages/pack/__init__.py" in archive.getnames()
        assert {(0, 0, 0)} == {(member.uid, member.gid, int(member.mtime)) for member in archive}


@pytest.mark.parametrize("path", ["app/api.py", "app/new.py", "requirements/services.txt", "Dockerfile"])
def test_a_changed_tree_is_refused(repo: Repo, path: str) -> None:
    """HEAD is not built while the tree differs in what its image would hold; the path is named."""
    with (repo.root / path).open("a") as file:
        file.write("\n")

    with pytest.raises(errors.RefusedError) as caught:
        image.build(repo)

    assert (path,) == caught.value.detail


def test_other_changes_and_other_commits_do_not_matter(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed document is no reason to refuse, nor is any change when another commit is meant."""
    monkeypatch.setenv(
        "DOCKER_HOST", "unix:///nonexistent/docker.sock"
    )  # so that it ends where the engine is asked
    (repo.root / "README.md").write_text("changed")
    with pytest.raises(errors.EngineError):
        image.build(repo)
    engines.commit(repo)
    (repo.root / "app/api.py").write_text("changed")

    with pytest.raises(errors.EngineError):
        image.build(repo, "HEAD~1")


def test_a_commit_without_a_dockerfile_is_named(repo: Repo) -> None:
    """A commit from before there was an image cannot be built, and the error says which."""
    (repo.root / "Dockerfile").unlink()
    commit = engines.commit(repo)

    with pytest.raises(errors.BuildError, match=rf"^commit {commit[:12]} has no Dockerfile$"):
        image.build(repo)


@pytest.mark.parametrize("address", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:9", "no-such-context"])
def test_an_engine_that_is_not_there_is_named(address: str) -> None:
    """A wrong address and an unknown context are errors; nothing falls back to the engine of this machine."""
    with pytest.raises(errors.EngineError, match=re.escape(address)):
        docker.connect(address)


def test_a_context_leads_to_its_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a Docker context is the one that is asked."""
    name, socket = f"t{secrets.token_hex(4)}", "unix:///nonexistent/context.sock"
    folder = tmp_path / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (tmp_path / "config.json").write_text("{}")
    about = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": socket}}}
    (folder / "meta.json").write_text(json.dumps(about))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    with pytest.raises(errors.EngineError, match=f"^no docker engine answers at {name}$"):
        docker.connect(name)


def test_labels_say_where_it_comes_from(repo: Repo) -> None:
    """Revision, time, source and version, in OCI's words; a password in the remote's URL is left out."""
    password = secrets.token_urlsafe(24)
    url = f"https://me:{password}@git.example/team/app.git"
    subprocess.run(["git", "-C", repo.root, "remote", "set-url", "origin", url], check=True)
    head = git.commit(repo.root, "HEAD")

    assert {
        "org.opencontainers.image.revision": head,
        "org.opencontainers.image.created": git.when(repo.root, head),
        "org.opencontainers.image.source": "https://git.example/team/app.git",
        "org.opencontainers.image.title": repo.environments.project,
        "org.opencontainers.image.version": "0.1.0",
    } == image.labels(of_head(repo))


def test_a_folder_of_this_machine_is_no_source(repo: Repo) -> None:
    """A clone of a local folder has no source label."""
    assert "org.opencontainers.image.source" not in image.labels(of_head(repo))


def test_the_tag_is_the_short_sha(repo: Repo) -> None:
    """An image is named by project and commit."""
    assert "lockstep-template:0123456789ab" == release.tag(repo, "0123456789ab" + 28 * "c")


@pytest.mark.parametrize(
    "path",
    [
        "srv/.git/config",
        "opt/site-packages/x/.git",
        "srv/secrets/prod.enc.env",
        "srv/config/prod.env",
        "srv/config/schema.yaml",
        "srv/app/local.env",
        "srv/ci/ground/git.py",
        "srv/tests/conftest.py",
        "srv/app/test_api.py",
        "srv/README.md",
        "srv/.sops.yaml",
        "home/me/prod.agekey",
        "usr/local/bin/sops",
        "usr/bin/age-keygen",
        "root/.cache/pip/http/a",
    ],
)
def test_what_no_image_may_hold(path: str) -> None:
    """History, values, tests, tools and caches are known by their paths, in every layer."""
    assert [rule for rule in inspection.forbidden(checkouts.schema()) if re.search(rule, path)]


@pytest.mark.parametrize(
    "path",
    [
        "srv/app/api.py",
        "srv/runtime/keys.py",
        "usr/lib/python3.11/secrets.py",
        "usr/bin/chage",
        "opt/site-packages/certifi/tests/__init__.py",
    ],
)
def test_what_an_image_may_hold(path: str) -> None:
    """The services, and what the base and the packages bring."""
    assert [] == [rule for rule in inspection.forbidden(checkouts.schema()) if re.search(rule, path)]


def test_an_image_holds_the_folder_of_each_service() -> None:
    """A service that the schema gains may be in the image, one that it has not may not."""
    more = replace(checkouts.schema(), services={**checkouts.schema().services, "digest": "digest.sender"})

    found = [
        [rule for rule in inspection.forbidden(schema) if re.search(rule, "srv/digest/sender.py")]
        for schema in (checkouts.schema(), more)
    ]

    assert [1, 0] == list(map(len, found))


@pytest.mark.parametrize(
    ("changed", "history", "told"),
    [
        ({}, "", []),
        ({"User": ""}, "", ["user: it must be a number, and not root's"]),
        ({"User": "0:10"}, "", ["user: it must be a number, and not root's"]),
        ({"User": "app"}, "", ["user: it must be a number, and not root's"]),
        ({"Entrypoint": ["sh"]}, "", ["entry: it must be python -m runtime.entry"]),
        ({"Env": ["LOG_LEVEL=info"]}, "", ["environment: it sets LOG_LEVEL"]),
        ({"Labels": {"SMTP_PASSWORD": "x"}}, "", ["labels: it sets SMTP_PASSWORD"]),
        ({}, "|1 DATABASE_URL=x /bin/sh -c true", ["history: it sets DATABASE_URL"]),
    ],
)
def test_a_configuration_that_no_image_may_have(changed: Mapping[str, Any], history: str, told: list[str]) -> None:
    """Root, another entry, and any key of the schema in environment, labels or history are found."""
    assert told == inspection.configured(
        Repo(checkouts.ROOT / checkouts.PROJECT), {**GOOD, **changed}, [{"CreatedBy": history}]
    )


def test_parts_of_a_python_package() -> None:
    """A METADATA file gives name, version, licence and package URL; a licence's full text is left out."""
    short = parts.python(
        "Metadata-Version: 2.4\nName: Some_Pack\nVersion: 1.0+local\nLicense-Expression: MIT\n\nText"
    )
    long = parts.python("Name: other\nVersion: 2\nLicense: All\n        of it\n")

    assert parts.Part("pypi", "Some-Pack", "1.0+local", "MIT") == short
    assert "pkg:pypi/some-pack@1.0%2Blocal" == short.purl
    assert parts.Part("pypi", "other", "2") == long


def test_parts_of_the_base() -> None:
    """Debian's installed packages are parts, removed ones are not."""
    status = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n"
    status += "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"

    assert ["pkg:deb/debian/libc6@2.36-9"] == [part.purl for part in parts.debian(status)]


def test_the_document_is_cyclonedx() -> None:
    """CycloneDX 1.6 with each part once, in order, the same every time."""
    found = [parts.Part("pypi", "b", "1", "MIT"), parts.Part("deb", "a", "1"), parts.Part("pypi", "b", "1", "MIT")]
    made = parts.document("sha256:45", "acme:0123", "2026-01-01T00:00:00+00:00", found)
    document = json.loads(made)

    assert ("CycloneDX", "1.6", 1) == (document["bomFormat"], document["specVersion"], document["version"])
    assert ["pkg:deb/debian/a@1", "pkg:pypi/b@1"] == [one["bom-ref"] for one in document["components"]]
    assert [{"license": {"name": "MIT"}}] == document["components"][1]["licenses"]
    assert "sha256:45" == parts.described(made)
    assert made == parts.document("sha256:45", "acme:0123", "2026-01-01T00:00:00+00:00", reversed(found))


def test_ignores_reads_comments_and_exceptions() -> None:
    """The last line that matches decides, as docker has it."""
    ignored = source.ignores("# all\n*\n!app\n\napp/*.env\n")

    assert [True, False, False, True] == [ignored(one) for one in ("x", "app/y", "app/y/z", "app/y.env")]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (["LABEL a=b", "COPY dir:12ab in /srv "], True),
        (["COPY dir:12ab in /srv", "COPY dir:34cd in /opt/site-packages"], True),
        (["COPY dir:12ab in /"], False),
        (["COPY multi:12ab in /srv/app"], False),
        (["LABEL a=b", "ADD file:12ab in /srv"], False),
    ],
)
def test_the_last_layer_is_told_by_its_step(steps: list[str], code: bool) -> None:  # noqa: FBT001
    """Only a copy of a folder into /srv is looked at there alone; after any other step all layers are."""
    history = [
        {"CreatedBy": f"/bin/sh -c #(nop) {'' if step.startswith('COPY') else ' '}{step}"} for step in steps
    ]

    assert code == inspection._is_code(history)


def test_a_command_is_no_copy() -> None:
    """A command that runs as the last step may have hidden something, whatever it looks like."""
    assert not inspection._is_code([{"CreatedBy": "/bin/sh -c touch /x; #(nop) COPY dir:12ab in /srv"}])
