"""Clusters: what a pack may use of its node, and why one cannot be joined."""

import socket

import pytest
from ray.exceptions import AuthenticationError

from workers.address import silence
from workers.cluster import _not_joined, open_cluster, thread_variables
from workers.seat import ClusterAwayError


@pytest.mark.parametrize(("cpus", "threads"), [(0.25, "1"), (1, "1"), (4, "4"), (2.5, "2")])
def test_a_pack_uses_the_threads_it_reserves(cpus: float, threads: str) -> None:
    assert set(thread_variables(cpus).values()) == {threads}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(thread_variables(cpus))


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionError("Could not find any running Ray instance"), True),
        (RuntimeError("Failed to connect to GCS"), True),
        (RuntimeError("Version mismatch: The cluster was started with Ray: 2.50"), False),
        (AuthenticationError("Unauthenticated: wrong token"), False),
        (ValueError("Malformed address"), False),
    ],
)
def test_a_cluster_that_is_away_is_told_from_one_that_refuses(error: Exception, away: bool) -> None:
    found = _not_joined("head:6379", error)
    assert isinstance(found, ClusterAwayError) == away
    assert str(found).startswith(f"no Ray cluster could be joined at head:6379: {error}")


def test_an_address_where_nothing_answers_is_a_cluster_that_is_away() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ClusterAwayError, match=f"at {address}.*refused"), open_cluster(address, "", {}, 0):
            pass
    assert silence("auto") is None
