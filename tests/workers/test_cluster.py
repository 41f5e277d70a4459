"""Resources against clusters: what fits, and what is refused with a reason."""

import pytest

from phase_diagrams.spec import Resources
from workers.cluster import ClusterError, Seat, choose_seat, thread_variables

CPU_NODE = {"CPU": 8.0}
GPU_NODE = {"CPU": 16.0, "GPU": 2.0}


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
        choose_seat(Resources.model_validate(resources), nodes)


@pytest.mark.parametrize(("cpus", "threads"), [(0.25, "1"), (1, "1"), (4, "4"), (2.5, "2")])
def test_a_pack_uses_the_threads_it_reserves(cpus: float, threads: str) -> None:
    assert set(thread_variables(cpus).values()) == {threads}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(thread_variables(cpus))
