"""Settings to the application: the routes over the parts that one process holds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from service import job_routes, lease_routes, result_routes, system_routes, views
from service.problem import Problem, install_handlers
from service.settings import Settings
from service.spec_body import spec_components
from service.state import Upkeep, open_service
from service.watch import Watch

PAGE = Path(__file__).parent / "page"
THREADS = 64
"""Requests that may wait for database or storage at a time; heuristic: above it, they only wait elsewhere."""
PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:"

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
            service.database.engine.dispose()

    app = FastAPI(
        title="saephase",
        version=_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.service = service
    install_handlers(app)
    app.add_middleware(Watch, metrics=service.metrics, max_body_bytes=settings.max_body_bytes)
    for room in (system_routes, job_routes, result_routes, lease_routes):
        app.include_router(room.router)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": PAGE_POLICY})

    app.mount("/page", StaticFiles(directory=PAGE))
    _complete_openapi(app)
    return app


def _complete_openapi(app: FastAPI) -> None:
    """Add to OpenAPI what FastAPI cannot see: the schema of specs, which are read here, and that of problems."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(spec_components())
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update({**problem.pop("$defs"), "Problem": problem})
            for name, model in vars(views).items():
                # FastAPI drops null from examples, and with it keys that are required.
                if name in schemas and isinstance(model, type) and issubclass(model, BaseModel):
                    extra = model.model_config.get("json_schema_extra")
                    if isinstance(extra, dict):
                        schemas[name].update(extra)
            # FastAPI documents a 422 of its own wherever there is a parameter; ours are problems, and declared.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for operations in document["paths"].values():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                        del operation["responses"]["422"]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _version() -> str:
    try:
        return version("saephase")
    except PackageNotFoundError:
        return "0"
