"""The application: routers and guards, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.staticfiles import StaticFiles

from prodcat_index import __version__
from prodcat_index.service import (
    card_routes,
    edit_routes,
    look_up_routes,
    monitoring,
    reference,
    review_routes,
)
from prodcat_index.service.guards import Guard, SecurityHeaders
from prodcat_index.service.monitoring import Monitor, make_log
from prodcat_index.service.problem_details import RESPONSES, handle_problems
from prodcat_index.service.settings import ServeSettings
from prodcat_index.service.shared import Service

PAGE = Path(__file__).parent / "page"
ROUTES = (look_up_routes, card_routes, edit_routes, review_routes, monitoring, reference)


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
        separate_input_output_schemas=False,
        responses=RESPONSES,
        lifespan=_lifespan,
    )
    app.state.service = service = Service(settings)
    handle_problems(app)
    # The last that is added is the first that sees a request.
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Monitor, settings=settings, metrics=service.metrics, log=make_log())
    app.add_middleware(SecurityHeaders)
    for routes in ROUTES:
        app.include_router(routes.router)
    # Last, because it takes every path that no route has.
    app.mount("/", GZipMiddleware(StaticFiles(directory=PAGE, html=True)), name="page")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    log = make_log()
    await to_thread.run_sync(service.current.now.warm_up)
    following = asyncio.create_task(
        service.current.follow(lambda error: log.error("index not read", error=str(error)))
    )
    if service.queue:
        service.queue.start()
    yield
    service.is_stopping = True
    following.cancel()
    if service.queue:
        await to_thread.run_sync(service.queue.stop)
    await to_thread.run_sync(service.batcher.close)
