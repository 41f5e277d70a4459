"""What Ray says of an actor's end to what is held against its pack."""

import pytest

from workers.searcher import lost_its_node, reason_of

DIED = """Failure # 1 (occurred at 2026-11-28_03-53-30)
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tclass_name: PackTrainer
\tpid: 25202
\tip: 192.0.2.2
"""


@pytest.mark.parametrize(
    ("text", "lost", "reason"),
    [
        (
            f"{DIED}The actor died because its node has died. Node Id: 1d1f\n"
            "\tthe actor's node was terminated unexpectedly: health check failed",
            True,
            "its node was lost",
        ),
        (
            "ray.exceptions.ActorUnavailableError: The actor 2fc8 is unavailable: The actor is temporarily "
            "unavailable: RpcError: RPC error: Socket closed rpc_code: 14. The task may or may not have been executed.",
            True,
            "its node was lost",
        ),
        (
            f"{DIED}The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR",
            False,
            "its worker process died (killed, or out of memory)",
        ),
        ("Traceback\n  File\nRuntimeError: cannot train\n", False, "RuntimeError: cannot train"),
        ("", False, "no reason is known"),
    ],
)
def test_the_loss_of_a_node_is_told_from_the_death_of_a_process(text: str, lost: bool, reason: str) -> None:
    assert lost_its_node(text) == lost
    assert reason_of(text) == reason
