"""A database of any earlier version to today's tables, once, however many processes start at the same time."""

from pathlib import Path

import sqlalchemy as sa

from service.records import Database

HEAD = "0001"
"""The revision that this version of the service reads and writes."""
LOCK = 0x5AE_FA5E
"""Any number, the same in all processes: the name of PostgreSQL's advisory lock."""


class ForeignDatabase(RuntimeError):
    """The database was written by a later version."""


def revision(connection: sa.Connection) -> str | None:
    """The revision that the database is at; None before the first."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def migrate(database: Database) -> None:
    """Bring the tables up to date; raises ForeignDatabase, and SQLAlchemy's errors where it cannot be reached."""
    with database.reading() as connection:
        if revision(connection) == HEAD:
            return
    # A quarter of a second to import, and needed only once in a database's life.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with database.writing() as connection:
        if not database.sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ForeignDatabase(f"the database was written by a later version of saephase ({error})") from None
