"""Heartbeats: what happened arrives once and in order whatever is lost, and a lost lease is known in time."""

import json
import queue
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from workers.lease_keeper import Keeper
from workers.lease_service import (
    Lease,
    LeaseLostError,
    LeaseService,
    ServiceAwayError,
    ServiceRefusedError,
)
from workers.progress import Progress

Handler = Callable[[dict[str, Any]], httpx.Response]
FINE = {"expires_at": "2026-11-22T09:30:31.250Z", "cancel": False}


def serving(handle: Handler) -> LeaseService:
    def answer(request: httpx.Request) -> httpx.Response:
        return handle(json.loads(request.content))

    return LeaseService(httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)))


def a_lease(seconds: float) -> Lease:
    return Lease("0" * 32, 3, "1" * 16, {}, "/folder", (), seconds, time.monotonic() + seconds)


class Heard:
    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def lost(self, reason: str) -> None:
        self.queue.put(reason)

    def cancel(self) -> None:
        self.queue.put("cancel")

    def all(self) -> list[str]:
        return [self.queue.get() for _ in range(self.queue.qsize())]


def test_reports_arrive_once_and_in_order_though_answers_are_lost() -> None:
    taken: dict[str, str] = {}
    beats = 0

    def handle(body: dict[str, Any]) -> httpx.Response:
        nonlocal beats
        beats += 1
        if beats % 3 == 1:
            raise httpx.ConnectError("away")
        for report in body["events"]:
            taken.setdefault(report["key"], report["data"]["text"])  # as the service does
        if beats % 3 == 2:
            raise httpx.ReadTimeout("the answer is lost")
        return httpx.Response(200, json=FINE)

    heard = Heard()
    keeper = Keeper(serving(handle), a_lease(30), heard.lost, heard.cancel)
    texts = [str(number) for number in range(250)]
    for text in texts:
        keeper.report("message", text=text)
    keeper.tell(Progress(1, 2, 0, 0.5, None))
    for _ in range(50):
        try:
            keeper.flush()
            break
        except ServiceAwayError:
            continue
    assert list(taken.values()) == texts
    assert heard.all() == []


def test_a_service_that_is_away_for_as_long_as_the_lease_lasts_ends_it_in_time() -> None:
    heard = Heard()
    deadlines: list[float] = []

    def handle(body: dict[str, Any]) -> httpx.Response:
        raise httpx.ConnectError("away")

    lease = a_lease(1.5)
    keeper = Keeper(serving(handle), lease, heard.lost, heard.cancel)
    keeper.follow(deadlines.append)
    keeper.start()
    assert "no heartbeat was answered in time" in heard.queue.get(timeout=5)
    assert lease.deadline <= time.monotonic() <= lease.deadline + 1
    assert deadlines == [lease.deadline], "no deadline moves without a confirmed heartbeat"
    keeper.report("message", text="late")
    with pytest.raises(LeaseLostError):
        keeper.flush()


def test_deadlines_count_from_the_sending_of_the_heartbeat() -> None:
    def handle(body: dict[str, Any]) -> httpx.Response:
        time.sleep(0.3)
        return httpx.Response(200, json=FINE)

    heard = Heard()
    deadlines: list[float] = []
    keeper = Keeper(serving(handle), a_lease(2), heard.lost, heard.cancel)
    keeper.follow(deadlines.append)
    keeper.report("message", text="x")
    before = time.monotonic()
    keeper.flush()
    assert before + 2 <= deadlines[-1] < before + 2.2


def test_a_refused_heartbeat_ends_the_lease_and_a_cancellation_is_told_once() -> None:
    answers = [httpx.Response(200, json={**FINE, "cancel": True})] * 3 + [
        httpx.Response(409, json={"title": "Conflict", "detail": "lease lost"})
    ]
    left = iter(answers)
    heard = Heard()
    keeper = Keeper(serving(lambda body: next(left)), a_lease(2.5), heard.lost, heard.cancel)
    keeper.start()
    assert heard.queue.get(timeout=5) == "cancel"
    assert heard.queue.get(timeout=5) == "lease lost (HTTP 409)"
    assert heard.all() == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"title": "Unauthorized", "detail": "no token"}), ServiceRefusedError),
        (httpx.Response(200, html="<p>a proxy"), ServiceRefusedError),
        (httpx.Response(422, json={"detail": "bad"}), ServiceRefusedError),
        (httpx.Response(503, json={"detail": "busy"}), ServiceAwayError),
        (httpx.Response(500, html="oops"), ServiceAwayError),
        (httpx.Response(429, json={"detail": "slowly"}), ServiceAwayError),
    ],
)
def test_answers_are_told_apart(answer: httpx.Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        serving(lambda body: answer).take("a worker")
