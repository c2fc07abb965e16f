import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from ci.delivery.image import source
from ci.delivery.image.source import HIDDEN, Context, Source
from ci.delivery.process import FOLDER
from ci.ground import errors, git
from ci.ground.repo import Repo
from tests import checkouts, engines

WEB = {"web": {"dockerfile": "web/Dockerfile", "context": "web"}}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A clone of the fixture project."""
    return checkouts.fixture(tmp_path_factory.mktemp("source")).repo


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    """A clone to change."""
    shutil.copytree(template.root, tmp_path / "repo", symlinks=True)
    return Repo(tmp_path / "repo")


def committed(
    repo: Repo, files: Mapping[str, str], name: str = "main", images: Mapping[str, object] | None = None
) -> Source:
    """Commit files, and what the schema says of images, and return what one is built from."""
    if images:
        path = repo.root / "config/schema.yaml"
        path.write_text(
            yaml.safe_dump(
                yaml.safe_load(path.read_text()) | {"images": {"main": {}} | dict(images)}, sort_keys=False
            )
        )
    for file, text in files.items():
        (repo.root / file).parent.mkdir(parents=True, exist_ok=True)
        (repo.root / file).write_text(text)
    return Source(Repo(repo.root), engines.commit(repo), name)


def read(context: Context) -> dict[str, tuple[int, str]]:
    """Return the modes and texts of a context's files, or where its links lead, by path."""
    with context.tar as tar, tarfile.open(fileobj=tar) as archive:
        return {
            member.name: (
                member.mode,
                member.linkname or (archive.extractfile(member) or io.BytesIO()).read().decode(),
            )
            for member in archive
            if not member.isdir()
        }


def test_only_what_runs_goes_in(repo: Repo) -> None:
    """The services, the lock file and the Dockerfile: no value, no schema, no runtime, no tool."""
    found = set(committed(repo, {}).files)

    assert {"Dockerfile", ".dockerignore", "app", "model", "requirements", "worker"} == {
        name.split("/")[0] for name in found
    }
    assert {"requirements/services.txt"} == {name for name in found if name.startswith("requirements")}


def test_the_tree_is_not_what_is_built(repo: Repo) -> None:
    """A change that is not committed, and a file that git does not know, are not in the context."""
    made = committed(repo, {})
    before = read(made.context())
    (repo.root / "app/api.py").write_text("raise SystemExit")
    (repo.root / "app/new.py").write_text("")

    assert before == read(Source(repo, git.commit(repo.root, "HEAD")).context())


def test_attributes_change_nothing(repo: Repo) -> None:
    """What .gitattributes has `git archive` leave out or fill in is built as it was committed."""
    text = "$Format:%H$ \r\n"
    files = {
        "app/a.py": text,
        "app/b.py": text,
        ".gitattributes": "app/a.py export-subst\napp/b.py export-ignore\n",
    }
    found = read(committed(repo, files).context())

    assert (0o644, text) == found["app/a.py"] == found["app/b.py"]


def test_the_same_commit_gives_the_same_bytes(repo: Repo, tmp_path: Path) -> None:
    """Owner, time and order of files do not depend on the machine; a package keeps its place."""
    made, contexts = committed(repo, {}), []
    for name, mode in (("one", 0o600), ("two", 0o664)):
        (tmp_path / name / "pack").mkdir(parents=True)
        (tmp_path / name / "pack/__init__.py").write_text("")
        (tmp_path / name / "pack/__init__.py").chmod(mode)
        with made.context(tmp_path / name).tar as tar:
            contexts.append(tar.read())
    one, two = contexts

    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(two).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert "packages/pack/__init__.py" in archive.getnames()
        assert {(0, 0, 0)} == {(member.uid, member.gid, int(member.mtime)) for member in archive}


def test_modes_links_and_folders(repo: Repo) -> None:
    """An executable stays one, a link stays a link, and each folder is there before what it holds."""
    (repo.root / "app/run.sh").write_text("#!/bin/sh\n")
    (repo.root / "app/run.sh").chmod(0o700)
    (repo.root / "app/link.py").symlink_to("../model/serving.py")
    made = committed(repo, {"app/deep/down/é.txt": "x"})
    found = read(made.context())
    with made.context().tar as tar, tarfile.open(fileobj=tar) as archive:
        names = archive.getnames()

    assert (0o755, "#!/bin/sh\n") == found["app/run.sh"]
    assert "../model/serving.py" == found["app/link.py"][1]
    assert names.index("app") < names.index("app/deep") < names.index("app/deep/down/é.txt")


@pytest.mark.parametrize("target", ["../../elsewhere", "/etc/passwd", "../app/../../x"])
def test_a_link_that_leads_out_is_refused(repo: Repo, target: str) -> None:
    """It would be another file in the image, or none; the error names it. One that is left out does not matter."""
    (repo.root / "app/link").symlink_to(target)
    (repo.root / "link").symlink_to(target)

    with pytest.raises(errors.BuildError, match=r"^the link app/link leads out of the image's context$"):
        committed(repo, {})


def test_a_context_of_its_own(repo: Repo) -> None:
    """An image may have a folder of its own, with a .dockerignore of its own; paths are below it."""
    files = {"web/Dockerfile": "FROM scratch\n", "web/.dockerignore": "*.md\n", "web/a.js": "a", "web/b.md": "b"}
    context = committed(repo, files, "web", WEB).context()

    assert "Dockerfile" == context.dockerfile
    assert {"Dockerfile", ".dockerignore", "a.js"} == set(read(context))


def test_a_link_out_of_a_folder(repo: Repo) -> None:
    """What is outside of an image's context is out, even in the same repository."""
    (repo.root / "web").mkdir()
    (repo.root / "web/app").symlink_to("../app")

    with pytest.raises(errors.BuildError, match=r"^the link web/app leads out"):
        committed(repo, {"web/Dockerfile": "FROM scratch\n"}, "web", WEB)


def test_a_dockerfile_outside_of_the_context(repo: Repo) -> None:
    """It is sent under another name, which the .dockerignore removes before anything is copied."""
    images = {"web": {"dockerfile": "docker/web.Dockerfile", "context": "./web/"}}
    context = committed(repo, {"docker/web.Dockerfile": "FROM a\n", "web/a.js": "a"}, "web", images).context()
    found = read(context)

    assert HIDDEN == context.dockerfile
    assert {HIDDEN: (0o644, "FROM a\n"), "a.js": (0o644, "a")} == {
        name: file for name, file in found.items() if name != ".dockerignore"
    }
    assert [".dockerignore", HIDDEN] == found[".dockerignore"][1].split()


def test_a_dockerfile_that_is_ignored_is_sent_all_the_same(repo: Repo) -> None:
    """The engine needs it, and removes it before anything is copied, as `docker build` has it."""
    files = {"web/Dockerfile": "FROM a\n", "web/.dockerignore": "Dockerfile\n", "web/a.js": "a"}
    found = read(committed(repo, files, "web", WEB).context())

    assert {"Dockerfile", ".dockerignore", "a.js"} == set(found)
    assert "Dockerfile\n" == found[".dockerignore"][1]


def test_an_ignore_file_beside_the_dockerfile(repo: Repo) -> None:
    """NAME.dockerignore counts instead of the context's."""
    files = {
        "web/Dockerfile": "FROM a\n",
        "web/Dockerfile.dockerignore": "*.md\nDockerfile.dockerignore\n",
        "web/.dockerignore": "*.js\n",
        "web/a.js": "a",
        "web/b.md": "b",
    }

    assert {"Dockerfile", ".dockerignore", "a.js"} == set(committed(repo, files, "web", WEB).files)


def test_a_submodule_is_named(repo: Repo) -> None:
    """The files of a submodule are not in the commit: it must be left out."""
    head = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "update-index", "--add", "--cacheinfo", f"160000,{head},app/other")
    checkouts.git(repo.root, "commit", "-qm", "a submodule")

    with pytest.raises(errors.BuildError, match=r"^app/other is a submodule$"):
        Source(repo, git.commit(repo.root, "HEAD"))


@pytest.mark.parametrize(
    ("images", "missing"),
    [
        ({"main": {"dockerfile": "docker/Dockerfile"}}, "docker/Dockerfile"),
        ({"main": {"packages": "requirements/other.txt"}}, "requirements/other.txt"),
    ],
)
def test_a_commit_without_its_files_is_named(repo: Repo, images: Mapping[str, object], missing: str) -> None:
    """A Dockerfile or a lock file that the schema names and the commit has not is an error that names it."""
    with pytest.raises(errors.BuildError, match=rf"^commit [0-9a-f]{{12}} has no {missing}$"):
        committed(repo, {}, "main", images)


def test_nothing_but_a_dockerfile_is_needed(repo: Repo) -> None:
    """Without .dockerignore all of the commit is seen; without pyproject.toml there is no version."""
    (repo.root / ".dockerignore").unlink()
    (repo.root / "pyproject.toml").unlink()
    shutil.rmtree(repo.root / ".tools")
    made = committed(repo, {}, "main", {"main": {}})

    assert {"config", "app", "ci"} <= {path.split("/")[0] for path in made.files}
    assert not made.version


def test_the_last_layer(repo: Repo) -> None:
    """It puts the commit's runtime/ on the team's image and changes nothing else of it."""
    text = "KEYS = ()\n"
    made = committed(repo, {"runtime/keys.py": text})
    (repo.root / "runtime/keys.py").write_text("raise SystemExit")
    found = read(made.last_layer("sha256:12", {"a.b": 'x "$HOME" \\', "c": "d"}))

    steps = ["FROM sha256:12", f"COPY runtime {FOLDER}", r'LABEL a.b="x \"\$HOME\" \\" c="d"']
    assert (0o644, "".join(f"{step}\n" for step in steps)) == found["Dockerfile"]
    assert (0o644, text) == found["runtime/keys.py"]
    assert {"Dockerfile", "runtime"} == {path.split("/")[0] for path in found}


def test_a_commit_without_compiled_keys_is_named(repo: Repo) -> None:
    """The keys are compiled and committed, or no image can be made."""
    (repo.root / "runtime/keys.py").unlink()

    with pytest.raises(errors.BuildError, match=r"has no runtime/keys\.py$"):
        committed(repo, {}).last_layer("sha256:12", {})


@pytest.mark.parametrize(
    ("dockerfile", "bases"),
    [
        ("FROM a:1\nFROM --platform=linux/amd64 b AS c\nFROM c\n", ["a:1", "b"]),
        ("ARG BASE=a:1\nARG TAG=2\nFROM ${BASE} as x\nFROM y:$TAG\nfrom x\n", ["a:1", "y:2"]),
        ("FROM ${REGISTRY:-hub}/a\nFROM scratch\n", ["hub/a"]),
    ],
)
def test_bases(repo: Repo, dockerfile: str, bases: list[str]) -> None:
    """The images that a Dockerfile starts from, not its own stages; arguments have their defaults."""
    assert bases == committed(repo, {"Dockerfile": dockerfile}).bases


@pytest.mark.parametrize(
    ("copies", "kept"),
    [
        ("COPY requirements/services.txt packages* /opt/", True),
        ("COPY requirements/services.txt \\\n  packages /opt/", True),
        ("RUN true", True),
        ("COPY pyproject.toml packages* /opt/", False),
        ("COPY --from=other /x /opt/", False),
        ("ADD . /opt/", False),
    ],
)
def test_the_stage_of_packages_is_kept(repo: Repo, copies: str, kept: bool) -> None:  # noqa: FBT001
    """Its result is made once for a lock file, unless it takes anything else of the commit."""
    made = committed(repo, {"Dockerfile": f"FROM python:3.11 AS packages\n{copies}\n\nFROM python:3.11\n"})

    assert kept == bool(made.stage("amd64"))
    if kept:
        name, found = f"p:{made.stage('amd64')}", made.context(stage=f"p:{made.stage('amd64')}")
        assert HIDDEN == found.dockerfile
        assert f"FROM {name} AS packages\n\nFROM python:3.11\n" == read(found)[HIDDEN][1]


def test_the_stage_of_packages_is_made_of_the_lock_file_alone(repo: Repo, tmp_path: Path) -> None:
    """A file of the commit cannot get into an image that later commits are built on, whatever is ignored."""
    text = "FROM python:3.11 AS packages\nCOPY requirements/services.txt packages* /opt/\n\nFROM python:3.11\n"
    made = committed(repo, {"Dockerfile": text, ".dockerignore": "", "packages-too/sitecustomize.py": ""})
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/yaml.py").write_text("")

    found = set(read(made.context_of_stage(tmp_path / "packages")))

    assert {"Dockerfile", "requirements/services.txt", "packages/yaml.py"} == found


@pytest.mark.parametrize(
    "text",
    ["ARG X=1\nFROM a AS packages\nRUN $X\nFROM a\n", "FROM a AS packages\nRUN true\nFROM a\n"],
    ids=["an argument", "a step"],
)
def test_all_that_decides_about_a_stage_names_it(repo: Repo, text: str) -> None:
    """A value that is given before the stage counts as much as its steps."""
    before = committed(repo, {"Dockerfile": text}).stage("amd64")
    after = committed(repo, {"Dockerfile": text.replace("1", "2").replace("true", "false")}).stage("amd64")

    assert before
    assert before != after


def test_a_stage_on_another_stage_is_not_kept(repo: Repo) -> None:
    """What the other one holds is of the commit."""
    text = "FROM a AS base\nCOPY app /\n\nFROM base AS packages\nRUN true\n\nFROM a\n"

    assert not committed(repo, {"Dockerfile": text}).stage("amd64")


@pytest.mark.parametrize("name", ["Dockerfile", "requirements/services.txt", "pyproject.toml", "runtime/entry.py"])
def test_what_decides_about_an_image_is_no_link(repo: Repo, name: str) -> None:
    """Neither to another file of the commit nor to itself."""
    (repo.root / name).unlink()
    (repo.root / name).symlink_to(Path(name).name)

    def use() -> None:
        made = committed(repo, {})
        assert made.version
        made.last_layer("sha256:12", {})

    with pytest.raises(errors.BuildError, match=rf"^{name} is a link$"):
        use()


def test_a_commit_brings_no_package(repo: Repo) -> None:
    """What it has where the packages are put would be taken for one that was fetched by hash."""
    with pytest.raises(errors.BuildError, match=r"^packages/yaml\.py would be taken for a package$"):
        committed(repo, {"packages/yaml.py": ""})


def test_ignores_reads_comments_and_exceptions() -> None:
    """The last line that matches decides, as docker has it."""
    ignored = source.ignores("# all\n*\n!app\n\napp/*.env\n")

    assert [True, False, False, True] == [ignored(one) for one in ("x", "app/y", "app/y/z", "app/y.env")]


def test_a_command_of_a_package_runs_with_the_python_of_the_image(tmp_path: Path) -> None:
    """Not with the one of this machine, whose path it was installed with."""
    wheel = tmp_path / "pack-1-py3-none-any.whl"
    about = {"METADATA": "Metadata-Version: 2.1\nName: pack\nVersion: 1\n", "RECORD": ""}
    about |= {"WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    about |= {"entry_points.txt": "[console_scripts]\npack = pack:main\n"}
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pack.py", "def main():\n    print('packed')\n")
        for name, text in about.items():
            archive.writestr(f"pack-1.dist-info/{name}", text)
    lock = f"pack @ {wheel.as_uri()} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    source._install("lock", lock.encode(), tmp_path / "folder", "linux", "3.11")

    command = tmp_path / "folder/bin/pack"
    assert command.read_text().startswith("#!/usr/bin/env python3\n")
    environ = {"PYTHONPATH": str(tmp_path / "folder"), "PATH": os.environ["PATH"]}
    assert b"packed\n" == subprocess.run([command], env=environ, capture_output=True, check=True).stdout


def test_a_long_path_of_a_python_is_replaced_as_well() -> None:
    """A kernel takes no more than 127 characters of it, so uv has sh start what is longer."""
    long = b"#!/bin/sh\n'''exec' '/home/somebody/a long path/python' \"$0\" \"$@\"\n' '''\nimport sys\n"

    assert b"#!/usr/bin/env python3\nimport sys\n" == source._SHEBANG.sub(
        b"#!/usr/bin/env python3\n", long, count=1
    )
