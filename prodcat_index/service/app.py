"""The application: routers, guards, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.staticfiles import StaticFiles

from prodcat_index import __version__
from prodcat_index.service import monitoring
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.guards import Guard, SecurityHeaders
from prodcat_index.service.monitoring import Metrics, Monitor, make_log
from prodcat_index.service.problem_details import RESPONSES, handle_problems
from prodcat_index.service.settings import ServeSettings

PAGE = Path(__file__).parent / "page"


@dataclass
class Service:
    """What all routes share."""

    settings: ServeSettings
    current: CurrentIndex
    metrics: Metrics


def get_service(request: Request) -> Service:
    """Return what the routes of a request's application share."""
    service: Service = request.app.state.service
    return service


Shared = Annotated[Service, Depends(get_service)]


def create_app(settings: ServeSettings) -> FastAPI:
    """Return the application that serves an index.

    Parameters
    ----------
    settings
        How it is served.

    Returns
    -------
    fastapi.FastAPI
        An ASGI application, for uvicorn or any other server.

    Raises
    ------
    IndexFolderError
        If the folder is no index, of a newer format, or damaged.
    """
    app = FastAPI(
        title="prodcat-index",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        responses=RESPONSES,
    )
    service = Service(settings, CurrentIndex(settings.index), Metrics())
    app.state.service = service
    handle_problems(app)
    # The last that is added is the first that sees a request.
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Monitor, settings=settings, metrics=service.metrics, log=make_log())
    app.add_middleware(SecurityHeaders)
    app.include_router(monitoring.router)
    # Last, because it takes every path that no route has.
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    return app
