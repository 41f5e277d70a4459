"""An address to a Ray cluster, a local one of our own or one that runs already; and what there is of it."""

import logging
import math
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import services as ray_services
from ray.exceptions import RayError

from workers.address import LOCAL, not_joined, silence
from workers.head_start import import_ahead, without_watchers
from workers.seat import ClusterAwayError, ClusterError, Nodes

LOCAL_STORE = 120_000_000
"""Bytes of the local object store beside the dictionary's; above Ray's least of 75 MB, as rows go to files instead."""
MAX_TEMPORARY = 40
"""Longest folder in which Ray's sockets fit: they add up to 67 of the 107 bytes of a Unix socket's path."""
LEAVE_SECONDS = 5.0
"""What a node that visits a cluster gets to leave it, before it is killed; it needs 1."""
PERMANENT = ("ersion mismatch", "uthenticat")
"""What is in Ray's words where a cluster answers and refuses: another version of Python or Ray, a wrong token."""


def thread_variables(cpus_per_trial: float) -> dict[str, str]:
    """Environment that keeps a pack's BLAS, OpenMP and numba to the CPUs it reserves (at least one)."""
    threads = str(max(1, math.floor(cpus_per_trial)))
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM")
    return {f"{name}_THREADS" if name.endswith("MAXIMUM") else f"{name}_NUM_THREADS": threads for name in names}


@contextmanager
def open_cluster(
    address: str,
    scratch: str,
    variables: dict[str, str],
    store_bytes: int,
    cpus: int | None = None,
    ahead: Sequence[str] = (),
) -> Iterator[None]:
    """Start a cluster of our own (address "local") or join one ("auto", "HOST:PORT"), and leave it at the end.

    Only a cluster of our own is ended. `cpus` is how many one of our own offers, all of the machine by default; its
    workers import the modules `ahead` before they are asked for. Where no node of the cluster at HOST:PORT runs on this
    machine, one without CPUs does until the end. Raises ClusterError, and ClusterAwayError where another attempt may
    succeed.
    """
    if (silent := silence(address)) is not None:
        raise ClusterAwayError(silent)
    # Tune would otherwise move each worker into its scratch folder, write logs per trial, and save its state.
    os.environ |= {
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    }
    with ExitStack() as joined:
        try:
            if address == LOCAL:
                _start(scratch, variables, store_bytes, cpus, ahead)
            else:
                joined.enter_context(_visit(address, LOCAL_STORE + store_bytes))
                _join(address, variables)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            if address == LOCAL:
                reason = " ".join(str(error).split())[:600].rstrip(".")
                raise ClusterError(f"Ray did not start: {reason}") from error
            raise _not_joined(address, error) from error
        joined.callback(ray.shutdown)
        yield


def _start(scratch: str, variables: dict[str, str], store_bytes: int, cpus: int | None, ahead: Sequence[str]) -> None:
    os.environ |= variables  # processes of our own cluster inherit it; a runtime_env would cost each start a second
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
    options: dict[str, Any] = {"_temp_dir": scratch} if len(os.fsencode(scratch)) <= MAX_TEMPORARY else {}
    import_ahead(ahead, scratch)
    with without_watchers():
        ray.init(
            address="local",
            num_cpus=cpus,
            namespace="saephase",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=LOCAL_STORE + store_bytes,
            **options,
        )


@contextmanager
def _visit(address: str, store_bytes: int) -> Iterator[None]:
    """Have a node of the cluster at HOST:PORT on this machine, since a driver needs one: one that is there, or ours."""
    if ":" not in address or _has_node(address):
        yield
        return
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={address}"]
    limits = ["--num-cpus=0", "--num-gpus=0", f"--object-store-memory={store_bytes}"]
    visitor = subprocess.Popen([*start, *limits], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        visitor.terminate()
        try:
            visitor.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            visitor.kill()


def _has_node(address: str) -> bool:
    """Whether a node of the cluster at HOST:PORT runs on this machine."""
    # Ray has no public way to ask; localhost stands for an address that other machines know too.
    services: Any = ray_services
    here = _places(services.canonicalize_bootstrap_address(address))
    return any(here & _places(found) for found in services.find_gcs_addresses())


def _places(address: str) -> set[tuple[Any, ...]]:
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {place[-1][:2] for place in found}


def _join(address: str, variables: dict[str, str]) -> None:
    variables = variables | {"RAY_CHDIR_TO_TRIAL_DIR": "0"}
    ray.init(
        address=address,
        namespace="saephase",
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": variables},
    )


def _not_joined(address: str, error: Exception) -> ClusterError:
    text = str(error)
    if isinstance(error, ValueError) or any(words in text for words in PERMANENT):
        return ClusterError(not_joined(address, text))
    return ClusterAwayError(not_joined(address, text))


def live_nodes() -> Nodes:
    """The resources of the cluster's live nodes, by their ids."""
    return {node["NodeID"]: node["Resources"] for node in _nodes() if node["Alive"]}


def lost_part() -> str | None:
    """The part of the cluster without which Tune waits for ever, if it is gone: our raylet or the control store."""
    # Ray has no public way to ask: a driver whose raylet was killed waits on without an error (measured, 2.60).
    node: Any = ray._private.worker._global_node
    if node is not None and node.is_head():
        gone = [str(kind) for kind, _ in node.dead_processes()]
        return next((kind for kind in gone if kind in ("raylet", "gcs_server")), None)
    own = ray.get_runtime_context().get_node_id()
    alive = any(entry["NodeID"] == own and entry["Alive"] for entry in _nodes())
    return None if alive else "raylet"


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes
