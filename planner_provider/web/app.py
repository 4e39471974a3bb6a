"""The Plans page as an app, to be mounted under ``/planner`` in Airflow's API server."""

from __future__ import annotations

from fastapi import FastAPI

from planner_provider import __version__
from planner_provider.web import problems
from planner_provider.web.headers import AsgiApp, SecurityHeaders
from planner_provider.web.routes import (
    acts,
    audit,
    decisions,
    locks,
    measures,
    overview,
    page,
    plans,
    runs,
)

API = "/api/v1"


class PlansApp(FastAPI):
    """A FastAPI app of which each answer has the security headers, whoever made it."""

    def build_middleware_stack(self) -> AsgiApp:
        """Put the headers around everything, error handling included."""
        return SecurityHeaders(super().build_middleware_stack())


def create_app() -> FastAPI:
    """Make the app. It opens nothing before the first request."""
    app = PlansApp(
        title="Plans",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for module in (overview, plans, runs, decisions, locks, audit, acts):
        app.include_router(module.router, prefix=API)
    app.include_router(measures.router)
    app.include_router(page.router)
    return app
