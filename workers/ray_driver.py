"""A job's description on standard input to events on standard output: the process that talks to Ray, and may die of it.

Ray ends or hangs the process that drives it when parts of a cluster die, and takes seconds to be interrupted. So it has
this process of its own, which `workers.ray_process` starts, hears and ends:

    python -m workers.ray_driver LIFELINE SCRATCH

Input: a line of JSON (spec, location, address, train, reuse, patient, trained_on), then the dictionary's float32 in C
order. Output: one event of JSON per line.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.process_session import keep_watch

if TYPE_CHECKING:
    from phase_diagrams.pack import Pack
    from phase_diagrams.replay import Replay
    from workers.pack_queue import Failure

CONNECT_SECONDS = 120.0
"""Within which Ray must have started or been joined; it takes 5 to 20 s, and may hang for ever."""
MEANWHILE = ("pandas", "pyarrow.parquet", "phase_diagrams.folder", "workers.planners", "workers.stock")
"""Modules that do not import Ray, whose modules import each other in circles, which two threads must not do at a time;
pandas is Tune's."""
WATCH_SECONDS = 1.0
"""Between looks at whether the cluster is still there; a look at a cluster of our own costs microseconds."""


class Events:
    """Writes events, one line each, from any thread."""

    def __init__(self, handle: int) -> None:
        self._stream = os.fdopen(handle, "w", encoding="utf-8")
        self._lock = threading.Lock()

    def send(self, event: str, **fields: object) -> None:
        """Write one event at once."""
        with self._lock:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()

    def tell_of_waiting(self, reason: str) -> None:
        """The cluster is there, but has no room yet."""
        self.send("waiting", message=reason)


@dataclass(frozen=True, slots=True)
class Told:
    """Tells a fan-out's course as events."""

    events: Events
    planner: "Replay"

    def asked(self, packs: "list[Pack]") -> None:
        """A round is to be trained, and what the planner says of it."""
        self.events.send(
            "asked",
            trials=sum(len(pack.trials) for pack in packs),
            cost=sum(pack.cost for pack in packs),
            reused=self.planner.reused,
            expected=self.planner.expected,
            news=self.planner.report(),
        )

    def finished(self, pack: "Pack", seconds: float) -> None:
        """A pack's rows are written."""
        self.events.send("finished", trials=len(pack.trials), cost=pack.cost, seconds=seconds)

    def failed(self, failure: "Failure", detail: str) -> None:
        """A pack failed, and will be tried again, halved or given up."""
        self.events.send("failed", what=str(failure), reason=failure.reason, answer=failure.answer, detail=detail)


def main(lifeline: int, scratch: str) -> None:
    """Run the job that standard input describes; every way to end is told as an event."""
    keep_watch(lifeline, scratch)
    events = Events(os.dup(1))
    log = os.open(f"{scratch}/driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Imported here, after the watch has been forked off: forking a process with threads is not safe.
    from workers.seat import ClusterAwayError, ClusterError

    order = json.loads(sys.stdin.buffer.readline())
    try:
        _run(order, scratch, events)
    except ClusterAwayError as error:
        events.send("away", message=str(error))
    except ClusterError as error:
        events.send("refused", message=str(error))
    except Exception as error:
        events.send("broke", message=f"{type(error).__name__}: {error}", detail=traceback.format_exc())
    sys.stdout.flush()
    os._exit(0)  # the watch ends what is left of Ray faster than Ray does


def _run(order: dict[str, Any], scratch: str, events: Events) -> None:
    import numpy as np

    from workers.address import LOCAL
    from workers.cluster import live_nodes, open_cluster, thread_variables

    asked = json.loads(order["spec"])
    variables = thread_variables(asked["resources"]["cpus_per_trial"])
    shape = asked["data"]["n_inputs"], asked["data"]["n_features"]
    dictionary_bytes = 4 * shape[0] * shape[1]
    patience = threading.Timer(CONNECT_SECONDS, _give_up, (events, order["address"]))
    patience.daemon = True
    patience.start()
    threading.Thread(target=_import_meanwhile, daemon=True).start()
    ahead = ("ray.tune", order["train"].partition(":")[0]) if _most_become_actors(asked["resources"]) else ()
    with open_cluster(order["address"], scratch, variables, dictionary_bytes, ahead=ahead):
        patience.cancel()
        threading.Thread(target=_watch_cluster, args=(events,), daemon=True).start()
        from phase_diagrams.folder import find_finished, open_folder
        from phase_diagrams.spec import read_spec
        from workers.fan_out import FanOutError, Job, fan_out
        from workers.head_start import await_started_workers, reuse_started_workers
        from workers.planners import open_planner
        from workers.seat import await_seat, choose_seat
        from workers.stock import FolderStock

        spec = read_spec(order["spec"])
        if order["patient"]:
            seat = await_seat(spec.resources, live_nodes, order["trained_on"], events.tell_of_waiting)
        else:
            seat = choose_seat(spec.resources, list(live_nodes().values()))
        at_a_time = min(seat.slots, spec.resources.max_concurrent or seat.slots)
        events.send("connected", device=seat.device, slots=at_a_time)
        dictionary = np.frombuffer(sys.stdin.buffer.read(dictionary_bytes), np.float32).reshape(shape)
        folder = open_folder(order["location"])
        planner = open_planner(spec, FolderStock(folder, find_finished(folder).trial_ids, order["reuse"]))
        job = Job(spec, dictionary, folder, order["location"])
        if order["address"] == LOCAL:
            reuse_started_workers()
            await_started_workers(min(at_a_time, os.cpu_count() or 1))
        try:
            fan_out(job, planner, seat, Told(events, planner), scratch, order["train"])
        except FanOutError as error:
            events.send("refused", message=str(error))
            return
        if order["address"] == LOCAL:
            # Nothing of our own cluster is worth an orderly end, which would take seconds.
            events.send("done")
            os._exit(0)
    events.send("done")


def _most_become_actors(resources: dict[str, Any]) -> bool:
    """Whether at least half of the workers that a cluster of our own starts, one for each CPU, will train packs."""
    cpus = os.cpu_count() or 1
    actors: float = cpus / max(1.0, resources["cpus_per_trial"])
    return 2 * min(actors, resources["max_concurrent"] or actors) >= cpus


def _import_meanwhile() -> None:
    """Import what the run needs and Ray has no part in, while Ray's start waits for its processes."""
    for name in MEANWHILE:
        importlib.import_module(name)


def _give_up(events: Events, address: str) -> None:
    events.send("away", message=f"Ray (--address {address}) did not answer within {CONNECT_SECONDS:g} s")
    os._exit(1)


def _watch_cluster(events: Events) -> None:
    from workers.cluster import lost_part

    part = None
    while part is None:
        time.sleep(WATCH_SECONDS)
        try:
            part = lost_part()
        except Exception as error:  # whatever Ray raises where it cannot even be asked
            part = f"control store ({type(error).__name__})"
    events.send("lost", part=part)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
