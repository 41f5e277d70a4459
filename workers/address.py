"""A Ray cluster's address to whether anything answers there: asked before Ray, which would try for many minutes."""

import socket

LOCAL = "local"
"""The address of a cluster of one's own, started for one job and ended with it."""
REACH_SECONDS = 10.0
"""Within which the machine of a cluster must answer; heuristic: far above any network's round trip."""
JOINING = (
    "is a cluster up there, can its machines reach this one, and is its token in RAY_AUTH_TOKEN or "
    "~/.ray/auth_token (with RAY_AUTH_MODE=token)?"
)
"""What to look at where a cluster cannot be joined."""


def silence(address: str) -> str | None:
    """Why nothing answers at HOST:PORT, in one line; None where something does, and where the address is a word."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return None
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        return not_joined(address, str(error))
    return None


def not_joined(address: str, reason: str) -> str:
    """The words for a cluster that cannot be joined."""
    return f"no Ray cluster could be joined at {address}: {' '.join(reason.split())[:600].rstrip('.')}; {JOINING}"
