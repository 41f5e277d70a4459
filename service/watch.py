"""Every request to a log line and a latency, and every answer to one with the headers that browsers need."""

import logging
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics
from service.problem import problem_response

logger = logging.getLogger("saephase.http")

HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"x-frame-options", b"DENY"))
QUIET = ("/healthz", "/readyz", "/metrics", "/v1/leases", "/v1/leases/{lease_id}/heartbeat")
"""Asked every few seconds by machines: not logged unless they fail."""


class Watch:
    """ASGI middleware: sees a request come and its answer go."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int) -> None:
        self._app, self._metrics, self._limit = app, metrics, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        received = 0
        seen: MutableMapping[str, Any] = {"status": 500}

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(413)
            return message

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                message = {**message, "headers": [*message["headers"], *HEADERS]}
                if _stream(message["headers"]):
                    seen["seconds"] = time.perf_counter() - began
            await send(message)

        try:
            if _length(scope) > self._limit:
                detail = f"The request body is larger than the {self._limit:,} bytes that this service accepts."
                await problem_response(413, detail, "body-size")(scope, receive, watched)
            else:
                await self._app(scope, limited, watched)
        finally:
            seconds = seen.get("seconds", time.perf_counter() - began)
            self._note(scope, int(seen["status"]), seconds)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.latency.labels(scope["method"] if route != "none" else "any", route, str(status)).observe(seconds)
        if route in QUIET and status < 400:
            return
        extra: dict[str, object] = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
            "request_id": uuid.uuid4().hex[:12],
        }
        for name in ("job_id", "lease_id"):
            if name in scope.get("path_params", {}):
                extra[name] = scope["path_params"][name]
        logger.info("request", extra=extra)


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            try:
                return int(value)
            except ValueError:
                return 0
    return 0


def _stream(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
