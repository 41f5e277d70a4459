"""What a client does to the service as steps, and the two ways to take them: blocking, and in an event loop.

A `Task` is a generator that yields steps and is told what came of each: all decisions (what to send, what to try again,
when to give up) are in tasks, which know neither threads nor event loops.
"""

import asyncio
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import httpx

from service.refusal import PASSING, ServiceError, UnreachableError, refusal, retry_after

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts; the pause doubles from the first to the longest. Heuristic: a restart takes 1 to 3."""
CONNECT_SECONDS = 5.0
"""Longest wait for a connection."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send one request; what comes of it is its answer, whatever the status, or httpx.TransportError."""

    method: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receive:
    """Send one GET and write its answer, as it comes, to the file that `open` chooses by its head.

    What comes of it is None, ServiceError for a refusal, httpx.TransportError, or what `open` raises.
    """

    path: str
    headers: dict[str, str]
    open: Callable[[httpx.Response], BinaryIO]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


Step = Send | Receive | Pause
T = TypeVar("T")
Task = Generator[Step, Any, T]


def run(http: httpx.Client, task: Task[T]) -> T:
    """Take a task's steps one after another, and return its outcome."""
    try:
        step = next(task)
        while True:
            try:
                outcome = _take(http, step)
            except Exception as error:
                step = task.throw(error)
            else:
                step = task.send(outcome)
    except StopIteration as done:
        value: T = done.value
        return value


async def run_async(http: httpx.AsyncClient, task: Task[T]) -> T:
    """`run` in an event loop."""
    try:
        step = next(task)
        while True:
            try:
                outcome = await _take_async(http, step)
            except Exception as error:
                step = task.throw(error)
            else:
                step = task.send(outcome)
    except StopIteration as done:
        value: T = done.value
        return value


def _take(http: httpx.Client, step: Step) -> httpx.Response | None:
    if isinstance(step, Pause):
        time.sleep(step.seconds)
        return None
    if isinstance(step, Send):
        return http.request(step.method, step.path, **step.options)
    with http.stream("GET", step.path, headers=step.headers) as response:
        if not response.is_success:
            response.read()
        with step.open(response) as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
    return None


async def _take_async(http: httpx.AsyncClient, step: Step) -> httpx.Response | None:
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
        return None
    if isinstance(step, Send):
        return await http.request(step.method, step.path, **step.options)
    async with http.stream("GET", step.path, headers=step.headers) as response:
        if not response.is_success:
            await response.aread()
        with step.open(response) as file:
            async for chunk in response.aiter_bytes():
                file.write(chunk)
    return None


class Patience:
    """How long to keep trying, and how long to wait in between."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self._ends = time.monotonic() + seconds
        self._longest = FIRST_PAUSE

    def pause(self, error: Exception, wish: float | None = None) -> Pause:
        """The wait before the next try, as long as the service wishes; raises where that would be too late."""
        # Clients that lost the service at the same moment come back at different ones.
        seconds = wish if wish is not None else self._longest * random.uniform(0.5, 1.0)
        self._longest = min(LONGEST_PAUSE, 2 * self._longest)
        if time.monotonic() + seconds > self._ends:
            if isinstance(error, ServiceError):
                raise error
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnreachableError(f"the service at {self.url} cannot be reached: {reason}") from error
        return Pause(seconds)


def send(
    method: str, path: str, patience: Patience, *, settled: tuple[int, ...] = (), **options: Any
) -> Task[httpx.Response]:
    """Send a request until it is answered; every request sent here must do no more twice than once.

    `settled` are refusals which, after an attempt whose answer was lost, say that this attempt has done the work.
    Raises ServiceError and UnreachableError.
    """
    lost = False
    while True:
        try:
            response: httpx.Response = yield Send(method, path, options)
        except httpx.TransportError as error:
            lost = lost or not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            pause = patience.pause(error)
        else:
            if response.is_success or (lost and response.status_code in settled):
                return response
            if response.status_code not in PASSING:
                raise refusal(response)
            lost = lost or response.status_code != 503  # a proxy's: the service itself may have done the work
            pause = patience.pause(refusal(response), retry_after(response.headers))
        yield pause


def connection_options(url: str, token: str | None) -> dict[str, Any]:
    """Arguments of an HTTP client of a service. Raises ValueError for a URL of no service, or what can be no token.

    Blanks around the token, such as the line end of a file that holds it, are no part of it.
    """
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("the token holds characters that no token has; give what `saephase token create` printed")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url} is not the URL of a service, such as http://127.0.0.1:8000")
    return {"base_url": parsed, "headers": {"Authorization": f"Bearer {token}"} if token else {}}


def open_http(url: str, token: str | None, **options: Any) -> httpx.Client:
    """An HTTP client of a service; connects to nothing yet. Raises ValueError for a URL of no service."""
    return httpx.Client(**connection_options(url, token), **options)
