"""Settings to the application: the routes over the parts that one process holds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import PackageNotFoundError, version

import anyio.to_thread
from fastapi import FastAPI

from service import job_routes, lease_routes, page_routes, result_routes, system_routes, trial_routes
from service.openapi import complete_openapi
from service.problem import install_handlers
from service.settings import Settings
from service.state import Upkeep, open_service
from service.watch import Watch

THREADS = 64
"""Requests that may wait for database or storage at a time; heuristic: above it, they only wait elsewhere."""

DESCRIPTION = """Phase diagrams of sparse autoencoders as jobs: post a spec, come back for the diagram.

Errors are `application/problem+json` (RFC 9457). With tokens, send `Authorization: Bearer`."""


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> FastAPI:
    """Assemble the application; its database is first touched when it starts. Raises ValueError for bad settings."""
    service = open_service(settings, clock)
    upkeep = Upkeep(service)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        upkeep.start()
        watching = asyncio.create_task(service.feeds.watch())
        try:
            yield
        finally:
            service.drain()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await anyio.to_thread.run_sync(upkeep.stop)
            service.drawer.close()
            service.sketcher.close()
            service.database.engine.dispose()

    app = FastAPI(
        title="saephase",
        version=_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    install_handlers(app)
    app.add_middleware(Watch, metrics=service.metrics, max_body_bytes=settings.max_body_bytes)
    for router in (
        page_routes.router,
        job_routes.direct,
        system_routes.router,
        job_routes.router,
        result_routes.router,
        trial_routes.router,
        lease_routes.router,
    ):
        app.include_router(router)
    page_routes.mount_files(app)
    complete_openapi(app)
    return app


def _version() -> str:
    try:
        return version("saephase")
    except PackageNotFoundError:
        return "0"
