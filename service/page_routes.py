"""The web pages: their documents, under policies that let nothing in from outside, and the files that they ask for."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PAGE = Path(__file__).parent / "page"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Neither a script or style inside the document, nor eval, nor another host."""
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FRESH = {"Cache-Control": "no-cache"}
"""Kept by browsers but asked about each time, so that an upgrade of the service is an upgrade of its page."""

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The document; who reads it in a browser will soon look at a diagram."""
    reads = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    warm = BackgroundTask(request.app.state.service.sketcher.warm) if reads else None
    return FileResponse(PAGE / "index.html", headers={**FRESH, "Content-Security-Policy": POLICY}, background=warm)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def calls() -> Response:
    """The document of all calls."""
    return FileResponse(PAGE / "docs.html", headers={**FRESH, "Content-Security-Policy": DOCS_POLICY})


class PageFiles(StaticFiles):
    """The files under /page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One of them, or that the browser has it already."""
        response = await super().get_response(path, scope)
        response.headers.update(FRESH)
        return response


def mount_files(app: FastAPI) -> None:
    """Serve what both pages load; it lies here, so that they work without the internet."""
    app.mount("/page", PageFiles(directory=PAGE))
    app.mount("/swagger", StaticFiles(packages=[("fastapi_offline", "static")]))
