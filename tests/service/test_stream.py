import json
import threading
import time

import pytest

from service.events import PAGE, Happening, read_events
from service.stream import RING
from tests.service.running import FakeWorker, read_stream, submit, until


@pytest.fixture
def client(server):
    with server.client() as found:
        yield found


def test_a_stream_tells_everything_in_order_and_ends(client):
    job = submit(client)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(read_stream(client, job["id"])))
    thread.start()
    worker = FakeWorker(client)
    worker.take()
    report = {"type": "message", "data": {"text": "training"}, "key": "1"}
    for done in (4, 8):  # the second repeats the report, as a worker does that missed the answer
        worker.say("heartbeat", {"progress": worker.progress(done), "events": [report]})
        time.sleep(0.7)  # longer than the silence after which a comment comes
    worker.say("finish", {"status": "succeeded", "progress": worker.progress(16)})
    thread.join(20)
    assert not thread.is_alive()
    events = [event for event in seen if event[1] != ":"]
    assert [int(event[0]) for event in events[:-1]] == list(range(1, len(events)))
    assert [event[1] for event in events] == ["status", "status", "message", "progress", "progress", "status", "end"]
    assert [json.loads(event[2])["trials_done"] for event in events if event[1] == "progress"] == [4, 8]
    assert json.loads(events[-1][2]) == {"status": "succeeded"}
    assert events[-1][0] == events[-2][0]
    assert any(event[1] == ":" for event in seen)


def test_reconnecting_after_any_event_misses_and_repeats_nothing(client):
    job = submit(client)
    FakeWorker(client).run()
    whole = [event for event in read_stream(client, job["id"]) if event[1] != ":"]
    for after in range(len(whole)):
        rest = [event for event in read_stream(client, job["id"], after) if event[1] != ":"]
        assert rest == whole[after:] or (after == len(whole) - 1 and rest == whole[-1:])
    beyond = [event for event in read_stream(client, job["id"], 10**6) if event[1] != ":"]
    assert beyond == whole[-1:]


def test_a_stream_far_behind_reads_the_table_and_meets_the_present(client, server):
    from service.events import record
    from service.jobs import lock_job
    from service.records import jobs

    job = submit(client)
    total = RING + 2 * PAGE

    def add(count):
        with server.service.database.writing() as connection:
            found = lock_job(connection, jobs.c.id == job["id"])
            record(connection, found, time.time(), [Happening("message", {"n": n}) for n in range(count)])

    add(PAGE + 7)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(read_stream(client, job["id"])))
    thread.start()
    until(lambda: len(seen) > 10)
    for _ in range((total - PAGE) // 100):
        add(100)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    thread.join(30)
    numbers = [int(event[0]) for event in seen if event[1] not in (":", "end")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > total - 100


def test_numbers_have_no_gap_however_many_write_at_once(client, server):
    from service.events import record
    from service.jobs import find_job, lock_job
    from service.records import jobs

    job = submit(client)
    database = server.service.database
    read, stop = [], threading.Event()

    def follow():
        while not stop.is_set() or len(read) < 201:
            with database.reading() as connection:
                number = find_job(connection, job["id"]).number
                read.extend(event.number for event in read_events(connection, number, read[-1] if read else 0))

    def write(writer):
        for n in range(20):
            with database.writing() as connection:
                found = lock_job(connection, jobs.c.id == job["id"])
                happenings = [Happening("message", {}, f"{writer}-{n}"), Happening("message", {}, "same")]
                record(connection, found, time.time(), happenings)

    reader = threading.Thread(target=follow)
    reader.start()
    writers = [threading.Thread(target=write, args=(w,)) for w in range(10)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    until(lambda: len(read) >= 202)
    stop.set()
    reader.join(10)
    # 1 submission, 200 messages, and one of the key that all of them used.
    assert read == list(range(1, 203))
    client.post(f"/v1/jobs/{job['id']}/cancel")


def test_streams_of_a_deleted_job_end_and_are_counted(client, server):
    job = submit(client)
    threads = [threading.Thread(target=lambda: list(read_stream(client, job["id"]))) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: server.service.feeds.open == 5)
    assert "saephase_event_streams 5.0" in client.get("/metrics").text
    client.post(f"/v1/jobs/{job['id']}/cancel")
    for thread in threads:
        thread.join(10)
    until(lambda: server.service.feeds.open == 0)
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.get(f"/v1/jobs/{job['id']}/events").status_code == 404


def test_a_client_that_goes_away_is_forgotten(client, server):
    job = submit(client)
    with server.client() as mine, mine.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        chunks = answer.iter_raw()  # kept: the connection is closed with it
        next(chunks)
        until(lambda: server.service.feeds.open == 1)
    until(lambda: server.service.feeds.open == 0)
    client.post(f"/v1/jobs/{job['id']}/cancel")
