"""Paths of a service to the seconds that each answer took: clients that ask again as soon as they are answered.

    python -m tests.service.closed_loop URL CLIENTS SECONDS < paths

One thread over plain sockets: the clients share the machine with the service, and must not be what is measured.
Prints JSON: answers, answers per second, and the quantiles of their seconds.
"""

import itertools
import json
import random
import re
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Client:
    """One connection, which waits for one answer at a time."""

    connection: socket.socket
    asked: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    def ask(self, request: bytes) -> None:
        self.answer.clear()
        self.asked = time.perf_counter()
        self.connection.sendall(request)

    def hear(self) -> bool:
        """Take in what has come; says whether the answer is whole, and fails where it is not a 200."""
        chunk = self.connection.recv(1 << 18)
        assert chunk, "the service closed the connection"
        self.answer += chunk
        head = self.answer.find(b"\r\n\r\n")
        if head < 0:
            return False
        assert self.answer.startswith(b"HTTP/1.1 200 "), self.answer[:200]
        length = LENGTH.search(self.answer, 0, head + 2)
        assert length is not None, self.answer[:head]
        return len(self.answer) == head + 4 + int(length[1])


def ask_for(url: str, paths: list[str], clients: int, seconds: float, token: str | None = None) -> list[float]:
    """The seconds of every answer; the connections are made, and have been used once, before the first."""
    address = urlsplit(url)
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    requests = [f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n{credentials}\r\n".encode() for path in paths]
    order = itertools.cycle(random.Random(0).sample(requests, len(requests)))
    asking: dict[int, Client] = {}
    poll = select.epoll()
    for _ in range(clients):
        connection = socket.create_connection((address.hostname, address.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = asking[connection.fileno()] = Client(connection)
        client.ask(next(order))
        while not client.hear():
            continue
        poll.register(connection, select.EPOLLIN)
    for client in asking.values():
        client.ask(next(order))
    found: list[float] = []
    ends = time.perf_counter() + seconds
    while (now := time.perf_counter()) < ends:
        for number, _ in poll.poll(ends - now):
            client = asking[number]
            if client.hear():
                found.append(time.perf_counter() - client.asked)
                client.ask(next(order))
    for client in asking.values():
        client.connection.close()
    return found


def main(url: str, clients: str, seconds: str, token: str | None = None) -> None:
    found = ask_for(url, sys.stdin.read().split(), int(clients), float(seconds), token)
    quantiles = {f"p{q:g}": round(float(np.quantile(found, q / 100)), 5) for q in (50, 90, 99, 99.9)}
    print(json.dumps({"answers": len(found), "per_second": len(found) / float(seconds), **quantiles}))


if __name__ == "__main__":
    main(*sys.argv[1:])
