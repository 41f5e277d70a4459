"""A spec's resources and a cluster's nodes to what one pack occupies, waited for where the nodes are not all there."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from phase_diagrams.spec import Resources

STEADY_SECONDS = 20.0
"""How long a cluster's nodes must stay the same before it is said that none will ever hold a pack; heuristic: the nodes
of a cluster that starts, or comes back, join within seconds of each other."""
LOOK_SECONDS = 1.0
"""Between looks at the nodes."""

Device = Literal["cpu", "cuda"]
Nodes = Mapping[str, dict[str, float]]
"""The live nodes' resources, {"CPU": .., "GPU": ..}, by the nodes' ids."""


class ClusterError(RuntimeError):
    """The cluster cannot be used; the message says why and what to do."""


class ClusterAwayError(ClusterError):
    """The cluster does not answer, which may be otherwise in a moment."""


class NoRoomError(ClusterError):
    """No node that is there now can hold a pack."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What one pack occupies, and how many fit on the cluster at a time."""

    device: Device
    cpus: float
    gpus: float
    slots: int

    @property
    def bundle(self) -> dict[str, float]:
        """The request in Ray's words."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


def await_seat(
    resources: Resources,
    look: Callable[[], Nodes],
    before: Device | None,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Seat:
    """The seat on a cluster whose nodes may still come; `tell` hears why there is none yet. Raises ClusterError.

    What is only away is told from what can never be like this. Where packs of the job have been trained on this
    cluster `before`, or where no node offers a CPU at all, nodes are away: they are waited for as long as it takes, and
    a job that had GPUs waits for GPUs. Else a cluster that stays the same for STEADY_SECONDS is taken at its word.
    """
    if before == "cuda":
        resources = resources.model_copy(update={"device": "cuda"})
    known: frozenset[str] | None = None
    steady, told = 0.0, ""
    while True:
        nodes = {name: node for name, node in look().items() if node.get("CPU", 0.0) > 0}
        try:
            return choose_seat(resources, list(nodes.values()))
        except NoRoomError as error:
            steady = steady + LOOK_SECONDS if known == nodes.keys() else 0.0
            if steady >= STEADY_SECONDS and nodes and before is None:
                raise
            if str(error) != told:
                tell(told := str(error))
        known = frozenset(nodes)
        sleep(LOOK_SECONDS)


def choose_seat(resources: Resources, nodes: list[dict[str, float]]) -> Seat:
    """Resolve a spec's resources against a cluster's nodes, given as {"CPU": .., "GPU": ..}; raises ClusterError.

    A pack must fit on one node, so that a request which no node can ever satisfy is refused here and not waited for.
    """
    gpus_there = any(node.get("GPU", 0) > 0 for node in nodes)
    if resources.device == "cuda" and not gpus_there:
        raise NoRoomError("resources.device is cuda, but the Ray cluster has no GPU; allowed here: auto, cpu")
    on_gpu = resources.device != "cpu" and gpus_there
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial if on_gpu else 0.0
    if gpus > 1 and gpus != round(gpus):
        raise ClusterError(f"resources.gpus_per_trial is {gpus:g}; above 1, Ray allows whole numbers only")
    slots = sum(_fits(node, cpus, gpus) for node in nodes)
    if not slots:
        most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        most_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
        raise NoRoomError(
            f"a pack asks for {cpus:g} CPUs and {gpus:g} GPUs (resources.cpus_per_trial, resources.gpus_per_trial), "
            f"but no node of the Ray cluster has them together; the largest have {most:g} CPUs and {most_gpus:g} GPUs"
        )
    return Seat("cuda" if on_gpu else "cpu", cpus, gpus, slots)


def _fits(node: dict[str, float], cpus: float, gpus: float) -> int:
    room = math.floor(node.get("CPU", 0.0) / cpus + 1e-9)
    if gpus >= 1:
        room = min(room, math.floor(node.get("GPU", 0.0) / gpus + 1e-9))
    elif gpus > 0:
        # A fraction comes from one GPU: 0.4 fits twice on each, not five times on two.
        room = min(room, math.floor(node.get("GPU", 0.0)) * math.floor(1 / gpus + 1e-9))
    return room
