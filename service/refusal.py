"""A refused request's answer to an exception: a problem document (RFC 9457) to the class that a program catches."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

PASSING = frozenset({502, 503, 504})
"""Answers of a service, or of a proxy before it, that is starting, draining or without its database."""


class ServiceError(RuntimeError):
    """The service refused; the fields are those of its problem document (RFC 9457)."""

    def __init__(
        self, status: int, title: str, detail: str, errors: tuple[dict[str, str], ...] = (), kind: str = ""
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status, self.title, self.detail, self.errors = status, title, detail, errors
        self.kind = kind
        """What `type` says after urn:saephase:, such as no-job or queue-full; empty where it says nothing."""
        self.retry_seconds: float | None = None
        """Seconds after which the service asks to be tried again; None where it does not say."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted paths of the keys that are to blame, such as grid.sparsity."""
        return tuple(error["key"] for error in self.errors)


class InvalidSpecError(ServiceError):
    """A spec, or a parameter, cannot stand (422): `keys` names what, `errors` says why."""


class AccessError(ServiceError):
    """The token is missing, unknown, or of a role that may not do this (401, 403)."""


class NotFoundError(ServiceError):
    """There is no such job or file, or it is another owner's (404)."""


class ConflictError(ServiceError):
    """The job is in no state for this, or the key belongs to another spec (409, 422)."""


class LimitError(ServiceError):
    """Past a limit of the service (413, 429); `retry_seconds` says when a place may be free."""


class UnavailableError(ServiceError):
    """The service is starting, leaving, or without its database or storage (502, 503, 504), and stayed so."""


class UnreachableError(RuntimeError):
    """No answer came, in every attempt."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    409: ConflictError,
    413: LimitError,
    422: InvalidSpecError,
    429: LimitError,
    **dict.fromkeys(PASSING, UnavailableError),
}
_BY_KIND: dict[str, type[ServiceError]] = {"idempotency-key": ConflictError}


def refusal(response: httpx.Response) -> ServiceError:
    """A refused request's answer as an exception; one that is no problem document is told by its status."""
    fields = _problem(response.content)
    title = str(fields.get("title") or f"{response.status_code} {response.reason_phrase}".strip())
    listed = fields.get("errors")
    errors = tuple(
        {"key": str(item.get("key", "")), "message": str(item.get("message", ""))}
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict)
    )
    _, urn, kind = str(fields.get("type") or "").partition("urn:saephase:")
    error = _BY_KIND.get(kind) or _BY_STATUS.get(response.status_code) or ServiceError
    found = error(response.status_code, title, str(fields.get("detail") or ""), errors, kind if urn else "")
    found.retry_seconds = retry_after(response.headers)
    return found


def _problem(content: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(content)
    except (ValueError, UnicodeDecodeError):
        return {}
    return problem if isinstance(problem, dict) else {}


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(error, httpx.TransportError) or (isinstance(error, ServiceError) and error.status in PASSING)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, given as a number or as a date (RFC 9110, 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
