"""`saephase worker`: a service's URL to jobs run on this machine's or another Ray cluster."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading

from saephase.service_arguments import REFUSED
from saephase.spec_argument import UsageError
from service.connection import open_http
from service.logs import log_json
from workers.job import RUN_PACK
from workers.lease_service import LeaseService, ServiceRefusedError
from workers.lease_worker import Worker

TRAIN = RUN_PACK
"""The training function; tests put one that tells what it does in its place."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def work(options: argparse.Namespace) -> int:
    """Take and run jobs until SIGINT or SIGTERM; returns the exit code."""
    log_json()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    name = options.name or f"{socket.gethostname()}:{os.getpid()}"
    if not 1 <= len(name) <= 200 or not (name.isascii() and name.isprintable()):
        raise UsageError(f"--name {name!r}: must be 1 to 200 printable ASCII characters")
    try:
        http = open_http(options.url, options.token)
    except ValueError as error:
        raise UsageError(f"--url or --token: {error}") from None
    with http:
        worker = Worker(LeaseService(http), name, options.address, TRAIN)
        for number in SIGNALS:
            signal.signal(number, lambda *_: worker.stop())
        if options.end_with_stdin:
            threading.Thread(target=_end_with_stdin, args=(worker,), daemon=True).start()
        try:
            worker.run()
        except ServiceRefusedError as error:
            print(f"saephase: the service refused: {error}", file=sys.stderr)
            return REFUSED
    return 0


def _end_with_stdin(worker: Worker) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    worker.stop()
