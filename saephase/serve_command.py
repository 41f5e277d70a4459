"""`saephase serve`: settings to a service that answers, and on one machine to a worker beside it."""

import argparse
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from types import FrameType

from saephase.service_settings import read_settings
from saephase.spec_argument import UsageError
from service.access import OpenToAll
from service.logs import log_json
from service.migrations import ForeignDatabase
from service.server import serve
from workers.ray_process import search_path

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORKER_SECONDS = 10.0
"""What a worker gets to give back its job."""
AGAIN_SECONDS = 1.0
"""Before a worker that ended by itself is started again."""

logger = logging.getLogger("saephase.service")


def serve_jobs(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    settings = read_settings(options)
    log_json()
    worker = None
    if not options.no_worker:
        secret = settings.worker_token or secrets.token_urlsafe(32)
        settings = replace(settings, worker_token=secret)
        worker = _WorkerBeside(secret, options.address)
    for number in SIGNALS:
        signal.signal(number, _leave)  # uvicorn raises its signal again once it has stopped
    try:
        serve(settings, lambda url: _started(url, worker))
    except (OpenToAll, ForeignDatabase, ValueError) as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        place = f"{settings.host} port {settings.port}"
        raise UsageError(f"cannot listen on {place}: {os.strerror(error.errno or 0)}; see --host and --port") from None
    finally:
        if worker is not None:
            worker.end()
    return 0


def _started(url: str, worker: "_WorkerBeside | None") -> None:
    print(f"saephase: serving on {url}", file=sys.stderr, flush=True)
    if worker is None:
        return
    worker.start(url)
    # The worker is told before the service closes its port, so that it can still give its job back.
    for number in SIGNALS:
        signal.signal(number, _both(worker, signal.getsignal(number)))


def _both(worker: "_WorkerBeside", then: object) -> "signal._HANDLER":
    def handle(number: int, frame: FrameType | None) -> None:
        worker.tell_to_stop()
        if callable(then):
            then(number, frame)

    return handle


def _leave(number: int, frame: FrameType | None) -> None:
    """Nothing: the service has stopped, and what follows ends by itself."""


class _WorkerBeside:
    """A worker of this machine, started again if it dies; it ends with this process, however that ends."""

    def __init__(self, secret: str, address: str) -> None:
        self._secret, self._address = secret, address
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, url: str) -> None:
        """Start it, and keep it running."""
        # A service on all addresses is reached on the loopback one.
        url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
        command = [sys.executable, "-P", "-m", "saephase", "worker", "--url", url, "--address", self._address]
        self._thread = threading.Thread(target=self._keep, args=([*command, "--end-with-stdin"],), daemon=True)
        self._thread.start()

    def _keep(self, command: list[str]) -> None:
        environment = {**os.environ, "SAEPHASE_TOKEN": self._secret, "PYTHONPATH": search_path()}
        while not self._stopping.is_set():
            # Its standard input closes when this process ends, and then it ends too.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
            if self._stopping.is_set():
                self._process.terminate()
            code = self._process.wait()
            if not self._stopping.is_set():
                logger.warning("the worker ended; it is started again", extra={"exit_code": code})
                self._stopping.wait(AGAIN_SECONDS)

    def tell_to_stop(self) -> None:
        """Ask it to give back its job and end."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended, but not for ever."""
        self.tell_to_stop()
        if self._process is not None:
            try:
                self._process.wait(WORKER_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._thread is not None:
            self._thread.join(WORKER_SECONDS)
