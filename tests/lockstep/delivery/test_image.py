import gc
import hashlib
import io
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ci.delivery import docker, image, release
from ci.delivery.image import inspection, parts
from ci.delivery.image.source import Source
from ci.ground import errors, git
from ci.ground.repo import Repo
from tests import checkouts, engines

# The SDK does not close the socket on which no engine answered; `_collected` has it end here, not in another test.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
GOOD: Mapping[str, Any] = {"User": "10001:10001", "Env": ["PYTHONPATH=/srv"]}


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


@pytest.mark.parametrize(
    "path",
    [
        "app/api.py",
        "app/new.py",
        "requirements/services.txt",
        "Dockerfile",
        "runtime/keys.py",
        "config/schema.yaml",
    ],
)
def test_a_changed_tree_is_refused(repo: Repo, path: str) -> None:
    """HEAD is not built while the tree differs in what its image would hold; the path is named."""
    with (repo.root / path).open("a") as file:
        file.write("\n")

    with pytest.raises(errors.RefusedError) as caught:
        list(image.build(repo))

    assert (path,) == caught.value.detail


def test_other_changes_and_other_commits_do_not_matter(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed document is no reason to refuse, nor is any change when another commit is meant."""
    monkeypatch.setenv(
        "DOCKER_HOST", "unix:///nonexistent/docker.sock"
    )  # so that it ends where the engine is asked
    (repo.root / "README.md").write_text("changed")
    with pytest.raises(errors.EngineError):
        list(image.build(repo))
    engines.commit(repo)
    (repo.root / "app/api.py").write_text("changed")

    with pytest.raises(errors.EngineError):
        list(image.build(repo, "HEAD~1"))


def test_a_commit_without_a_dockerfile_is_named(repo: Repo) -> None:
    """A commit from before there was an image cannot be built, and the error says which."""
    (repo.root / "Dockerfile").unlink()
    commit = engines.commit(repo)

    with pytest.raises(errors.BuildError, match=rf"^commit {commit[:12]} has no Dockerfile$"):
        list(image.build(repo))


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
        "srv/app/local.env",
        "srv/.sops.yaml",
        "home/me/prod.agekey",
        "usr/local/bin/sops",
        "usr/bin/age-keygen",
        "root/.cache/pip/http/a",
    ],
)
def test_what_no_image_may_hold(path: str) -> None:
    """History, values, tools and caches are known by their paths, in every layer."""
    assert [rule for rule in inspection.FORBIDDEN if rule.search(path)]


@pytest.mark.parametrize(
    "path",
    [
        "srv/app/api.py",
        "srv/tests/conftest.py",
        "srv/config/schema.yaml",
        "srv/src/secrets/index.js",
        "opt/lockstep/runtime/keys.py",
        "usr/lib/python3.11/secrets.py",
        "usr/bin/chage",
        "usr/local/bin/uv",
        "opt/site-packages/pack/examples/.env",
        "app/node_modules/dotenv/tests/.env",
    ],
)
def test_what_an_image_may_hold(path: str) -> None:
    """Whatever the team puts in, and what the base and the packages bring."""
    assert [] == [rule for rule in inspection.FORBIDDEN if rule.search(path)]


@pytest.mark.parametrize(
    ("changed", "history", "told"),
    [
        ({}, "", []),
        ({"User": ""}, "", [inspection.USER]),
        ({"User": "0:10"}, "", [inspection.USER]),
        ({"User": "app"}, "", [inspection.USER]),
        ({"Env": ["LOG_LEVEL=info"]}, "", ["environment: it sets LOG_LEVEL"]),
        ({"Labels": {"SMTP_PASSWORD": "x"}}, "", ["labels: it sets SMTP_PASSWORD"]),
        ({}, "|1 DATABASE_URL=x /bin/sh -c true", ["history: it sets DATABASE_URL"]),
    ],
)
def test_a_configuration_that_no_image_may_have(changed: Mapping[str, Any], history: str, told: list[str]) -> None:
    """Root, and any key of the schema in environment, labels or history are found."""
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


@pytest.mark.parametrize(
    ("manifest", "purls"),
    [
        ('{"name": "@acme/ui", "version": "1.2.0", "license": "MIT"}', ["pkg:npm/%40acme/ui@1.2.0"]),
        ('{"name": "old", "version": "1.0.0", "license": {"type": "MIT"}}', ["pkg:npm/old@1.0.0"]),
        ('{"type": "module"}', []),
        ("[]", []),
        ("{", []),
    ],
)
def test_parts_of_node(manifest: str, purls: list[str]) -> None:
    """A package.json below node_modules gives name and version; one that describes no package gives nothing."""
    path = "app/node_modules/a/package.json"

    assert purls == [part.purl for part in parts.of(path, io.BytesIO(manifest.encode()))]
    assert [] == list(parts.of("app/package.json", io.BytesIO(manifest.encode())))


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


@pytest.mark.parametrize(
    ("steps", "count", "folders"),
    [
        (["LABEL a=b", "COPY dir:12ab in /srv "], 1, ["/srv"]),
        (["COPY dir:12ab in /srv", "COPY dir:34cd in /opt/site-packages"], 1, ["/srv"]),
        (["COPY dir:12ab in /srv", "COPY --chown=5:5 dir:34cd in /opt/x/"], 2, ["/srv", "/opt/x"]),
        (["COPY dir:12ab in /opt/x", "COPY file:34cd in app ", "WORKDIR /srv"], 2, ["/opt/x", "/srv/app"]),
        (["COPY dir:12ab in /opt/x", "WORKDIR /b", "COPY multi:34cd in ./", "WORKDIR /a "], 2, ["/opt/x", "/a"]),
        (["COPY dir:12ab in app"], 1, []),
        (["COPY dir:12ab in /srv/app", "COPY dir:34cd in /srv"], 2, []),
        (["COPY dir:12ab in /srv", "COPY dir:34cd in /srv/app"], 2, []),
        (["COPY dir:12ab in /srv", "COPY dir:34cd in /srv"], 2, []),
        (["COPY dir:12ab in /srv", "ADD file:12ab in /opt"], 2, []),
        (["COPY dir:12ab in /srv"], 2, []),
    ],
)
def test_the_last_layers_are_told_by_their_steps(steps: list[str], count: int, folders: list[str]) -> None:
    """Copies into folders apart are looked at there alone; after any other step all layers are."""
    history = [
        {"CreatedBy": f"/bin/sh -c #(nop) {'' if step[0] in 'ACW' else ' '}{step}", "Size": 7} for step in steps
    ]

    assert [(folder, 7) for folder in folders] == inspection.copied(history, count)


def test_a_command_is_no_copy() -> None:
    """A command that runs as the last step may have hidden something, whatever it looks like."""
    step = {"CreatedBy": "/bin/sh -c touch /x; #(nop) COPY dir:12ab in /srv", "Size": 7}

    assert [] == inspection.copied([step], 1)
