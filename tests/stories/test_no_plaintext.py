"""DESIGN's promise: plaintext is never on disk, in argv, in a log; it lives in the memory of who needs it."""

import base64
import json
import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import pytest

from ci.delivery.engines import processes, servers
from ci.ground import dotenv
from tests import checkouts


def disguises(value: str) -> set[bytes]:
    """Return the forms in which a value could hide."""
    encoded = value.encode()
    forms = {encoded, base64.b64encode(encoded).rstrip(b"="), base64.urlsafe_b64encode(encoded).rstrip(b"=")}
    return forms | {quote(value, safe="").encode(), json.dumps(value)[1:-1].encode(), encoded.hex().encode()}


def secret_parts(values: dict[str, str]) -> dict[str, str]:
    """Return each secret and, of a URL, the password in it: the part that must not be seen anywhere."""
    parts = dict(values)
    for key, value in values.items():
        if "://" in value:
            parts[f"{key} (password)"] = urlsplit(value).password or ""
        if key == "SMS_PROVIDER_API_KEY":
            parts[f"{key} (secret)"] = value.partition(":")[2]
    return parts


def found_in(data: bytes, canaries: dict[str, str]) -> set[str]:
    return {key for key, value in canaries.items() if any(form in data for form in disguises(value))}


def sweep(folders: list[Path], canaries: dict[str, str]) -> tuple[int, dict[str, set[str]]]:
    """Search every file below the folders; return how many were read, and what was found where."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    found = {str(path): found_in(path.read_bytes(), canaries) for path in files if ".venv" not in path.parts}
    return len(files), {path: keys for path, keys in found.items() if keys}


@pytest.mark.server
def test_no_secret_outlives_the_process_that_needs_it(clone: checkouts.Clone, tmp_path: Path) -> None:
    """init, set, encrypt, edit, deploy, crash, deploy, stop; then every file, log and argv is searched."""
    planted = {"SMTP_PASSWORD": f"canary %$#= {secrets.token_urlsafe()}"}
    clone.inv("init", "--name=acme")
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text=planted["SMTP_PASSWORD"])
    clone.inv("encrypt", "--env=dev", text=clone.inv("decrypt", "--env=dev"))
    clone.inv("deploy")
    values, _ = dotenv.parse(clone.inv("decrypt", "--env=local").encode())
    canaries = planted | secret_parts(values)
    services = processes.of(clone.repo.state, "config.entry")

    argv = [" ".join(process.info["cmdline"] or ()).encode() for process in psutil.process_iter(["cmdline"])]
    environments = [repr(process.environ()).encode() for process in services]
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text="refused", code=25)
    services[0].kill()
    clone.inv("deploy")
    clone.inv("stop")
    data = servers.postgres_folder(clone.repo.state / "postgres")
    count, found = sweep([tmp_path, data], canaries)

    assert 2 == len(services)
    assert {key: set() for key in range(len(argv))} == {n: found_in(one, canaries) for n, one in enumerate(argv)}
    assert [set(), set()] == [found_in(one, canaries) for one in environments]
    assert count > 500
    assert {} == found


def test_the_sweep_finds_what_is_there(tmp_path: Path) -> None:
    """A canary in each disguise is found, so that finding none means something."""
    value = f"canary %$#= {secrets.token_urlsafe()}"
    for number, form in enumerate(sorted(disguises(value))):
        (tmp_path / str(number)).write_bytes(b"before " + form + b" after")

    count, found = sweep([tmp_path], {"KEY": value})

    assert len(disguises(value)) == count == len(found)
