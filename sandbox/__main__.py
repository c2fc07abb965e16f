"""Run the sandbox: `python -m sandbox --port P --smtp-port S --state FILE [--fd N]`.

A JSON object with SMS_PROVIDER_API_KEY, SMTP_USERNAME and SMTP_PASSWORD comes on stdin, for argv can be seen by
every user of the machine. SIGTERM ends it.
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from sandbox.api import Sandbox, app
from sandbox.errors import StartError
from sandbox.keys import Keys
from sandbox.smtp import Sink

log = logging.getLogger("sandbox")
HOST = "127.0.0.1"
NEEDED = ("SMS_PROVIDER_API_KEY", "SMTP_USERNAME", "SMTP_PASSWORD")


def main() -> None:
    """Read the arguments and stdin, then serve until a signal."""
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # Uvicorn and aiosmtpd speak up for errors only: at lower levels aiosmtpd logs what is said in a session.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.ERROR)
    log.setLevel(logging.INFO)
    try:
        given = values(sys.stdin.read())
        sandbox = Sandbox(Keys(options.state))
        sink = Sink(sandbox.inbox, given["SMTP_USERNAME"], given["SMTP_PASSWORD"])
        http = socket.socket(fileno=options.fd) if options.fd is not None else listen(options.port)
        mail = listen(options.smtp_port)
    except StartError as error:
        sys.stderr.write(f"error: {error}\nhint: {error.hint}\n")
        raise SystemExit(error.code) from None
    name, _, secret = given["SMS_PROVIDER_API_KEY"].partition(":")
    sandbox.keys.add(name, secret)
    if not sandbox.keys.admits(name, secret):
        log.warning("key %s of the environment was revoked, or has another secret", name)
    asyncio.run(serve(app(sandbox, options.host), sink, http, mail))


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="sandbox", description="an SMS provider and a mail server for local")
    parser.add_argument("--port", type=int, required=True, help="of the provider's API and the inbox")
    parser.add_argument("--smtp-port", type=int, required=True, help="of the mail server")
    parser.add_argument("--state", type=Path, required=True, help="the file that keeps the API keys, as hashes")
    parser.add_argument("--host", action="append", default=[], help="another name by which it may be asked")
    parser.add_argument("--fd", type=int, help="a descriptor that listens already, instead of --port")
    return parser.parse_args()


def values(text: str) -> Mapping[str, str]:
    """Return what came on stdin; StartError unless it is complete."""
    try:
        given = json.loads(text)
        whole = all(isinstance(given[name], str) for name in NEEDED) and ":" in given["SMS_PROVIDER_API_KEY"]
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        hint = f"give a JSON object of {', '.join(NEEDED)}; the API key is id:secret"
        raise StartError("stdin does not hold what the sandbox needs", hint)
    return dict(given)


def listen(port: int) -> socket.socket:
    """Return a socket that listens at a port; StartError when it is in use."""
    try:
        listener = socket.create_server((HOST, port))
    except OSError:
        hint = "stop what listens there, or take another port in config/local.env"
        raise StartError(f"port {port} is not available", hint) from None
    # asyncio does that for sockets that say their protocol, which this one does not: an answer would wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve(made: FastAPI, sink: Sink, http: socket.socket, mail: socket.socket) -> None:
    """Serve both sides until a signal; what is still being sent then is cut off."""
    server = await asyncio.get_running_loop().create_server(sink.protocol, sock=mail)
    config = uvicorn.Config(made, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    try:
        await uvicorn.Server(config).serve(sockets=[http])
    finally:
        server.close()


if __name__ == "__main__":
    main()
