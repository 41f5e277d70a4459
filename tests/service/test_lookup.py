import asyncio
import threading
import time

import pytest
import sqlalchemy as sa

from phase_diagrams.spec import parse_spec
from service import lookup as module
from service.jobs import Submission, cancel, find_job, lock_job, submit
from service.lookup import Lookup
from service.migrations import migrate
from service.records import jobs, open_database
from tests.service.running import SPEC


@pytest.fixture
def database(database_url):
    opened = open_database(database_url, 1.0)
    migrate(opened)
    yield opened
    opened.engine.dispose()


def add(database):
    with database.writing() as connection:
        made, _ = submit(connection, Submission("ada", parse_spec(SPEC), 0, None), time.time(), 1000)
        return find_job(connection, made.id)


@pytest.fixture
def queries(monkeypatch):
    """The ids of each query; each takes a moment, so that requests can come in the meantime."""
    asked = []
    plain = module.find_jobs

    def slow(connection, job_ids):
        asked.append(sorted(job_ids))
        time.sleep(0.05)
        return plain(connection, job_ids)

    monkeypatch.setattr(module, "find_jobs", slow)
    return asked


def test_what_is_asked_at_one_moment_is_one_query(database, queries):
    made = [add(database) for _ in range(20)]

    async def ask():
        lookup = Lookup(database)
        return await asyncio.gather(*(lookup.find(job.id) for job in made * 3), lookup.find("0" * 16))

    found = asyncio.run(ask())
    assert found == [*made * 3, None]
    assert queries == [sorted([*(job.id for job in made), "0" * 16])]


def test_an_answer_is_never_older_than_its_question(database, queries):
    job = add(database)

    async def ask():
        lookup = Lookup(database)
        first = asyncio.create_task(lookup.find(job.id))
        await asyncio.sleep(0.02)  # its query runs, and may have read the row

        def change():
            with database.writing() as connection:
                held = lock_job(connection, jobs.c.id == job.id)
                assert held is not None
                cancel(connection, held, time.time())

        await asyncio.to_thread(change)
        return await asyncio.gather(lookup.find(job.id), first)

    after, _ = asyncio.run(ask())
    assert after.status == "cancelled"
    assert len(queries) == 2


def test_who_gives_up_takes_nothing_from_the_others(database, queries):
    job = add(database)

    async def ask():
        lookup = Lookup(database)
        asked = [asyncio.create_task(lookup.find(job.id)) for _ in range(3)]
        await asyncio.sleep(0.01)
        asked[0].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    gone, *rest = asyncio.run(ask())
    assert isinstance(gone, asyncio.CancelledError)
    assert rest == [job, job]


def test_an_error_is_everybodys_and_the_next_question_is_asked_anew(database, queries, monkeypatch):
    job = add(database)

    async def ask():
        lookup = Lookup(database)
        with monkeypatch.context() as patch:
            patch.setattr(module, "find_jobs", lambda *_: (_ for _ in ()).throw(sa.exc.InterfaceError("", {}, None)))
            failed = await asyncio.gather(*(lookup.find(job.id) for _ in range(3)), return_exceptions=True)
        return failed, await lookup.find(job.id)

    failed, found = asyncio.run(ask())
    assert [type(error) for error in failed] == [sa.exc.InterfaceError] * 3
    assert found == job


def test_a_database_that_hangs_is_told_in_time(database, monkeypatch):
    job, hanging = add(database), threading.Event()
    plain = module.find_jobs

    def hang(connection, job_ids):
        hanging.wait(10)
        return plain(connection, job_ids)

    monkeypatch.setattr(module, "find_jobs", hang)

    async def ask():
        lookup = Lookup(database)
        began = time.monotonic()
        with pytest.raises(sa.exc.TimeoutError, match="does not answer"):
            await lookup.find(job.id)
        assert time.monotonic() - began < 3
        hanging.set()
        return await lookup.find(job.id)

    assert asyncio.run(ask()) == job
