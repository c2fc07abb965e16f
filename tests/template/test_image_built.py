"""Images, on a real engine."""

import io
import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from ci.delivery import image, release
from ci.delivery.image import REVISION, Made, inspection
from ci.delivery.process import FOLDER
from ci.ground import errors, git
from ci.ground.repo import Repo
from tests import engines, figures, proxies, services, swarms

pytestmark = pytest.mark.engine
MB = 1e6
CONTENTS = """
import hashlib, pathlib
folders = map(pathlib.Path, ("/srv", "/opt/site-packages"))
paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
told = (str(path).encode() + path.read_bytes() for path in paths if path.suffix != ".pyc")
print(len(paths), hashlib.sha256(b"".join(told)).hexdigest())
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A project whose HEAD's image is built."""
    with engines.project(tmp_path_factory.mktemp("image")) as made:
        yield made


@pytest.fixture(scope="module")
def made(repo: Repo) -> Made:
    """The image of the project's first commit."""
    return next(image.build(repo))


@pytest.fixture
def packages(repo: Repo, made: Made) -> Iterator[Path]:
    """The folder of packages that a build puts into the image."""
    with engines.packages(repo) as folder:
        yield folder


@pytest.fixture
def fresh(repo: Repo, made: Made) -> Iterator[Repo]:
    """The project with a commit of its own, which is gone afterwards."""
    before = git.commit(repo.root, "HEAD")
    engines.commit(repo)
    yield repo
    subprocess.run(["git", "-C", repo.root, "reset", "-q", "--hard", before], check=True)


@contextmanager
def container(made: Made, *words: str, **options: Any) -> Iterator[Any]:
    """Start a container as an engine does: read-only, with no right and nothing to write to."""
    started = engines.client().containers.run(
        made.id, list(words), detach=True, read_only=True, cap_drop=["ALL"], tmpfs={"/tmp": ""}, **options
    )
    try:
        yield started
    finally:
        with suppress(NotFound):
            started.remove(force=True)


def run(identity: str, program: str) -> str:
    """Run some Python in the image and return what it prints."""
    words = {"entrypoint": ["python", "-c"], "command": [program]}
    return str(engines.client().containers.run(identity, read_only=True, remove=True, **words).decode())


def foreign(name: str, **labels: str) -> str:
    """Put something under a name that is not what belongs there, and return its id."""
    dockerfile = io.BytesIO(f"FROM {engines.BASE}\nENV ONE={secrets.token_hex(8)}\n".encode())
    built, _ = engines.client().images.build(fileobj=dockerfile, tag=name, labels=labels)
    return str(built.id)


def test_an_image_of_a_commit(repo: Repo, made: Made) -> None:
    """Its tag is the short SHA and its label the full one; it runs as a number; its size is bounded."""
    head = git.commit(repo.root, "HEAD")
    built = engines.client().images.get(made.tag)
    above = (made.size - engines.client().images.get(engines.BASE).attrs["Size"]) / MB

    figures.tell(f"{above:.1f} MB above the base")
    assert made.new
    assert f"{repo.environments.project}:{head[:12]}" == made.tag
    assert head == built.labels["org.opencontainers.image.revision"]
    assert "10001:10001" == built.attrs["Config"]["User"]
    assert above <= 120


def test_a_commit_is_built_once(repo: Repo, made: Made) -> None:
    """The second build finds the first one's image, and says so."""
    again = next(image.build(repo))

    assert not again.new
    assert (made.tag, made.id) == (again.tag, again.id)


def test_only_the_services_and_their_packages_are_inside(made: Made) -> None:
    """The folders of the services and of Lockstep's runtime, no environment file, no command of a package."""
    found = run(made.id, "import os; print(*sorted(os.listdir('/srv')), os.path.exists('/opt/site-packages/bin'))")
    brought = run(made.id, "import os; print(*os.listdir('/opt/lockstep'))")
    values = run(made.id, "import glob; print(glob.glob('/srv/**/*.env', recursive=True))")

    assert "app model worker False" == found.strip()
    assert "runtime" == brought.strip()
    assert "[]" == values.strip()


@pytest.mark.parametrize("modules", ["app.__main__, model.migrate", "worker.__main__, worker.sms.twilio"])
def test_bytecode_is_there_at_the_start(made: Made, modules: str) -> None:
    """What a service imports of its own and of its packages was compiled when the image was built."""
    words = {"entrypoint": ["python", "-v", "-c"], "command": [f"import {modules}"]}
    words |= {"environment": ["PYTHONPATH=/srv:/opt/site-packages:/opt/lockstep"]}
    said = engines.client().containers.run(made.id, read_only=True, remove=True, stderr=True, **words).decode()

    assert re.findall(r"matches (/srv/\S+|/opt/site-packages/\S+)", said)
    assert [] == re.findall(r"code object from '?(/(?:srv|opt/site-packages)/\S+\.py)\b'?$", said, re.MULTILINE)


def test_the_parts_are_written_down(repo: Repo, made: Made) -> None:
    """Every package of the lock file that is for this platform, and the base's own, in the CycloneDX file."""
    document = json.loads(image.sbom(repo, git.commit(repo.root, "HEAD")).read_text())
    purls = {one["purl"] for one in document["components"]}
    program = "import importlib.metadata as m; print(*(d.metadata['Name'] for d in m.distributions()))"
    installed = {name.lower().replace("_", "-") for name in run(made.id, program).split()}

    assert installed == {purl.split("/")[1].split("@")[0] for purl in purls if purl.startswith("pkg:pypi/")}
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)


def test_another_content_under_the_tag_is_an_error(fresh: Repo) -> None:
    """What is not of this commit is neither used nor replaced."""
    name = release.tag(fresh, git.commit(fresh.root, "HEAD"))
    strange = foreign(name)

    with pytest.raises(errors.OtherImageError, match=name):
        next(image.build(fresh))
    assert strange == engines.client().images.get(name).id


def test_what_was_not_inspected_here_is_inspected(repo: Repo, made: Made) -> None:
    """An image that only claims to be of the commit is refused, and its tag is taken from it."""
    claimed = foreign(made.tag, **{REVISION: git.commit(repo.root, "HEAD")})

    with pytest.raises(errors.UncleanImageError):
        next(image.build(repo))

    assert engines.gone(claimed)
    engines.client().images.get(made.id).tag(*made.tag.split(":"))


def test_a_secret_in_the_code_is_found_and_the_image_removed(fresh: Repo) -> None:
    """An identity in a file of the api is named by place, never shown, and no image of the commit is left."""
    secret = f"AGE-SECRET-KEY-1{''.join(secrets.choice('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L') for _ in range(58))}"
    commit = engines.commit(fresh, {"app/extra.py": f'KEY = "{secret}"\n'})

    with pytest.raises(errors.UncleanImageError) as caught:
        next(image.build(fresh))

    assert any("srv/app/extra.py" in line for line in caught.value.detail)
    assert secret not in " ".join((str(caught.value), caught.value.hint, *caught.value.detail))
    assert [] == engines.of(commit)


def test_an_image_that_holds_too_much_gets_no_tag(fresh: Repo) -> None:
    """A Dockerfile that was changed for the worse is found in the image, even what a later step hides."""
    steps = """USER root
COPY Dockerfile /srv/prod.env
RUN rm /srv/prod.env && touch /usr/bin/sops
ENV LOG_LEVEL=debug
"""
    commit = engines.commit(fresh, {"Dockerfile": (fresh.root / "Dockerfile").read_text() + steps})

    with pytest.raises(errors.UncleanImageError) as caught:
        next(image.build(fresh))

    assert {
        inspection.USER,
        "environment: it sets LOG_LEVEL",
        "history: it sets LOG_LEVEL",
        "srv/prod.env: values, sealed or plain",
        "usr/bin/sops: a tool",
    } == {line for line in caught.value.detail if ".wh." not in line}
    assert [] == engines.of(commit)


@pytest.mark.parametrize(
    ("step", "error", "told"),
    [
        ("RUN echo what went wrong && false", errors.BuildError, "what went wrong"),
        ("RUN dd if=/dev/zero of=/dev/full count=1", errors.DiskFullError, "No space left on device"),
    ],
)
def test_a_failed_build_shows_its_end(
    fresh: Repo, step: str, error: type[errors.LockstepError], told: str
) -> None:
    """The last lines of the engine's log are in the error, and a full disk is told apart."""
    commit = engines.commit(
        fresh, {"Dockerfile": (fresh.root / "Dockerfile").read_text() + f"USER root\n{step}\n"}
    )

    with pytest.raises(error) as caught:
        next(image.build(fresh))

    assert any(told in line for line in caught.value.detail)
    assert [] == engines.of(commit)


def test_a_missing_base_is_named(fresh: Repo) -> None:
    """A base image that is neither here nor to be fetched is an error of its own."""
    name = f"127.0.0.1:9/python:3.11-{secrets.token_hex(4)}"
    text = (fresh.root / "Dockerfile").read_text().replace(engines.BASE, name)
    engines.commit(fresh, {"Dockerfile": text})

    with pytest.raises(errors.BaseImageError, match=name):
        next(image.build(fresh))


def test_a_registry_gives_the_digest_and_the_image(
    fresh: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pushed image has a digest, by which it can be had; where it is not known, it is fetched and not built."""
    with engines.registry(tmp_path) as address:
        name = f"{address}/team/app"
        made = next(image.build(fresh, registry=name))
        digest = image.push(made, name)
        engines.client().images.remove(made.id, force=True)
        monkeypatch.setattr(image, "_built", None)

        fetched = next(image.build(fresh, registry=name))

        assert made.new
        assert not fetched.new
        assert made.id == fetched.id
        assert made.id == engines.client().images.pull(digest).id
        assert digest.startswith(f"{name}@sha256:")


def test_a_registry_that_does_not_answer_is_named(repo: Repo, made: Made) -> None:
    """A push to nowhere is an error with the engine's own words."""
    with pytest.raises(errors.PushError, match=r"^127\.0\.0\.1:9/team/app ") as caught:
        image.push(made, "127.0.0.1:9/team/app")

    assert "connection refused" in caught.value.detail[0]


def test_both_services_run_and_become_healthy(
    made: Made, tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    """Migration, api and worker run from one image, read-only and with no right, and their health check passes."""
    environ = services.environment(services.new_database(postgres_url), redis_url)
    with swarms.reachable(postgres_url) as postgres, swarms.reachable(redis_url) as redis:
        environ["DATABASE_URL"] = proxies.moved(environ["DATABASE_URL"], postgres)
        environ["REDIS_URL"] = proxies.moved(environ["REDIS_URL"], redis)
        sealed = services.SEALED
        plain = {key: value for key, value in environ.items() if key not in sealed}
        bundle = tmp_path / "bundle"
        bundle.write_text(json.dumps({key: environ[key] for key in sealed & environ.keys()}))
        options: dict[str, Any] = {
            "environment": plain,
            "volumes": {str(bundle): {"bind": "/run/secrets/bundle", "mode": "ro"}},
        }
        with container(made, *started("api", "model.migrate"), **options) as migration:
            assert 0 == migration.wait()["StatusCode"], migration.logs().decode()
        with (
            container(made, *started("api", "app"), **options) as api,
            container(made, *started("worker", "worker", "--health-port", "8000"), **options) as worker,
        ):
            for one in (api, worker):
                services.until(lambda one=one: healthy(one), 60)  # type: ignore[misc]
                assert "10001" == one.exec_run("id -u").output.decode().strip()
                one.stop(timeout=20)
                assert 0 == one.wait()["StatusCode"]


def started(service: str, module: str, *words: str) -> list[str]:
    """Return the words that start a module as an engine does."""
    entry = ["python", f"{FOLDER}/entry.py", "--bundle", "/run/secrets/bundle", "--service", service, "--"]
    return [*entry, "python", "-m", module, *words]


def healthy(one: Any) -> bool:
    one.reload()
    assert "running" == one.status, one.logs().decode()
    return bool(one.exec_run(["python", "-IS", f"{FOLDER}/health.py", "8000", "/readyz"]).exit_code == 0)


def test_plain_docker_build_works(repo: Repo, made: Made, packages: Path, tmp_path: Path) -> None:
    """`docker build .` in a checkout makes the same image, with packages beside it even without a network."""
    context, name = tmp_path / "context", f"{repo.environments.project}:plain"
    subprocess.run(["git", "clone", "-q", repo.root, context], check=True)
    shutil.copytree(packages, context / "packages")
    words = ["docker", "build", "--network", "none", "--tag", name, "."]
    done = subprocess.run(words, cwd=context, capture_output=True, check=False)

    assert 0 == done.returncode, done.stderr.decode()
    plain = engines.client().images.get(name)
    assert [] == inspection.configured(repo, plain.attrs["Config"], plain.history())
    assert run(made.id, CONTENTS) == run(plain.id, CONTENTS)
