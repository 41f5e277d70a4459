"""What a cluster of our own starts with, and without, so that the first training step comes soon.

Ray's start is bound by the processor: its processes import Ray one after another. Nothing here changes what is trained,
and each part is left out where Ray is not as it was in 2.60; none of it has a public switch.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray._private import node as ray_node

from workers import arrival

PRELOAD = "RAY_preload_python_modules"
"""Ray's setting for modules that its workers import as soon as they have started."""
IDLE = "RAY_idle_worker_killing_time_threshold_ms"
"""Ray's setting for how long a worker without work stays where its CPU is taken."""
IDLE_MS = "60000"
"""heuristic: far longer than from a worker's start to its first pack. Ray's own second passes before an actor comes:
where Tune's placement groups had reserved the CPUs meanwhile, the workers that waited were ended (measured, 2.60)."""
WATCHERS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of Ray's node that start a process each: the autoscaler, the log monitor (`log_to_driver` is off), and what
is left of the dashboard without a page, which reports usage."""

WORKER_SECONDS = 3.0
"""Longest wait for workers that Ray has started ahead; they need 1 to 2 s on a busy machine."""


@contextmanager
def without_watchers() -> Iterator[None]:
    """Have Ray's head start without processes that watch it for people: together they take as long as an actor."""
    node: Any = ray_node.Node

    def start_nothing(self: Any, **_: object) -> None:
        self._webui_url = ""  # what Ray says of a dashboard without a page

    with ExitStack() as patched:
        for name in WATCHERS:
            if hasattr(node, name):
                patched.enter_context(patch.object(node, name, start_nothing))
        yield


def import_ahead(modules: Sequence[str], scratch: str) -> None:
    """Have the workers that Ray starts import these before they are asked for, while the driver imports its own.

    They leave their files in a folder of `scratch` first, and stay until they are asked. What a user has set stays,
    instead of ours.
    """
    os.environ.setdefault(IDLE, IDLE_MS)
    theirs = os.environ.get(PRELOAD)
    os.environ[PRELOAD] = ",".join([arrival.__name__, *([theirs] if theirs else modules)])
    folder = Path(scratch, "arrivals")
    folder.mkdir(exist_ok=True)
    os.environ[arrival.ARRIVALS] = str(folder)


def reuse_started_workers() -> None:
    """Have Tune's actors become the workers that Ray has started ahead, in this process from now on.

    Tune hands each actor environment variables of the driver's, for which Ray starts another process. Workers of our
    own cluster have inherited them already.
    """
    from ray.tune.execution import class_cache

    cache: Any = getattr(class_cache, "_ActorClassCache", None)
    if cache is not None and hasattr(cache, "get"):
        cache.get = _plain_actor_class


def await_started_workers(count: int) -> None:
    """Wait until so many workers that Ray has started ahead are there: an actor that comes first gets a new process.

    A new one would not be there sooner; after WORKER_SECONDS Ray is left to itself.
    """
    # Ray's own table of workers names them up to a second before it would give one an actor (measured, 2.60).
    folder = Path(os.environ[arrival.ARRIVALS])
    deadline = time.monotonic() + WORKER_SECONDS
    while arrival.arrived(folder) < count and time.monotonic() < deadline:
        time.sleep(0.02)


def _plain_actor_class(self: Any, trainable: type) -> Any:
    if trainable not in self._cache:
        self._cache[trainable] = ray.remote(trainable)
    return self._cache[trainable]
