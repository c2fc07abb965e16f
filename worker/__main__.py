"""Run the worker: `python -m worker [--health-port P | --health-fd N] [--sha SHA] [--release N]`.

Dramatiq's Worker runs in this very process, not under its command line: that starts further processes, whose
environment would hold the secrets for everybody who may look at /proc.
"""

import argparse
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dramatiq
import structlog
from prometheus_client import Info

import runtime
from model import database, health, logs, queue
from model.notification import Channel
from worker.delivery import Deliverer
from worker.health import serve
from worker.sweeper import Sweeper

BUILD = Info("lockstep", "The release that runs.")
STOP = (signal.SIGTERM, signal.SIGINT)
IDLE_MILLISECONDS = 100  # how often an idle worker asks Redis, and sees that it should stop
log = structlog.get_logger("worker")


def main() -> None:
    """Deliver until SIGTERM, then finish what was begun within SHUTDOWN_GRACE_SECONDS."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)  # for every thread: whoever starts below, this one hears it
    arguments = _arguments()
    settings = runtime.load("worker")
    logs.configure(settings, "worker", arguments.sha, arguments.release)
    BUILD.info({"sha": arguments.sha, "release": str(arguments.release), "environment": settings.environment})
    engine, broker = database.engine(settings), queue.broker(settings)
    deliverer = Deliverer(settings, engine)
    queue.follow(broker, deliverer.deliver)
    workers = [
        dramatiq.Worker(
            broker,
            queues={channel},
            worker_threads=settings.worker_concurrency,
            worker_timeout=IDLE_MILLISECONDS,
        )
        for channel in Channel  # threads of their own, so that one provider that hangs leaves the other's free
    ]
    sweeper = Sweeper(engine, broker, settings.retention_days)
    if listener := _listener(arguments):
        version = {"sha": arguments.sha, "release": arguments.release}
        serve(listener, partial(health.readiness, engine, broker), version)
    for worker in workers:
        worker.start()
    sweeper.start()
    log.info("working", concurrency=settings.worker_concurrency)
    signal.sigwait(STOP)
    log.info("draining")
    sweeper.stop()
    with ThreadPoolExecutor() as pool:  # side by side: the grace is for both
        list(pool.map(partial(_drain, seconds=settings.shutdown_grace_seconds), workers))
    log.info("drained")


def _drain(worker: dramatiq.Worker, seconds: float) -> None:
    """Give back what was taken and not begun; what is cut off here is found when its lease ends."""
    try:
        worker.stop(timeout=round(seconds * 1000))
    except queue.QueueError as error:  # what could not be given back is swept
        log.warning("queue unavailable", kind=type(error).__name__)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--health-port", type=int, help="answer /healthz, /readyz, /version and /metrics there")
    where.add_argument("--health-fd", type=int, help="a listening socket that was handed over")
    parser.add_argument("--sha", default="unknown")
    parser.add_argument("--release", type=int, default=0)
    return parser.parse_args()


def _listener(arguments: argparse.Namespace) -> socket.socket | None:
    if arguments.health_fd is not None:
        return socket.socket(fileno=arguments.health_fd)
    if arguments.health_port is not None:
        return socket.create_server(("0.0.0.0", arguments.health_port))  # noqa: S104, as the api's
    return None


if __name__ == "__main__":
    main()
