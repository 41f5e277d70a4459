"""Jobs, events, owners, tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "jobs",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(16), nullable=False, unique=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("shared", sa.String(16), nullable=False),
        sa.Column("steps_per_trial", BIG, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("deleted_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("trials_total", BIG, nullable=False),
        sa.Column("trials_done", BIG, nullable=False),
        sa.Column("trials_reused", BIG, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("eta_seconds", sa.Double),
        sa.Column("wall_seconds", sa.Double, nullable=False),
        sa.Column("running_since", sa.Double),
        sa.Column("queued_at", sa.Double, nullable=False),
        sa.Column("fence", BIG, nullable=False),
        sa.Column("lease_id", sa.String(32), unique=True),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_expires_at", sa.Double),
        sa.Column("last_event", BIG, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("spec_digest", sa.String(64), nullable=False),
        sa.UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_queue", "jobs", ["status", "priority", "number"])
    op.create_index("jobs_owner", "jobs", ["owner", "status", "number"])
    op.create_index("jobs_name", "jobs", ["name", "number"])
    op.create_index("jobs_shared", "jobs", ["shared"])
    op.create_table(
        "events",
        sa.Column("job_number", BIG, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("key", sa.String(120)),
        sa.UniqueConstraint("job_number", "key", name="events_key"),
    )
    op.create_table("owners", sa.Column("owner", sa.String(200), primary_key=True))
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
