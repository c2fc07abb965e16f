"""The sandbox that replaces the providers, a process beside the services."""

import json
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from ci.delivery.engines import Replica, Sealed
from ci.delivery.engines.processes import logfiles
from ci.delivery.engines.processes.replicas import Place, environ
from ci.delivery.release import Release
from ci.ground import command, processes
from ci.ground import ports as numbers

MODULE = "sandbox"
KEYS = ("SMS_PROVIDER_API_KEY", "SMTP_USERNAME", "SMTP_PASSWORD")


def start(place: Place, release: Release, sealed: Sealed) -> Replica | None:
    """Start the sandbox and return its process; None when it runs already."""
    if processes.of(place.folder, MODULE):
        return None
    values = {**release.plain, **{key: value.reveal() for key, value in sealed.items()}}
    port, smtp_port = ports(release.plain)
    words = ["-m", MODULE, "--port", str(port), "--smtp-port", str(smtp_port)]
    process = command.spawn(
        [place.python, *words, "--state", str(place.folder / "sandbox.json")],
        input=json.dumps({key: values[key] for key in KEYS}).encode(),
        env=environ(place, {}),
        cwd=place.folder,
        log=logfiles.path(place.folder, "sandbox"),
    )
    return Replica("sandbox", 0, process.pid, f"http://{numbers.HOST}:{port}", time.time())


def ports(plain: Mapping[str, str]) -> tuple[int, int]:
    """Return the ports of the sandbox, for HTTP and for SMTP."""
    return urlsplit(plain["SMS_PROVIDER_URL"]).port or 80, int(plain["SMTP_PORT"])
