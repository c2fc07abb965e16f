import asyncio
import hashlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from ci.delivery.engines.processes import exchange, routes
from ci.delivery.engines.processes import proxy as proxy_module
from ci.delivery.engines.processes.proxy import Proxy
from ci.delivery.engines.processes.routes import Route
from ci.ground import command, errors, ports
from tests.checkouts import ROOT
from tests.lockstep.delivery.engines.backends import OK, SERVERS, Backend, backend, listens, read_to, serve, wait

ARGV = [sys.executable, "-m", "ci.delivery.engines.processes.proxy", "--tag", "a test"]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
CLOSE = b"Connection: close\r\n\r\n"
REQUESTS = 3000


@dataclass(frozen=True)
class Running:
    """A proxy that runs: its process, its folder and its public port."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    def route(self, *to: Backend | Route) -> None:
        """Replace the routes; backends alone are one route for all."""
        given = [each for each in to if isinstance(each, Route)]
        rest = tuple(each.port for each in to if isinstance(each, Backend))
        routes.write(self.folder, {self.port: given or [Route(backends=rest)]})

    def connect(self) -> socket.socket:
        """Return a client's connection."""
        return socket.create_connection((ports.HOST, self.port), timeout=15)

    def ask(self, request: bytes) -> bytes:
        """Send bytes and return all that is answered until the proxy closes the connection."""
        with self.connect() as client:
            client.sendall(request)
            return read_to(client, b"never sent")

    def status(self, request: bytes) -> int:
        """Send bytes and return the status of the answer."""
        with self.connect() as client:
            client.sendall(request)
            return int(read_to(client, b"\r\n").split()[1])

    def log(self) -> str:
        """Return what it has logged."""
        return (self.folder / "log").read_text()


def start(folder: Path, port: int) -> Running:
    log = folder / "log"
    process = command.spawn([*ARGV, folder], log=log, cwd=ROOT)
    wait(lambda: log.exists() and "listening at" in log.read_text(), log.read_text)
    return Running(process, folder, port)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("proxy"), ports.free()
    routes.write(folder, {port: [Route()]})
    running = start(folder, port)
    yield running
    running.process.terminate()
    assert 0 == running.process.wait(15)
    assert "Traceback" not in running.log()


@pytest.fixture
def proxy(shared: Running) -> Running:
    """A proxy whose log is empty; the test says what is behind it."""
    assert "Traceback" not in shared.log()
    (shared.folder / "log").write_text("")
    return shared


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A proxy that a test may end."""
    port = ports.free()
    routes.write(tmp_path, {port: [Route()]})
    running = start(tmp_path, port)
    yield running
    running.process.kill()
    running.process.wait()


class Clients:
    """Threads that ask a proxy: half of them keep their connection."""

    def __init__(self, port: int) -> None:
        self.asked, self.failed, self._port = 0, list[str](), port
        self._guard, self._done = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[number % 2 == 0]) for number in range(6)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when all threads have ended."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, keeps: bool) -> None:  # noqa: FBT001
        connection = http.client.HTTPConnection(ports.HOST, self._port, timeout=15)
        while not self._done.is_set():
            body = secrets.token_bytes(100)
            try:
                connection.request("POST", "/", body)
                answer = connection.getresponse()
                fault = "" if (answer.status, answer.read()) == (200, body) else str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                fault = repr(error)
            if fault or not keeps:
                connection.close()
            with self._guard:
                self.asked += 1
                self.failed += [fault] if fault else []
        connection.close()


@pytest.mark.parametrize("name", SERVERS)
def test_replaced_servers_lose_no_request(proxy: Running, tmp_path: Path, name: str) -> None:
    """A server that does not drain is ended once it has no connection, again and again; no request fails."""
    process, port = serve(name, tmp_path)
    proxy.route(Backend(port))
    clients, replaced = Clients(proxy.port), 0

    while clients.asked < REQUESTS or replaced < 10:
        before, old = process, port
        process, port = serve(name, tmp_path)
        proxy.route(Backend(port))
        wait(lambda: not connected(before, old))  # noqa: B023
        before.terminate()
        before.wait(15)
        replaced += 1
    clients.stop()
    process.terminate()
    process.wait(15)

    assert [] == clients.failed
    assert "" == proxy.log()


def connected(process: psutil.Process, port: int) -> bool:
    found = [entry for entry in psutil.net_connections("tcp4") if entry.laddr and entry.laddr.port == port]
    return any(entry.status == psutil.CONN_ESTABLISHED for entry in found)


def test_an_answer_is_passed_on_as_it_comes(proxy: Running) -> None:
    """The first event of a stream is at the client before the backend sends the second."""
    got = threading.Event()

    def stream(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        assert got.wait(15)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    with backend(stream) as server, proxy.connect() as client:
        proxy.route(server)
        client.sendall(GET)
        assert read_to(client, b"one")
        got.set()

        assert b"two" in read_to(client, b"0\r\n\r\n")


def test_a_body_is_passed_on_as_it_comes(proxy: Running) -> None:
    """A backend has the first half of a body before the client sends the second."""
    got = threading.Event()

    def receive(connection: socket.socket, head: bytes) -> None:
        if b"bo" not in head:
            read_to(connection, b"bo")
        got.set()
        read_to(connection, b"dy")
        connection.sendall(OK)

    with backend(receive) as server, proxy.connect() as client:
        proxy.route(server)
        client.sendall(POST[:-2])
        assert got.wait(15)
        client.sendall(POST[-2:])

        assert b"200" in read_to(client, b"ok")


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "sized"])
def test_large_bodies(proxy: Running, tmp_path: Path, name: str, chunked: bool) -> None:  # noqa: FBT001
    """Both directions carry megabytes unchanged; what reads no chunks is not sent any."""
    if chunked and name == "python":
        name = "node" if "node" in SERVERS else name  # http.server reads no chunks from anyone
    process, port = serve(name, tmp_path)
    proxy.route(Backend(port))
    body = secrets.token_bytes(1 << 20)
    parts = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
    connection = http.client.HTTPConnection(ports.HOST, proxy.port, timeout=15)

    connection.request("POST", "/", iter(parts) if chunked else body, encode_chunked=chunked)
    got = connection.getresponse().read()

    connection.close()
    process.kill()
    process.wait()
    assert hashlib.sha256(body).digest() == hashlib.sha256(got).digest()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 1000\r\n\r\n"),
    ],
    ids=["head", "204", "304"],
)
def test_answers_without_a_body(proxy: Running, method: bytes, answer: bytes) -> None:
    """They keep their headers, and the connection serves the next request."""
    with backend(answer) as server, proxy.connect() as client:
        proxy.route(server)
        for _ in range(2):
            client.sendall(GET.replace(b"GET", method))

            assert answer == read_to(client, b"\r\n\r\n")


def test_a_client_may_ask_before_it_sends_a_body(proxy: Running) -> None:
    """The backend's 100 Continue is the client's."""

    def receive(connection: socket.socket, head: bytes) -> None:
        assert b"100-continue" in head
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert read_to(connection, b"body")
        connection.sendall(OK)

    with backend(receive) as server, proxy.connect() as client:
        proxy.route(server)
        client.sendall(POST[:-6] + b"Expect: 100-continue\r\n\r\n")
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == read_to(client, b"\r\n\r\n")
        client.sendall(b"body")

        assert read_to(client, b"ok").startswith(b"HTTP/1.1 200")


def test_a_client_that_asks_may_be_refused(proxy: Running) -> None:
    """A refusal instead of 100 Continue closes the connection, on which a body may or may not follow."""
    with backend(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n") as server:
        proxy.route(server)
        answer = proxy.ask(POST[:-6] + b"Expect: 100-continue\r\n\r\n")

    assert b"413" in answer
    assert b"Connection: close" in answer


def test_an_early_answer_keeps_the_connection(proxy: Running) -> None:
    """A client that sends the rest of its body after the answer may use its connection again."""
    with backend() as server, proxy.connect() as client:
        proxy.route(server)
        for _ in range(2):
            client.sendall(POST[:-2])
            assert b"200" in read_to(client, b"ok")
            client.sendall(POST[-2:])


def test_a_server_of_http_1_0(proxy: Running) -> None:
    """A body that ends with the backend's connection gets an end of its own, and the client's connection stays."""
    with backend(b"HTTP/1.0 200 OK\r\n\r\nok") as server, proxy.connect() as client:
        proxy.route(server)
        for _ in range(2):
            client.sendall(GET)

            assert CHUNKED.lower() == read_to(client, b"0\r\n\r\n").lower()


def test_a_client_of_http_1_0(proxy: Running) -> None:
    """It gets no chunks and no 1xx, and its connection is closed at the end; the backend is told a host."""
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"
    with backend(hints + chunks) as server:
        proxy.route(server)
        answer = proxy.ask(b"GET / HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok")
    assert "" == proxy.log()
    assert b"Host: 127.0.0.1:%d\r\n" % proxy.port in server.heads[0]


def test_trailers(proxy: Running) -> None:
    """What follows a body in chunks is passed on in both directions."""
    chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"

    def echo(connection: socket.socket, head: bytes) -> None:
        trailer = b"A: b\r\n\r\n"
        if trailer not in head:
            assert trailer in read_to(connection, trailer)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + chunks)

    with backend(echo) as server, proxy.connect() as client:
        proxy.route(server)
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + chunks)

        assert read_to(client, b"A: b\r\n\r\n").endswith(chunks[-len(b"2\r\nok\r\n0\r\nA: b\r\n\r\n") :])


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCH += b"Sec-WebSocket-Accept: x\r\n\r\n"


def test_a_websocket_is_a_tunnel(proxy: Running) -> None:
    """After 101 bytes pass in both directions, those that came with it as well, until one side closes."""
    ended = threading.Event()

    def switch(connection: socket.socket, head: bytes) -> None:
        assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
        connection.sendall(SWITCH + b"hello")
        connection.sendall(read_to(connection, b"\x00end")[::-1])
        ended.wait(15) if connection.recv(1) else ended.set()

    with backend(switch) as server:
        proxy.route(server)
        with proxy.connect() as client:
            client.sendall(GET[:-2] + b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
            opened = read_to(client, b"hello")
            client.sendall(b"\xff\x00end")
            echoed = read_to(client, b"\xff")

        assert b"sec-websocket-accept: x" in opened.lower()
        assert b"dne\x00\xff" == echoed
        assert ended.wait(15)


def test_no_other_protocol_is_spoken(proxy: Running) -> None:
    """An upgrade to h2c, in which private paths could be asked for, does not reach a backend."""
    with backend(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n") as server:
        proxy.route(server)
        status = proxy.status(
            GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
        )

    assert 502 == status
    assert b"h2c" not in server.heads[0]
    assert b"HTTP2-Settings" not in server.heads[0]


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "/metrics/",
        "/metrics/a?b",
        "/metrics?a",
        "//metrics",
        "/./metrics",
        "/a/../metrics",
        "/a/..;b/metrics",
        "/metrics;a",
        "/%6detrics",
        "/%2fmetrics",
        "/a%2f..%2fmetrics",
        "/%2e/metrics",
    ],
)
def test_private_paths(proxy: Running, target: str) -> None:
    """However it is written, a private path is not there."""
    with backend() as server:
        proxy.route(Route(private=("/metrics",), backends=(server.port,)))
        status = proxy.status(GET.replace(b"/ ", f"{target} ".encode()))

    assert 404 == status
    assert [] == server.heads


@pytest.mark.parametrize("target", ["/", "/metricsx", "/a/metrics", "/%256detrics", "/?/metrics"])
def test_neighbours_of_private_paths(proxy: Running, target: str) -> None:
    """Only whole segments from the start are private, decoded once, and a path is passed on as it is."""
    with backend() as server:
        proxy.route(Route(private=("/metrics",), backends=(server.port,)))
        status = proxy.status(GET.replace(b"/ ", f"{target} ".encode()))

    assert 200 == status
    assert server.heads[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


def test_two_leading_slashes_are_one(proxy: Running) -> None:
    """A server that takes `//a/metrics` for the path of a host is asked for /a/metrics."""
    with backend() as server:
        proxy.route(Route(private=("/metrics",), backends=(server.port,)))
        status = proxy.status(GET.replace(b"/ ", b"//a/metrics "))

    assert 200 == status
    assert server.heads[0].startswith(b"GET /a/metrics HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("host", "target", "answered"),
    [
        ("x.test", "/", "all"),
        ("a.test", "/", "a"),
        ("A.Test.:8000", "/", "a"),
        ("a.test", "/b/c", "b"),
        ("x.test", "/b", "b"),
        ("a.test", "/bc", "a"),
        ("[::1]:8000", "/c/", "c"),
        ("a.test", "/c", "c of a"),
    ],
)
def test_hosts_and_paths(proxy: Running, host: str, target: str, answered: str) -> None:
    """The longest path of a host wins, and of two the one that names the host."""
    places = {
        "all": ("", "/"),
        "a": ("a.test", "/"),
        "b": ("", "/b/"),
        "c": ("", "/c"),
        "c of a": ("a.test", "/c"),
    }
    with ExitStack() as stack:
        servers = {name: stack.enter_context(backend()) for name in places}
        proxy.route(*(Route(*place, backends=(servers[name].port,)) for name, place in places.items()))
        status = proxy.status(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert 200 == status
    assert [answered] == [name for name, server in servers.items() if server.heads]


def test_nothing_serves_a_host(proxy: Running) -> None:
    """A request without a route is answered with 404."""
    proxy.route(Route(host="b.test"))

    assert 404 == proxy.status(GET)


def test_backends_take_turns(proxy: Running) -> None:
    """Each backend of a route gets as many requests as the others."""
    with backend() as one, backend() as two:
        proxy.route(one, two)
        for _ in range(6):
            assert 200 == proxy.status(GET)

    assert 3 == len(one.heads) == len(two.heads)


def test_a_backend_that_does_not_listen(proxy: Running) -> None:
    """Another one gets the request, whatever it is."""
    with backend() as server:
        proxy.route(Backend(ports.free()), server)

        assert [200] * 4 == [proxy.status(POST) for _ in range(4)]


def test_a_backend_that_listens_later(proxy: Running) -> None:
    """A request waits for a backend that is replaced, and finds it where the routes say then."""
    proxy.route(Backend(ports.free()))
    with proxy.connect() as client, backend() as server:
        client.sendall(POST)
        proxy.route(server)

        assert b"200" in read_to(client, b"ok")


def test_no_backend_listens(proxy: Running) -> None:
    """The answer is 503, and the log says so without the query and the headers."""
    proxy.route(Backend(ports.free()))
    status = proxy.status(b"GET /a?b=%s HTTP/1.1\r\nHost: a\r\nX-Key: secret\r\n\r\n" % b"secret")

    assert 503 == status
    assert "503 GET /a: no backend accepts connections" in proxy.log()
    assert 1 == len(proxy.log().splitlines())
    assert "secret" not in proxy.log()


def hang_up(_: socket.socket, __: bytes) -> None:
    """Close the connection without an answer."""


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_a_request_is_repeated(proxy: Running, method: bytes) -> None:
    """A request that may be repeated and has no body is answered by another backend."""
    with backend(hang_up) as dead, backend() as alive:
        proxy.route(dead, alive)
        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(proxy.status, [GET.replace(b"GET", method)] * 40))

    assert {200} == statuses
    assert dead.heads


@pytest.mark.parametrize("request_", [POST, POST.replace(b"POST", b"PUT"), GET.replace(b"GET", b"PATCH")])
def test_a_request_is_not_repeated(proxy: Running, request_: bytes) -> None:
    """One that may not be repeated, or whose body was sent, is answered with 502 when the backend closes."""

    def take_the_body(connection: socket.socket, head: bytes) -> None:
        if b"Content-Length" in head and b"body" not in head:
            read_to(connection, b"body")

    with backend(take_the_body) as dead, backend(take_the_body) as other:
        proxy.route(dead, other)
        status = proxy.status(request_)

    assert 502 == status
    assert 1 == len(dead.heads + other.heads)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["nonsense", "half a head", "a large head", "an upgrade"],
)
def test_what_is_not_an_answer(proxy: Running, answer: bytes) -> None:
    """It is a 502, and not tried again."""
    with backend(answer) as server:
        proxy.route(server)
        status = proxy.status(GET)

    assert 502 == status
    assert 1 == len(server.heads)


@pytest.mark.parametrize("answer", [OK[:-1], CHUNKED[:-5]], ids=["sized", "chunked"])
def test_a_part_of_an_answer(proxy: Running, answer: bytes) -> None:
    """The client can see that it is not whole."""
    connection = http.client.HTTPConnection(ports.HOST, proxy.port, timeout=15)
    with backend(answer) as server:
        proxy.route(server)
        connection.request("GET", "/")
        response = connection.getresponse()

        with pytest.raises(http.client.IncompleteRead):
            response.read()
    connection.close()
    assert "502 GET /" in proxy.log()


def test_a_client_that_goes(proxy: Running) -> None:
    """The backend's connection is closed, so that it need not go on."""
    asked, ended = threading.Event(), threading.Event()

    def work(connection: socket.socket, _: bytes) -> None:
        asked.set()
        with suppress(ConnectionResetError):
            assert not connection.recv(1)
        ended.set()

    with backend(work) as server:
        proxy.route(server)
        with proxy.connect() as client:
            client.sendall(GET)
            assert asked.wait(15)

        assert ended.wait(15)


BODY = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Content-Length: 5, 6",
        b"Content-Length : 5",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"A: b\rContent-Length: 5",
        b"A: b\x00",
        b"Host: b",
    ],
)
def test_smuggling(proxy: Running, head: bytes) -> None:
    """A request whose end two servers could see at two places is refused, and reaches none."""
    with backend() as server:
        proxy.route(server)
        answer = proxy.ask(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n" + BODY + GET)

    assert answer.split()[1] in (b"400", b"501")
    assert 1 == answer.count(b"HTTP/1.1")
    assert [] == server.heads


@pytest.mark.parametrize("body", [b"x\r\n", b"-1\r\n", b"5\r\nhelloX\r\n", b"5 hello"])
def test_chunks_that_are_none(proxy: Running, body: bytes) -> None:
    """A body that is not valid is refused, and the rest of its connection is not read as a request."""

    def receive(connection: socket.socket, _: bytes) -> None:
        read_to(connection, b"0\r\n\r\n")

    with backend(receive) as server:
        proxy.route(server)
        answer = proxy.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + GET)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert 1 == answer.count(b"HTTP/1.1")
    assert not any(head.startswith(b"GET") for head in server.heads)


def test_an_answer_with_two_lengths(proxy: Running) -> None:
    """A backend's chunks count; its length is not passed on beside them."""
    with backend(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    ) as server:
        proxy.route(server)
        answer = proxy.ask(GET[:-2] + CLOSE)

    assert b"content-length" not in answer.lower()
    assert answer.endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://a/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /metrics#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a\\..\\metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 200_000, 431),
    ],
    ids=["nonsense", "no host", "absolute", "connect", "asterisk", "fragment", "backslash", "a large head"],
)
def test_bad_requests(proxy: Running, request_: bytes, status: int) -> None:
    """They are refused in HTTP and logged."""
    with backend() as server:
        proxy.route(Route(private=("/metrics",), backends=(server.port,)))
        got = proxy.status(request_)

    assert status == got
    assert [] == server.heads
    assert f" {status} " in proxy.log()


def test_headers(proxy: Running) -> None:
    """Those of one connection stay there, the host is kept, and the backend is told who asked for what."""
    sent = (
        b"GET / HTTP/1.1\r\nHost: a.test:81\r\nConnection: keep-alive\r\nconnection: X-Hop, Host\r\nX-Hop: 1\r\n"
        b"Keep-Alive: 1\r\nTE: trailers\r\nX-Kept: 1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n\r\n"
    )
    with backend(
        OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n")
    ) as server:
        proxy.route(server)
        with proxy.connect() as client:
            client.sendall(sent)
            answer = read_to(client, b"ok")

    expected = ["Host: a.test:81", "X-Kept: 1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"]
    expected += ["X-Forwarded-Host: a.test:81", "Connection: close"]
    assert expected == server.heads[0].decode().splitlines()[1:-1]
    assert b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kept: 1\r\n\r\nok" == answer


def test_requests_that_do_not_wait(proxy: Running) -> None:
    """Those that a client sends at once are answered in their order."""
    with backend(lambda connection, head: connection.sendall(OK[:-2] + head.split()[1][1:])) as server:
        proxy.route(server)
        requests = [GET.replace(b"/ ", b"/%02d " % number) for number in range(20)]
        requests[-1] = requests[-1][:-2] + CLOSE
        answer = proxy.ask(b"".join(requests))

    assert [b"%02d" % number for number in range(20)] == [part[:2] for part in answer.split(b"\r\n\r\n")[1:]]


def test_ports_follow_the_routes(proxy: Running) -> None:
    """A port is opened and closed when the routes say so; what is not a table of routes changes nothing."""
    other = ports.free()
    with backend() as server:
        route = Route(backends=(server.port,))
        routes.write(proxy.folder, {proxy.port: [route], other: [route]})
        wait(lambda: listens(other))
        (proxy.folder / routes.NAME).write_text("{}")
        wait(lambda: "is not what this version writes" in proxy.log())
        kept = replace(proxy, port=other).status(GET)
        proxy.route(route)
        wait(lambda: not listens(other))

        assert 200 == kept == proxy.status(GET)


def test_a_port_that_is_free_later(proxy: Running) -> None:
    """A port of new routes that is taken is said once, and opened when it is free."""
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        routes.write(proxy.folder, {proxy.port: [], port: []})
        wait(lambda: f"port {port} is in use by" in proxy.log())
        said = proxy.log()

    wait(lambda: f"listening at {port}" in proxy.log())
    assert 1 == said.count("in use") == proxy.log().count("in use")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The proxy does not start, and says who has the port."""
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        routes.write(tmp_path, {port: []})
        ended = subprocess.run([*ARGV, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)

    assert errors.PortInUseError.code == ended.returncode
    assert ended.stderr.startswith(f"error: port {port} is in use by ")
    assert f"process {os.getpid()}\nhint: stop it" in ended.stderr


def test_sigterm(own: Running) -> None:
    """A request in flight is answered to its end, idle clients are closed, new ones refused; the exit is 0."""
    asked, stopped = threading.Event(), threading.Event()

    def work(connection: socket.socket, _: bytes) -> None:
        asked.set()
        assert stopped.wait(15)
        connection.sendall(OK)

    with backend(work) as server, own.connect() as idle, own.connect() as client:
        own.route(server)
        client.sendall(GET)
        assert asked.wait(15)
        own.process.send_signal(signal.SIGTERM)
        assert b"" == idle.recv(1)
        refused = not listens(own.port)
        stopped.set()
        answer = read_to(client, b"never sent")

    assert refused
    assert answer.endswith(b"ok")
    assert b"Connection: close" in answer
    assert 0 == own.process.wait(15)
    assert 1 == len(own.log().splitlines())


def test_an_idle_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing is asked is closed."""
    monkeypatch.setattr(exchange, "IDLE_SECONDS", 0.01)

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Proxy) -> bytes:
        writer.write(GET[:-2])
        return await asyncio.wait_for(reader.read(), 15)

    assert b"" == asyncio.run(within(tmp_path, ask, lambda _: None))


def test_a_request_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off when the proxy has waited for it, and the log says so."""
    monkeypatch.setattr(proxy_module, "GRACE_SECONDS", 0.01)
    said: list[str] = []
    with backend(lambda connection, _: connection.recv(1)) as server:  # type: ignore[arg-type]

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, running: Proxy) -> bytes:
            writer.write(GET)
            await asyncio.to_thread(wait, lambda: server.heads)
            running._stopping.set()
            return await asyncio.wait_for(reader.read(), 15)

        assert b"" == asyncio.run(within(tmp_path, ask, said.append, server.port))
    assert said[-1].startswith("1 requests did not end")


Asking = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Proxy], Awaitable[bytes]]


async def within(folder: Path, ask: Asking, say: Callable[[str], None], *backends: int) -> bytes:
    """Run a proxy in this process, and a client of it."""
    port = ports.free()
    routes.write(folder, {port: [Route(backends=backends)]})
    running = Proxy(folder, say)
    task = asyncio.create_task(running.run())
    await asyncio.to_thread(wait, lambda: running._servers)
    reader, writer = await asyncio.open_connection(ports.HOST, port)
    try:
        return await ask(reader, writer, running)
    finally:
        writer.close()
        running._stopping.set()
        await task
