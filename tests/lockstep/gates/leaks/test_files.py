import gzip
import json
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests.lockstep.gates.leaks.archives import tarred
from tests.lockstep.gates.leaks.cases import made_up
from tests.lockstep.gates.leaks.repos import dotenv, ids, output


def image(folder: Path, layers: list[dict[str, bytes]], config: str = "{}") -> Path:
    """Write what `docker save` writes."""
    files = {f"blobs/sha256/{number}": tarred(layer) for number, layer in enumerate(layers)}
    path = folder / "image.tar"
    path.write_bytes(tarred({**files, "blobs/sha256/config": config.encode(), "manifest.json": b"[]"}))
    return path


def test_a_folder(repo: Repo) -> None:
    """Tracked and new files are looked at, ignored ones are not, whatever .git/info/exclude says."""
    (repo.root / ".gitignore").write_text("*.local\n")
    (repo.root / ".git/info/exclude").write_text("*.env\n/.tools\n")
    for name in ("new.env", "mine.local"):
        (repo.root / name).write_text(dotenv())

    assert ["new.env"] == [one.place for one in leaks.check_folder(repo)]


def test_an_image(repo: Repo, tmp_path: Path) -> None:
    """A file in a layer below the one that deletes it is found, and so is the environment in the config."""
    layers = [{"app/a.env": dotenv().encode()}, {"app/.wh.a.env": b""}]
    saved = image(tmp_path, layers, json.dumps({"config": {"Env": [dotenv().strip()]}}))

    found = leaks.check_image(saved, repo)

    assert ["blobs/sha256/0!app/a.env", "blobs/sha256/config"] == [one.place for one in found]
    assert 2 == found.looked["layers"]


def test_an_image_of_compressed_layers(repo: Repo, tmp_path: Path) -> None:
    """A layer may be packed; the command says the same."""
    path = tmp_path / "image.tar"
    path.write_bytes(tarred({"layer.tar.gz": gzip.compress(tarred({"srv/a.env": dotenv().encode()}))}))

    code, printed = output(repo, "--image", str(path))

    assert (1, True) == (code, "layer.tar.gz!unpacked!srv/a.env:1" in printed)


@pytest.mark.parametrize("place", ["usr/lib/python3/site-packages/thing", "srv/web/node_modules/thing"])
def test_packages_in_an_image(repo: Repo, tmp_path: Path, place: str) -> None:
    """An example password of a package is silent; our own key's value is found there too."""
    bad = f'password = "{made_up()["v"]}"\n'.encode()
    saved = image(tmp_path, [{f"{place}/a.py": bad, f"{place}/b.env": dotenv().encode(), "app/c.py": bad}])

    found = leaks.check_image(saved, repo)

    assert ["b.env", "c.py"] == sorted(one.place.rpartition("/")[2] for one in found)


def test_unpacked_layers(repo: Repo, tmp_path: Path) -> None:
    """A folder of layers is looked at whole, hidden and ignored files too."""
    (tmp_path / "layer/root").mkdir(parents=True)
    (tmp_path / "layer/.gitignore").write_text("*\n")
    (tmp_path / "layer/root/.pgpass").write_text(f"db:5432:app:me:{made_up()['v']}\n")

    assert ["leaks/pgpass"] == ids(leaks.check_image(tmp_path / "layer", repo))


@pytest.mark.parametrize("content", [b"", b"no tar", tarred({"manifest.json": b"[]"}), None])
def test_what_is_no_image(repo: Repo, tmp_path: Path, content: bytes | None) -> None:
    """An empty file, another file, an image without a layer and none at all prove nothing."""
    path = tmp_path / "image.tar"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(GateError):
        leaks.check_image(path, repo)
