"""What the proxy sends where: `routes.json` in its folder, which a deploy replaces while the proxy runs."""

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from ci.ground import errors, files

NAME = "routes.json"


@dataclass(frozen=True)
class Route:
    """Requests to a host (empty: any) below a path, and the ports of this machine where they are answered.

    Paths are whole segments. What is below a private path is answered with 404.
    """

    host: str = ""
    path: str = "/"
    private: tuple[str, ...] = ()
    backends: tuple[int, ...] = ()

    def serves(self, host: str, path: str) -> bool:
        """Whether it answers a request; both are as `host_of` and `path_of` return them."""
        return self.host.lower() in ("", host) and _below(self.path, path)

    def hides(self, path: str) -> bool:
        """Whether a path is private."""
        return any(_below(private, path) for private in self.private)


Routes = Mapping[int, Sequence[Route]]  # by public port


def write(folder: Path, routes: Routes) -> None:
    """Replace the routes: a backend that they do not name gets no request on a connection that is made later.

    A connection to a backend is one request: when its last one has ended, the backend may be stopped.
    """
    ports = {str(port): [asdict(route) for route in some] for port, some in routes.items()}
    files.replace(folder / NAME, json.dumps({"ports": ports}, indent=1))


class Table:
    """The routes as the file has them now; without a file there are none."""

    def __init__(self, folder: Path) -> None:
        self.routes: Routes = {}
        self._path = folder / NAME
        self._version = (0, 0, 0)

    def refresh(self) -> bool:
        """Read the file if it was replaced, and say whether it was; FormatError leaves the routes as they were."""
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version == self._version:
                return False
            content = self._path.read_bytes()
        except FileNotFoundError:
            version, content = (0, 0, 0), b'{"ports": {}}'
        before, self._version = self._version, version
        try:
            self.routes = {
                int(port): [_route(**words) for words in some]
                for port, some in json.loads(content)["ports"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            hint = "deploy again with the version that is checked out"
            raise errors.FormatError(f"{self._path} is not what this version writes", hint) from None
        return version != before

    def find(self, port: int, host: str, path: str) -> Route | None:
        """Return the route of a request: the one with the longest path, and of two the one that names the host."""
        serving = [route for route in self.routes.get(port, ()) if route.serves(host, path)]
        return max(serving, key=lambda route: (len(route.path.rstrip("/")), bool(route.host)), default=None)


def host_of(header: str) -> str:
    """Return the name in a Host header, without a port, in lower case."""
    return re.sub(r":\d*$", "", header.strip()).rstrip(".").lower()


def path_of(target: str) -> str:
    """Return the path of a request as any server may read it.

    Without query and parameters of segments, decoded once, and without empty segments, `.` and `..`.
    """
    path = unquote(re.sub(r";[^/]*", "", target.partition("?")[0]))
    return posixpath.normpath(re.sub("/+", "/", path))


def _route(host: str, path: str, private: Sequence[str], backends: Sequence[int]) -> Route:
    return Route(host, path, tuple(private), tuple(map(int, backends)))


def _below(prefix: str, path: str) -> bool:
    return f"{path}/".startswith(f"{prefix.rstrip('/')}/")
