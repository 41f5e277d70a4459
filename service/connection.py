"""A request to the service's answer: sent again while the service may come back, and a refusal as an exception."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

PASSING = frozenset({502, 503, 504})
"""Answers of a service, or of a proxy before it, that is starting, draining or without its database."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts; the pause doubles from the first to the longest. Heuristic: a restart takes 1 to 3."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection."""


class ServiceError(RuntimeError):
    """The service refused; the fields are those of its problem document (RFC 9457)."""

    def __init__(self, status: int, title: str, detail: str, errors: tuple[dict[str, str], ...] = ()) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status, self.title, self.detail, self.errors = status, title, detail, errors


class UnreachableError(RuntimeError):
    """No answer came, in every attempt."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is, and how long to keep trying."""

    http: httpx.Client
    patience: float
    """Seconds during which a request is sent again; an attempt that has begun may take longer."""

    def send(
        self, method: str, path: str, *, patience: float | None = None, settled: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response:
        """Send a request until it is answered; every request sent here must do no more twice than once.

        `settled` are refusals which, after an attempt whose answer was lost, say that this attempt has done the work.
        Raises ServiceError and UnreachableError.
        """
        lost = False
        for attempt in self.attempts(patience):
            try:
                response = self.http.request(method, path, **options)
            except httpx.TransportError as error:
                lost = lost or not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
                attempt.pause(error)
                continue
            if response.status_code in PASSING:
                lost = lost or response.status_code != 503  # a proxy's: the service itself may have done the work
                attempt.pause(refusal(response), retry_after(response.headers))
                continue
            if response.is_success or (lost and response.status_code in settled):
                return response
            raise refusal(response)
        raise AssertionError("attempts end by raising")

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        """Send one GET whose answer is read as it comes; raises ServiceError, and what httpx raises."""
        with self.http.stream("GET", path, **options) as response:
            if not response.is_success:
                response.read()
                raise refusal(response)
            yield response

    def attempts(self, patience: float | None = None) -> "Iterator[Attempt]":
        """One attempt after another; `pause` of the last one raises."""
        ends = time.monotonic() + (self.patience if patience is None else patience)
        longest = FIRST_PAUSE
        while True:
            yield Attempt(str(self.http.base_url), ends, longest)
            longest = min(LONGEST_PAUSE, 2 * longest)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of several tries."""

    url: str
    ends: float
    """When patience is over, in monotonic seconds."""
    longest: float
    """Seconds to the next try."""

    def pause(self, error: Exception, wish: float | None = None) -> None:
        """Wait for the next try, as long as the service wishes; raises where that would be too late."""
        # Clients that lost the service at the same moment come back at different ones.
        seconds = wish if wish is not None else self.longest * random.uniform(0.5, 1.0)
        if time.monotonic() + seconds > self.ends:
            if isinstance(error, ServiceError):
                raise error
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnreachableError(f"the service at {self.url} cannot be reached: {reason}") from error
        time.sleep(seconds)


def open_http(url: str, token: str | None, **options: Any) -> httpx.Client:
    """An HTTP client of a service; connects to nothing yet. Raises ValueError for a URL of no service."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url} is not the URL of a service, such as http://127.0.0.1:8000")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=parsed, headers=headers, **options)


def refusal(response: httpx.Response) -> ServiceError:
    """A refused request's answer as an exception; one that is no problem document is told by its status."""
    try:
        problem = json.loads(response.content)
        fields = problem if isinstance(problem, dict) else {}
    except (ValueError, UnicodeDecodeError):
        fields = {}
    title = str(fields.get("title") or f"{response.status_code} {response.reason_phrase}".strip())
    listed = fields.get("errors")
    errors = tuple(
        {"key": str(item.get("key", "")), "message": str(item.get("message", ""))}
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict)
    )
    return ServiceError(response.status_code, title, str(fields.get("detail") or ""), errors)


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
