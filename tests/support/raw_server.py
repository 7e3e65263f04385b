"""A server that does with a connection whatever a test wants: what no HTTP library would do."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 5  # seconds until a client that neither speaks nor leaves fails the test
Handler = Callable[[socket.socket, threading.Event], None]
"""Gets the accepted connection, and an event that is set when the test is over."""


@contextlib.contextmanager
def raw_server(handler: Handler, bind: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Serve every connection in a thread of its own; yield the port."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            handler(connection, over)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            connection.settimeout(PATIENCE)
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    with socket.create_server((bind, port), family=family) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            with contextlib.suppress(OSError):  # Windows shuts down no listener,
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()  # and elsewhere this alone does not wake who waits at one
    for thread in (acceptor, *threads):
        thread.join()


def read_head(connection: socket.socket) -> bytes:
    """Return what was sent up to the empty line that ends the head of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(65536)
        if not chunk:
            break
        head += chunk
    return head


def answering(*parts: bytes) -> Handler:
    """Read the request, send these bytes, close."""

    def handler(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(b"".join(parts))

    return handler


def dripping(answer: bytes, read: bool = True) -> Handler:
    """Send a byte a second, so that no timeout between two bytes ever ends it."""

    def handler(connection: socket.socket, over: threading.Event) -> None:
        if read:
            read_head(connection)
        for byte in answer:
            connection.sendall(bytes([byte]))
            if over.wait(1):
                return

    return handler


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Say nothing at all until the test is over."""
    over.wait()


def tunnel(connection: socket.socket, over: threading.Event) -> None:
    """Be a proxy that opens a way to wherever CONNECT asks for on 127.0.0.1."""
    target = read_head(connection).split()[1].decode()
    with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as peer:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while not over.is_set():
            ready, _, _ = select.select([connection, peer], [], [], 0.05)
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (peer if source is connection else connection).sendall(data)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full: connecting to it hangs, as behind a firewall that drops."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as kept,
    ):
        address = listener.getsockname()
        for _ in range(3):
            client = kept.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]


def lookup_fails(code: int) -> Any:
    """Return what to put in place of ``socket.getaddrinfo``."""

    def getaddrinfo(*_: Any, **__: Any) -> None:
        raise socket.gaierror(code, "text of the C library")

    return getaddrinfo
