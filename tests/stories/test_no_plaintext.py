"""DESIGN's promise: plaintext is never on disk, in argv, in a log; it lives in the memory of who needs it."""

import base64
import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
import pytest

from ci.delivery import servers
from ci.ground import dotenv, processes
from tests import checkouts, sweeps


@pytest.mark.server
def test_no_secret_outlives_the_process_that_needs_it(clone: checkouts.Clone, tmp_path: Path) -> None:
    """init, set, encrypt, edit, deploy, crash, deploy, stop; then every file, log and argv is searched."""
    planted = {"SMTP_PASSWORD": f"canary %$#= {secrets.token_urlsafe()}"}
    clone.inv("init", "--name=acme")
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text=planted["SMTP_PASSWORD"])
    clone.inv("encrypt", "--env=dev", text=clone.inv("decrypt", "--env=dev"))
    clone.inv("deploy")
    values, _ = dotenv.parse(clone.inv("decrypt", "--env=local").encode())
    canaries = planted | sweeps.secret_parts(values)
    services = [one for one in processes.of(clone.repo.state_of("local")) if processes.word(one, "--service")]
    family = [*services, *(child for one in services for child in one.children(recursive=True))]

    (seen := tmp_path / "seen").mkdir()
    argv = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    (seen / "argv").write_text("\n".join(argv))
    (seen / "environments").write_text("\n".join(repr(process.environ()) for process in family))
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text="refused", code=25)
    services[0].kill()
    clone.inv("deploy")
    clone.inv("stop")
    swept = list(sweeps.files(tmp_path, servers.postgres_folder(clone.repo.state_of("local") / "postgres")))

    assert (3, True) == (len(services), len(family) > len(services))
    assert len(swept) > 500
    assert {} == sweeps.search(swept, canaries)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize(
    "encode",
    [
        str,
        quote,
        partial(quote, safe=""),
        quote_plus,
        json.dumps,
        partial(json.dumps, ensure_ascii=False),
        lambda text: json.dumps({"log": json.dumps({"event": text})}),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    ],
)
def test_the_sweep_finds_what_is_there(tmp_path: Path, encode: Callable[[str], str], before: str) -> None:
    """A canary is found, however it is encoded and whatever stands around it: finding none means something."""
    value = f'canary "%$#/= é ???>>>~~~ {secrets.token_urlsafe()}'
    (tmp_path / "encoded").write_text(encode(f"{before}{value} after"))

    assert {"KEY": {str(tmp_path / "encoded")}} == sweeps.search([tmp_path / "encoded"], {"KEY": value})
