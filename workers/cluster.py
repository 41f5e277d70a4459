"""An address to a Ray cluster: a local one of our own, or one that runs already; and what fits on it."""

import logging
import math
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray._private import services as ray_services

from phase_diagrams.spec import Resources

LOCAL_STORE = 120_000_000
"""Bytes of the local object store beside the dictionary's; above Ray's least of 75 MB, as rows go to files instead."""
MAX_TEMPORARY = 40
"""Longest folder in which Ray's sockets fit: they add up to 67 of the 107 bytes of a Unix socket's path."""
REACH_SECONDS = 10.0
"""Within which the machine of a cluster must answer; heuristic: far above any network's round trip."""
LEAVE_SECONDS = 5.0
"""What a node that visits a cluster gets to leave it, before it is killed; it needs 1."""
JOINING = (
    "is a cluster up there, can its machines reach this one, and is its token in RAY_AUTH_TOKEN or "
    "~/.ray/auth_token (with RAY_AUTH_MODE=token)?"
)
"""What to look at where a cluster cannot be joined."""


class ClusterError(RuntimeError):
    """The cluster cannot be reached, is gone, or has no room for a pack; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What one pack occupies, and how many fit on the cluster at a time."""

    device: Literal["cpu", "cuda"]
    cpus: float
    gpus: float
    slots: int

    @property
    def bundle(self) -> dict[str, float]:
        """The request in Ray's words."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


def thread_variables(cpus_per_trial: float) -> dict[str, str]:
    """Environment that keeps a pack's BLAS, OpenMP and numba to the CPUs it reserves (at least one)."""
    threads = str(max(1, math.floor(cpus_per_trial)))
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM")
    return {f"{name}_THREADS" if name.endswith("MAXIMUM") else f"{name}_NUM_THREADS": threads for name in names}


@contextmanager
def open_cluster(
    address: str, scratch: str, variables: dict[str, str], store_bytes: int, cpus: int | None = None
) -> Iterator[None]:
    """Start a cluster of our own (address "local") or join one ("auto", "HOST:PORT"), and leave it at the end.

    Only a cluster of our own is ended. `cpus` is how many one of our own offers; all of the machine by default. Where
    no node of the cluster at HOST:PORT runs on this machine, one without CPUs does until the end. Raises ClusterError.
    """
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
            if address == "local":
                _start(scratch, variables, store_bytes, cpus)
            else:
                joined.enter_context(_visit(address, LOCAL_STORE + store_bytes))
                _join(address, variables)
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:600].rstrip(".")
            if address == "local":
                raise ClusterError(f"Ray did not start: {reason}") from error
            raise ClusterError(f"no Ray cluster could be joined at {address}: {reason}; {JOINING}") from error
        joined.callback(ray.shutdown)
        yield


def _start(scratch: str, variables: dict[str, str], store_bytes: int, cpus: int | None) -> None:
    os.environ |= variables  # processes of our own cluster inherit it; a runtime_env would cost each start a second
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the home folder
    options: dict[str, Any] = {"_temp_dir": scratch} if len(os.fsencode(scratch)) <= MAX_TEMPORARY else {}
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
    host, colon, port = address.rpartition(":")
    if colon:
        # Ray itself would try for many minutes.
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    if not colon or _has_node(address):
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


def choose_seat(resources: Resources, nodes: list[dict[str, float]]) -> Seat:
    """Resolve a spec's resources against a cluster's nodes, given as {"CPU": .., "GPU": ..}; raises ClusterError.

    A pack must fit on one node, so that a request which no node can ever satisfy is refused here and not waited for.
    """
    gpus_there = any(node.get("GPU", 0) > 0 for node in nodes)
    if resources.device == "cuda" and not gpus_there:
        raise ClusterError("resources.device is cuda, but the Ray cluster has no GPU; allowed here: auto, cpu")
    on_gpu = resources.device != "cpu" and gpus_there
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial if on_gpu else 0.0
    if gpus > 1 and gpus != round(gpus):
        raise ClusterError(f"resources.gpus_per_trial is {gpus:g}; above 1, Ray allows whole numbers only")
    slots = sum(_fits(node, cpus, gpus) for node in nodes)
    if not slots:
        most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        most_gpus = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
        raise ClusterError(
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


def live_nodes() -> list[dict[str, float]]:
    """The resources of the cluster's live nodes."""
    return [node["Resources"] for node in _nodes() if node["Alive"]]


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
