"""Jobs and requests to what Prometheus scrapes."""

import time
from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.jobs import STATUSES
from service.records import Database, Job, jobs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds; heuristic: from a record read to a picture drawn."""


class Metrics:
    """The counters of one process, and the gauges that are read from the database when scraped."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.trials = Counter("saephase_trials_finished", "Trials finished (not reused ones)", registry=self.registry)
        self.steps = Counter("saephase_training_steps", "Optimiser steps of finished trials", registry=self.registry)
        self.lost = Counter("saephase_lease_losses", "Leases that ran out", registry=self.registry)
        self.streams = Gauge("saephase_event_streams", "Open event streams", registry=self.registry)
        self.latency = Histogram(
            "saephase_http_request_seconds",
            "Time to the last byte of an answer; for event streams, to the first",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Queue(database))

    def count(self, before: Job, after: Job) -> None:
        """Count the trials that finished between two states of a job."""
        trials = after.trials_done - after.trials_reused - max(0, before.trials_done - before.trials_reused)
        # A run that begins again counts from its reused trials; none of them is new.
        if trials > 0 and after.trials_reused == before.trials_reused:
            self.trials.inc(trials)
            self.steps.inc(trials * after.steps_per_trial)

    def scrape(self) -> bytes:
        """All metrics in Prometheus' text format; raises SQLAlchemy's errors."""
        return generate_latest(self.registry)


class _Queue(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering asks nothing of the database

    def collect(self) -> Iterable[Metric]:
        here = jobs.c.deleted_at.is_(None)
        with self._database.reading() as connection:
            query = sa.select(jobs.c.status, sa.func.count()).where(here).group_by(jobs.c.status)
            counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
            oldest = connection.scalar(sa.select(sa.func.min(jobs.c.queued_at)).where(here, jobs.c.status == "queued"))
        by_status = GaugeMetricFamily("saephase_jobs", "Jobs by status", labels=["status"])
        for status in STATUSES:
            by_status.add_metric([status], counts.get(status, 0))
        yield by_status
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("saephase_queue_age_seconds", "Age of the job that is queued longest", value=age)
