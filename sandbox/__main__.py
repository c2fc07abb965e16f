"""Run the sandbox: `python -m sandbox --port P --state FILE`; its keys are in its environment. SIGTERM ends it."""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

import runtime
from sandbox.api import Sandbox, app
from sandbox.errors import StartError
from sandbox.inbox import Inbox
from sandbox.keys import Keys
from sandbox.smtp import Sink

log = logging.getLogger("sandbox")
HOST = "127.0.0.1"


def main() -> None:
    """Read the arguments and the keys, then serve until a signal."""
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # Uvicorn and aiosmtpd speak up for errors only: at lower levels aiosmtpd logs what is said in a session.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.ERROR)
    log.setLevel(logging.INFO)
    settings = runtime.load("sandbox")
    try:
        sandbox = Sandbox(Keys(options.state), Inbox(options.state.with_suffix(".messages")))
        sink = Sink(sandbox.inbox, settings.smtp_username, settings.smtp_password.reveal())
        http, mail = listen(options.port), listen(settings.smtp_port)
    except StartError as error:
        sys.stderr.write(f"error: {error}\nhint: {error.hint}\n")
        raise SystemExit(error.code) from None
    name, _, secret = settings.sms_provider_api_key.reveal().partition(":")
    sandbox.keys.add(name, secret)
    if not sandbox.keys.admits(name, secret):
        log.warning("key %s of the environment was revoked, or has another secret", name)
    asyncio.run(serve(app(sandbox, options.host), sink, http, mail))


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="sandbox", description="an SMS provider and a mail server for local")
    parser.add_argument("--port", type=int, required=True, help="of the provider's API and the inbox")
    parser.add_argument(
        "--state",
        type=Path,
        required=True,
        help="the file that keeps the API keys, as hashes; one beside it keeps the messages",
    )
    parser.add_argument("--host", action="append", default=[], help="another name by which it may be asked")
    return parser.parse_args()


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
