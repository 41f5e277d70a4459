"""A secret to who is calling: bearer tokens, stored as their SHA-256, with roles and owners."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from service.records import Database, tokens

Role = Literal["read", "submit", "admin", "worker"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "sae_"
"""Lets secret scanners find a token in a leaked file."""

GRANTS: dict[Role, frozenset[str]] = {
    "read": frozenset({"read"}),
    "submit": frozenset({"read", "submit"}),
    "admin": frozenset({"read", "submit", "admin", "worker"}),
    "worker": frozenset({"worker"}),
}
"""What a role may do."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    id: str
    owner: str
    role: Role
    label: str
    created_at: float
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    owner: str
    role: Role

    def may(self, act: str) -> bool:
        """Whether the role grants read, submit, admin or worker."""
        return act in GRANTS[self.role]

    @property
    def sees(self) -> str | None:
        """The owner whose jobs the caller sees; None: all owners."""
        return None if self.role == "admin" else self.owner


def digest(secret: str) -> str:
    """What is stored of a secret; 256 random bits need neither salt nor stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_token(database: Database, owner: str, role: Role, now: float, label: str = "") -> tuple[Token, str]:
    """Make a token; its secret is returned here and nowhere else. Raises ValueError."""
    if role not in ROLES:
        raise ValueError(f"role {role!r} is not allowed; allowed: {', '.join(ROLES)}")
    for name, text, least in (("owner", owner, 1), ("label", label, 0)):
        if not least <= len(text) <= 200 or not text.isprintable():
            raise ValueError(f"{name} {text!r} must be {least} to 200 printable characters")
    token = Token(secrets.token_hex(4), owner, role, label, now, None)
    secret = PREFIX + secrets.token_urlsafe(32)
    with database.writing() as connection:
        connection.execute(
            tokens.insert().values(
                id=token.id, digest=digest(secret), owner=owner, role=role, label=label, created_at=now
            )
        )
    return token, secret


def list_tokens(database: Database) -> list[Token]:
    """Every token, revoked ones too, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(*_COLUMNS).order_by(tokens.c.created_at, tokens.c.id))
        return [Token(*row) for row in rows]


def revoke_token(database: Database, token_id: str, now: float) -> bool:
    """End a token; says whether there was a live one of this id."""
    live = sa.and_(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    with database.writing() as connection:
        return connection.execute(tokens.update().where(live).values(revoked_at=now)).rowcount == 1


_COLUMNS = (
    tokens.c.id,
    tokens.c.owner,
    tokens.c.role,
    tokens.c.label,
    tokens.c.created_at,
    tokens.c.revoked_at,
)


@dataclass(frozen=True, slots=True)
class Ring:
    """All callers that the database knows, at one moment."""

    callers: dict[str, Caller]
    """By digest; live tokens only."""
    open: bool
    """Whether no token was ever created."""


def read_ring(database: Database) -> Ring:
    """Load every live token."""
    with database.reading() as connection:
        rows = list(connection.execute(sa.select(tokens.c.digest, tokens.c.owner, tokens.c.role, tokens.c.revoked_at)))
    return Ring({row.digest: Caller(row.owner, row.role) for row in rows if row.revoked_at is None}, not rows)
