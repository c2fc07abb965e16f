import io
import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from ci.delivery import image
from ci.delivery.image import Made
from ci.delivery.process import FOLDER
from ci.ground import errors, git
from ci.ground.repo import Repo
from tests import checkouts, engines

pytestmark = pytest.mark.engine

NODE = "node:18-bookworm-slim"
DOCKERFILE = f"""FROM {NODE} AS build
WORKDIR /build
COPY . .
RUN cp -r . /out

FROM {NODE}
ENV GREETING=hello
WORKDIR /app
COPY --from=build /out .
USER 10001
ENTRYPOINT ["node"]
CMD ["server.js"]
"""
FILES = {
    "web/Dockerfile": DOCKERFILE,
    "web/.dockerignore": "Dockerfile\n",
    "web/server.js": "console.log(process.env.GREETING, require('left').side)\n",
    "web/node_modules/left/package.json": '{"name": "left", "version": "1.0.0", "license": "MIT"}',
    "web/node_modules/left/index.js": "exports.side = 'left'\n",
    "web/node_modules/left/.env": "EXAMPLE=1\n",
}
WEB = {"command": "node server.js --port {port}", "port": 3000, "health": "/", "image": "web"}


def declare(repo: Repo, name: str = "web", main: Mapping[str, str] = MappingProxyType({}), **changed: Any) -> None:
    """Have the schema declare a service and the image web."""
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_text())
    document["images"] = {"web": {"dockerfile": "web/Dockerfile", "context": "web"}, "main": dict(main)}
    document["services"][name] = WEB | changed
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def commit(repo: Repo, files: Mapping[str, str]) -> str:
    for name in files:
        (repo.root / name).parent.mkdir(parents=True, exist_ok=True)
    return engines.commit(repo, files)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """A product with one image that is Python's and another that is Node's."""
    with engines.project(tmp_path_factory.mktemp("products"), checkouts.fixture) as made:
        declare(made)
        commit(made, FILES)
        yield Repo(made.root)


@pytest.fixture(scope="module")
def made(repo: Repo) -> dict[str, Made]:
    """Its images, by name."""
    return dict(zip(("web", "main"), image.build(repo), strict=True))


@pytest.fixture
def fresh(repo: Repo, made: dict[str, Made]) -> Iterator[Repo]:
    """The product, to be changed; the change is gone afterwards."""
    before = git.commit(repo.root, "HEAD")
    yield Repo(repo.root)
    subprocess.run(["git", "-C", repo.root, "reset", "-q", "--hard", before], check=True)


def run(identity: str, *words: str, **options: Any) -> str:
    """Run a container as an engine does and return what it prints."""
    options |= {"read_only": True, "cap_drop": ["ALL"], "network_mode": "none", "remove": True}
    return str(engines.client().containers.run(identity, list(words), **options).decode())


def test_each_image_has_its_tag(repo: Repo, made: dict[str, Made]) -> None:
    """The image main is named by the commit, another by its name as well; both are built once."""
    short = git.commit(repo.root, "HEAD")[:12]
    project = repo.environments.project

    assert {"main": f"{project}:{short}", "web": f"{project}:web-{short}"} == {
        name: one.tag for name, one in made.items()
    }
    assert [(one.id, False) for one in made.values()] == [(one.id, one.new) for one in image.build(repo)]


def test_the_team_s_image_is_kept_as_it_is(made: dict[str, Made]) -> None:
    """User, folder, environment, entrypoint and command are the team's; it runs as `docker run` has it."""
    config = engines.client().images.get(made["web"].id).attrs["Config"]

    assert ("10001", "/app", ["node"], ["server.js"]) == tuple(
        config[name] for name in ("User", "WorkingDir", "Entrypoint", "Cmd")
    )
    assert "GREETING=hello" in config["Env"]
    assert "hello left\n" == run(made["web"].id)


def test_the_last_layer_is_read_by_the_image_s_user(repo: Repo, made: dict[str, Made]) -> None:
    """runtime/ and the compiled keys, in each image, which its user can read and nobody can change."""
    files = [path.name for path in (repo.root / "runtime").iterdir() if path.suffix in (".py", ".sh")]
    program = "cd /opt/lockstep/runtime && cat * >/dev/null && echo * && ! [ -w . ] && ! [ -w keys.py ]"

    for one in made.values():
        assert sorted(files) == run(one.id, "-c", program, entrypoint=["sh"]).split()


def test_the_entrypoint_starts_what_is_not_python(made: dict[str, Made], tmp_path: Path) -> None:
    """The values of a bundle are in the environment of a Node process, as they were."""
    value = f"{secrets.token_urlsafe()} it's $HOME"
    (tmp_path / "bundle").write_text("GREETING='{}'\n".format(value.replace("'", "'\\''")))
    volumes = {str(tmp_path / "bundle"): {"bind": "/run/secrets/bundle", "mode": "ro"}}
    words = [
        f"{FOLDER}/entry.sh",
        "--bundle",
        "/run/secrets/bundle",
        "--service",
        "web",
        "--",
        "node",
        "server.js",
    ]

    assert f"{value} left\n" == run(made["web"].id, *words, entrypoint=["sh"], volumes=volumes)


def test_packages_are_for_the_python_of_the_base(fresh: Repo) -> None:
    """A base whose name does not say its Python is asked for it."""
    name = f"t{secrets.token_hex(4)}:base"
    engines.client().images.build(fileobj=io.BytesIO(f"FROM {engines.BASE}\nENV A=b\n".encode()), tag=name)
    text = (fresh.root / "Dockerfile").read_text()
    declare(fresh, main={"packages": "requirements/services.txt"})
    engines.commit(fresh, {"Dockerfile": text.replace(engines.BASE, name)})
    try:
        made = list(image.build(fresh))
    finally:
        engines.client().images.remove(name)

    assert [True, True] == [one.new for one in made]


def test_packages_need_a_python(fresh: Repo) -> None:
    """A lock file of Python's for a base that has no Python is an error that names the image."""
    declare(fresh, main={"packages": "requirements/services.txt"})
    commit = engines.commit(fresh, {"Dockerfile": "FROM scratch\nCOPY packages /\n"})

    with pytest.raises(errors.BuildError, match=r"^the image main has packages, and its base has no Python$"):
        list(image.build(fresh))
    assert all("web-" in tag for one in engines.of(commit) for tag in one.tags)


def test_the_parts_of_node_are_written_down(repo: Repo, made: dict[str, Made]) -> None:
    """Each image has its own list, with npm's and Debian's packages."""
    commit = git.commit(repo.root, "HEAD")
    documents = [json.loads(image.sbom(repo, commit, name).read_text()) for name in ("main", "web")]
    main, web = ({part["purl"] for part in document["components"]} for document in documents)

    assert "pkg:npm/left@1.0.0" in web - main
    assert any(purl.startswith("pkg:deb/debian/nodejs@") for purl in web - main)
    assert [made["main"].id, made["web"].id] == [one["metadata"]["component"]["bom-ref"] for one in documents]


def test_each_image_is_pushed(repo: Repo, made: dict[str, Made], tmp_path: Path) -> None:
    """REGISTRY:COMMIT and REGISTRY:NAME-COMMIT are what they are fetched by."""
    with engines.registry(tmp_path) as address:
        name = f"{address}/team/app"
        digests = [image.push(one, name) for one in made.values()]
        pulled = [engines.client().images.pull(digest).id for digest in digests]

        assert [one.id for one in made.values()] == pulled
        for one in made.values():
            tag = one.tag.partition(":")[2]
            assert one.id == engines.client().images.pull(name, tag).id
        for word in (*digests, *(f"{name}:{one.tag.partition(':')[2]}" for one in made.values())):
            engines.client().images.remove(word)


def test_a_command_that_is_not_in_the_image_is_named(fresh: Repo) -> None:
    """An image that cannot start a service gets no tag; the service and its command are named."""
    declare(fresh, command="gunicorn app:app", health={"command": "ask me"})
    commit = engines.commit(fresh)

    with pytest.raises(errors.UncleanImageError) as caught:
        list(image.build(fresh))

    assert (
        "service web: its command gunicorn is not in the image",
        "service web: the command of its health, ask, is not in the image",
    ) == caught.value.detail
    assert [] == engines.of(commit)


def test_what_no_engine_starts_in_an_image_need_not_be_there(fresh: Repo) -> None:
    """A service of `local` alone, and a job that rotates keys, are run from the checkout."""
    declare(fresh, "console", command="no-such-program", environments=["local"])
    path = fresh.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_text())
    document["jobs"]["keys"] = {"command": "no-such-program", "keys": "web", "image": "web"}
    key = next(key for key in document["keys"].values() if key["meta"].get("provider"))
    key["meta"]["provider"] = "keys"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    engines.commit(fresh)

    assert [True, True] == [one.new for one in image.build(fresh)]


def test_a_secret_that_a_later_copy_replaces_is_found(fresh: Repo) -> None:
    """The file of the earlier layer is looked at, though no container sees it; values are never shown."""
    secret = f"AGE-SECRET-KEY-1{''.join(secrets.choice('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L') for _ in range(58))}"
    steps = "COPY one /data/\nCOPY two /data/\nCOPY server.js /app/\n"
    text = DOCKERFILE.replace("USER 10001\n", f"USER 10001\n{steps}")
    commit(fresh, {"web/Dockerfile": text, "web/one/a": secret, "web/two/a": len(secret) * "-"})

    with pytest.raises(errors.UncleanImageError) as caught:
        list(image.build(fresh))

    assert any("data/a" in line for line in caught.value.detail), caught.value.detail
    assert secret not in str(caught.value.detail)


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ("COPY one /link/", "target/a"),
        ("COPY one /there/", "there/a"),
        ("COPY one/a /data/b/c", "data/b/c"),
        ("COPY one /data/lib", "data/lib/a"),
        ("WORKDIR /w\nCOPY one .", "w/a"),
        ("COPY server.js /data/\nCOPY one /w/", "w/a"),
    ],
)
def test_a_secret_in_any_copy_is_found(fresh: Repo, steps: str, place: str) -> None:
    """Through a link, into a folder that was there, of a file, into `lib`, below WORKDIR, beside known layers."""
    text = f"FROM {NODE}\nRUN mkdir /target /there && ln -s /target /link && touch /there/x\nUSER 10001\n"
    start = "WORKDIR /app\nCOPY server.js .\n"
    secret = f"AGE-SECRET-KEY-1{''.join(secrets.choice('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L') for _ in range(58))}"
    commit(fresh, {"web/Dockerfile": f"{text}{start}"})
    list(image.build(fresh))
    commit(fresh, {"web/Dockerfile": f"{text}{start}{steps}\n", "web/one/a": secret})

    with pytest.raises(errors.UncleanImageError) as caught:
        list(image.build(fresh))

    [line] = caught.value.detail
    assert line.endswith(f"{place}: an age identity (leaks/age-identity)")
    assert secret not in line
