"""Errors as answers: one form for all of them, and nothing in it that nobody should see."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from planner_provider.errors import MisconfiguredError, PlannerError, UnavailableError
from planner_provider.web.models import Problem

log = logging.getLogger(__name__)

WORDS = {
    401: ("You are not logged in.", "Log in to Airflow, then load this page again."),
    404: ("There is no such thing, or you may not see it.", None),
    405: ("This address does not answer to that method.", None),
}


class ProblemError(Exception):
    """A refusal, in words for the person who asked."""

    def __init__(self, status: int, error: str, hint: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.problem = Problem(error=error, hint=hint)


def not_found() -> ProblemError:
    """What is not there, and what must not be seen, are answered alike."""
    error, hint = WORDS[404]
    return ProblemError(404, error, hint)


def answer(
    status: int, error: str, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem as an answer."""
    body = Problem(error=error, hint=hint).model_dump(mode="json")
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Have all errors of the app answered so."""
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PlannerError, _planner)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return answer(error.status, error.problem.error, error.problem.hint)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    # Airflow's 403 is about the login: a token that it did not make, or has revoked. What a user
    # may not do is a ProblemError.
    status = 401 if error.status_code == 403 else error.status_code
    told, hint = WORDS.get(status, (str(error.detail), None))
    return answer(status, told, hint, error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
    )
    return answer(422, f"The request is not what is expected here. {told}")


async def _planner(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, UnavailableError):
        log.warning("The ledger did not answer: %s", error)
        return answer(503, "The ledger does not answer.", "Try again; the server's log says more.")
    if isinstance(error, MisconfiguredError):
        log.error("The Plans page cannot work: %s", error)
        return answer(
            503, "The planner is not set up rightly.", "An administrator finds why in the log."
        )
    log.warning("Refused: %s", error)
    return answer(409, str(error))


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("The Plans page failed", exc_info=error)
    return answer(500, "Something went wrong here.", "The log of the API server says more.")
