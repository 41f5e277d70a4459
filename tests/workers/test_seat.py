"""Resources against clusters: what fits, what is waited for, and what is refused with a reason."""

from collections.abc import Iterable

import pytest

from phase_diagrams.spec import Resources
from workers.seat import (
    LOOK_SECONDS,
    STEADY_SECONDS,
    ClusterError,
    Device,
    Nodes,
    NoRoomError,
    Seat,
    await_seat,
    choose_seat,
)

CPU_NODE = {"CPU": 8.0}
GPU_NODE = {"CPU": 16.0, "GPU": 2.0}


def unchecked(resources: dict[str, object]) -> Resources:
    """Resources with values, too, that a spec's own check refuses."""
    return Resources().model_copy(update=resources)


@pytest.mark.parametrize(
    ("resources", "nodes", "seat"),
    [
        ({}, [CPU_NODE], Seat("cpu", 1, 0.0, 8)),
        ({"device": "cpu"}, [CPU_NODE, GPU_NODE], Seat("cpu", 1, 0.0, 24)),
        ({}, [CPU_NODE, GPU_NODE], Seat("cuda", 1, 0.25, 8)),
        ({"device": "cuda", "gpus_per_trial": 0.4}, [GPU_NODE], Seat("cuda", 1, 0.4, 4)),
        ({"gpus_per_trial": 2}, [GPU_NODE], Seat("cuda", 1, 2, 1)),
        ({"gpus_per_trial": 0.1, "cpus_per_trial": 8}, [GPU_NODE], Seat("cuda", 8, 0.1, 2)),
        ({"cpus_per_trial": 0.1}, [{"CPU": 2.0}], Seat("cpu", 0.1, 0.0, 20)),
        ({"cpus_per_trial": 5}, [CPU_NODE, CPU_NODE], Seat("cpu", 5, 0.0, 2)),
    ],
)
def test_a_seat_and_how_many_fit(resources: dict[str, object], nodes: list[dict[str, float]], seat: Seat) -> None:
    assert choose_seat(Resources.model_validate(resources), nodes) == seat


@pytest.mark.parametrize(
    ("resources", "nodes", "message"),
    [
        ({"device": "cuda"}, [CPU_NODE], "no GPU; allowed here: auto, cpu"),
        ({"cpus_per_trial": 9}, [CPU_NODE, CPU_NODE], "asks for 9 CPUs and 0 GPUs .* the largest have 8 CPUs"),
        ({"gpus_per_trial": 4}, [GPU_NODE], "4 GPUs"),
        ({"gpus_per_trial": 1.5}, [GPU_NODE], "1.5; above 1, Ray allows whole numbers only"),
        ({}, [], "no node"),
    ],
)
def test_what_no_node_can_hold_is_refused(
    resources: dict[str, object], nodes: list[dict[str, float]], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        choose_seat(unchecked(resources), nodes)


class Watched:
    """A cluster that looks so at each look, and in the end as last; a clock that costs no time."""

    def __init__(self, looks: Iterable[Nodes]) -> None:
        self.looks = list(looks)
        self.told: list[str] = []
        self.slept = 0.0

    def look(self) -> Nodes:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        assert self.slept < 1000, "it waits for ever"

    def seat(self, before: Device | None = None, **resources: object) -> Seat:
        return await_seat(unchecked(resources), self.look, before, self.told.append, self.sleep)


def test_a_cluster_with_room_is_not_waited_for() -> None:
    cluster = Watched([{"a": CPU_NODE}])
    assert cluster.seat() == Seat("cpu", 1, 0.0, 8)
    assert (cluster.slept, cluster.told) == (0.0, [])


def test_nodes_that_are_not_back_are_waited_for_as_long_as_it_takes() -> None:
    # A head that offers nothing, and the nodes of workers that visit.
    bare: Nodes = {"head": {"CPU": 0.0}, "visitor": {}}
    cluster = Watched([*[bare] * 500, {**bare, "a": CPU_NODE}])
    assert cluster.seat().slots == 8
    assert cluster.slept == 500 * LOOK_SECONDS
    assert len(cluster.told) == 1


def test_what_a_steady_cluster_cannot_hold_is_refused() -> None:
    cluster = Watched([{"a": CPU_NODE}])
    with pytest.raises(NoRoomError, match="no GPU"):
        cluster.seat(device="cuda")
    assert cluster.slept == STEADY_SECONDS
    assert len(cluster.told) == 1


def test_a_cluster_whose_nodes_still_come_is_not_steady() -> None:
    coming: list[Nodes] = [{str(node): CPU_NODE for node in range(1 + look // 15)} for look in range(60)]
    assert Watched([*coming, {"gpu": GPU_NODE}]).seat(device="cuda").device == "cuda"


def test_what_has_fitted_before_is_waited_for_on_a_steady_cluster() -> None:
    cluster = Watched([*[{"a": CPU_NODE}] * 500, {"a": CPU_NODE, "b": {"CPU": 64.0}}])
    assert cluster.seat("cpu", cpus_per_trial=40).slots == 1
    assert cluster.slept > STEADY_SECONDS


def test_a_job_that_had_gpus_waits_for_them_where_one_that_had_none_goes_on() -> None:
    looks: list[Nodes] = [*[{"a": CPU_NODE}] * 100, {"a": CPU_NODE, "b": GPU_NODE}]
    assert Watched(looks).seat("cuda").device == "cuda"
    assert Watched(looks).seat("cpu").device == "cpu"


def test_a_request_that_no_cluster_allows_is_refused_at_once() -> None:
    cluster = Watched([{"a": GPU_NODE}])
    with pytest.raises(ClusterError, match="whole numbers"):
        cluster.seat("cuda", gpus_per_trial=1.5)
    assert cluster.slept == 0.0
