"""Run by alembic: applies the revisions on the connection that `migrate` hands over."""

from alembic import context

from service.records import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
