from collections.abc import Iterator
from typing import Any

import pytest

from service.settings import Settings
from tests.service.postgres import Cluster, running_cluster
from tests.service.running import Running, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A new empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database') / 'jobs.sqlite3'}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new_database()


def make_settings(database: str, storage: Any, **chosen: Any) -> Settings:
    return Settings(**{"database": database, "storage": str(storage), "poll_seconds": 0.1, **chosen})


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service without tokens; its database is shared by the tests of a module."""
    settings = make_settings(database_url, tmp_path_factory.mktemp("storage"), lease_seconds=3.0, comment_seconds=0.5)
    with running(settings) as found:
        yield found


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service on SQLite without tokens, for tests in which the database plays no part."""
    root = tmp_path_factory.mktemp("local")
    settings = make_settings(f"sqlite:///{root / 'jobs.sqlite3'}", root, lease_seconds=30.0, comment_seconds=0.3)
    with running(settings) as found:
        yield found
