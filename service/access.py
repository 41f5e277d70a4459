"""A request's bearer token to its caller, or to 401 and 403; without any token, only this machine is let in."""

from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.problem import Refusal
from service.settings import Settings
from service.state import Service
from service.tokens import Caller, digest

ANYONE = Caller("local", "admin")
"""Who calls while there are no tokens."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")
PROXIED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""Headers that a proxy adds: whoever sent the request may then be anywhere."""

bearer = HTTPBearer(auto_error=False, description="A token of `saephase token create`; not needed where none exists.")


class OpenToAll(ValueError):
    """The service would be open to the network without any token."""


async def the_service(request: Request) -> Service:
    """The service that the application was made for."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(the_service)]


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def the_caller(request: Request, credentials: Credentials) -> Caller:
    """Who sent the request; raises Refusal 401, 403 or 503."""
    service: Service = request.app.state.service
    ring = service.ring
    if ring is None:
        raise Refusal(503, "The service is starting: its database is not ready. Try again.", "starting", _RETRY)
    found = None if credentials is None else digest(credentials.credentials)
    for secret, caller in configured_callers(service.settings):
        if found == digest(secret):
            return caller
    if ring.open and found is not None:
        # The first token may have been created since the ring was read: its owner's jobs are not everybody's.
        ring = await anyio.to_thread.run_sync(service.refresh_ring)
    if ring.open and service.settings.admin_token is None:
        _check_local(request, service.settings)
        return ANYONE
    if found is None:
        raise Refusal(401, "A bearer token is required.", "token", {"WWW-Authenticate": 'Bearer realm="saephase"'})
    caller_found = ring.callers.get(found)
    if caller_found is None:
        # It may have been created since the ring was read.
        ring = await anyio.to_thread.run_sync(service.refresh_ring)
        caller_found = ring.callers.get(found)
    if caller_found is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="saephase", error="invalid_token"'}
        raise Refusal(401, "The bearer token is unknown or revoked.", "token", challenge)
    return caller_found


_RETRY = {"Retry-After": "2"}


def configured_callers(settings: Settings) -> list[tuple[str, Caller]]:
    """The secrets of the settings, and who they are."""
    pairs = ((settings.admin_token, Caller("admin", "admin")), (settings.worker_token, Caller("worker", "worker")))
    return [(secret, caller) for secret, caller in pairs if secret]


def check_binding(settings: Settings, has_tokens: bool) -> None:
    """Refuse an address that others can reach while there is no token; raises OpenToAll."""
    if not settings.loopback and not has_tokens and settings.admin_token is None:
        raise OpenToAll(
            f"host {settings.host} can be reached from other machines, and no token exists: anyone could run jobs. "
            "Create a token first (saephase token create), or bind 127.0.0.1."
        )


def _check_local(request: Request, settings: Settings) -> None:
    """Without tokens: no other machine, and no page of another site in a browser on this one."""
    if not settings.loopback:
        raise Refusal(403, "No token exists, and this address can be reached from other machines.", "no-token")
    host = request.headers.get("host", "").lower()
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name not in (*LOCAL_NAMES, settings.host.lower()):
        raise Refusal(403, f"Without tokens, only localhost is served, not {host!r}.", "no-token")
    added = next((name for name in PROXIED if name in request.headers), None)
    if added is not None:
        detail = f"Without tokens, requests that come through a proxy ({added}) are refused: create a token first."
        raise Refusal(403, detail, "no-token")
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if (origin is not None and origin.partition("://")[2].lower() != host) or site == "cross-site":
        raise Refusal(403, "Without tokens, pages of other sites are not served.", "no-token")


class Needs:
    """A dependency: the caller, if the role grants an act; raises Refusal 403."""

    def __init__(self, act: str) -> None:
        self._act = act

    async def __call__(self, request: Request, credentials: Credentials) -> Caller:
        """The caller; raises Refusal 401, 403 or 503."""
        caller = await the_caller(request, credentials)  # called, not depended on: each dependency costs every request
        if not caller.may(self._act):
            raise Refusal(403, f"A token of role {caller.role} may not do this; it takes {self._act}.", "role")
        return caller


Known = Annotated[Caller, Depends(the_caller)]
Reader = Annotated[Caller, Depends(Needs("read"))]
Submitter = Annotated[Caller, Depends(Needs("submit"))]
Worker = Annotated[Caller, Depends(Needs("worker"))]
