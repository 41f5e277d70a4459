"""The application to a listening process that stops gently."""

import asyncio
import gc
import json
import logging
import signal
import socket
from collections.abc import Callable
from types import FrameType

import sqlalchemy as sa
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.access import check_binding
from service.app import create_app
from service.migrations import ForeignDatabase
from service.problem import MEDIA_TYPE, problem_content
from service.settings import Settings
from service.state import Service

logger = logging.getLogger("saephase.service")


class ProblemProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, whose refusals of what it cannot parse are problems like all others."""

    def send_400_response(self, msg: str) -> None:
        """Answer what never reaches the application, and close the connection."""
        detail = "The request cannot be read: it is not HTTP/1.1, or its method is none that HTTP knows."
        content = json.dumps(problem_content(400, detail)).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + content)
        self.transport.close()


def serve(settings: Settings, started: Callable[[str], None] | None = None) -> None:
    """Listen until SIGTERM or SIGINT; `started` is told the URL once requests are taken.

    Raises OpenToAll, ForeignDatabase, ValueError, and OSError where the address cannot be bound.
    """
    app = create_app(settings)
    service: Service = app.state.service
    try:
        service.prepare()
    except ForeignDatabase:
        raise
    except sa.exc.SQLAlchemyError as error:
        # Not a reason to stop: upkeep goes on trying, and readyz says so meanwhile.
        logger.warning("the database is not ready", extra={"reason": " ".join(str(error).split())[:300]})
    else:
        assert service.ring is not None
        check_binding(settings, not service.ring.open)
    listener = _bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        app,
        http=ProblemProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.graceful_seconds,
        timeout_keep_alive=30,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    _drain_first(server, service, settings.drain_seconds)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, listener, lambda: started(f"http://{host}:{port}") if started else None))


async def _serve(server: uvicorn.Server, listener: socket.socket, started: Callable[[], None]) -> None:
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        # What the imports made stays; searching it for garbage takes a tenth of a second, in the middle of an answer.
        gc.freeze()
        started()
    await running


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off the delay of small answers only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _drain_first(server: uvicorn.Server, service: Service, seconds: float) -> None:
    """On the first signal, say that the service is leaving and end the streams; close the port a moment later."""
    close = server.handle_exit

    def leave(number: int, frame: FrameType | None) -> None:
        if service.draining:  # a second signal does not wait
            close(signal.Signals(number), frame)
            return
        service.drain()
        loop = asyncio.get_running_loop() if _in_loop() else None
        if loop is None or seconds <= 0:
            close(signal.Signals(number), frame)
        else:
            loop.call_soon_threadsafe(lambda: loop.call_later(seconds, close, signal.Signals(number), None))

    server.handle_exit = leave  # type: ignore[method-assign,assignment]


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
