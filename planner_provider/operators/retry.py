"""Which errors are worth another try, and when, as the plan says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from planner_provider.errors import (
    RETRY_CLASSES,
    NoAuthorityError,
    NotAvailableError,
    PlannerError,
    SupersededError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.spec.plan import Retries

OTHER = "error"
"""The word for every error that has no class of its own."""
NEVER_EVER = (NoAuthorityError, SupersededError, NotAvailableError)
"""No setting makes these worth a retry: nothing changes by waiting."""

_BY_NAME = {
    "requests.exceptions.ConnectionError": "unavailable",
    "requests.exceptions.Timeout": "unavailable",
    "urllib3.exceptions.HTTPError": "unavailable",
    "httpx.TransportError": "unavailable",
    "builtins.ConnectionError": "unavailable",
    "builtins.TimeoutError": "unavailable",
    "sqlalchemy.exc.OperationalError": "unavailable",
    "sqlalchemy.exc.InterfaceError": "unavailable",
    "sqlalchemy.exc.TimeoutError": "unavailable",
    "sqlalchemy.exc.DBAPIError": "refused",
    "sqlalchemy.exc.NoSuchModuleError": "misconfigured",
    "airflow.sdk.exceptions.AirflowNotFoundException": "misconfigured",
}
"""Class of an error of another library -> word. Looked up along the class's bases, by name, so
that no library is imported for it."""
_DBAPI = {"OperationalError": "unavailable", "InterfaceError": "unavailable"} | dict.fromkeys(
    ("ProgrammingError", "IntegrityError", "DataError", "NotSupportedError"), "refused"
)
_DBAPI_MODULES = ("psycopg", "sqlite3", "pymysql", "MySQLdb", "pg8000", "oracledb")
_TRY_LATER = frozenset({0, 408, 425, 429})


class PlanRetryPolicy(RetryPolicy):
    """The ``retries`` of a step: never after some classes of error, else with growing delays.

    Airflow's own exceptions keep their meaning: ``AirflowFailException`` fails without asking.
    """

    def __init__(
        self,
        *,
        limit: int,
        delay: timedelta,
        backoff: float,
        max_delay: timedelta,
        never: tuple[str, ...],
    ) -> None:
        self.limit = limit
        self.delay = delay
        self.backoff = backoff
        self.max_delay = max_delay
        self.never = never

    @classmethod
    def from_spec(cls, retries: Retries) -> Self:
        """Build it from a plan's ``retries``."""
        return cls(
            limit=retries.limit,
            delay=retries.delay,
            backoff=retries.backoff,
            max_delay=retries.max_delay,
            never=retries.never,
        )

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Fail at once, or retry after a delay; how often is limited by the task's ``retries``."""
        word = error_class(exception)
        if isinstance(exception, NEVER_EVER):
            return RetryDecision.fail(f"{type(exception).__name__} is never tried again")
        if word in self.never:
            return RetryDecision.fail(f"class of error `{word}` is in retries.never")
        # max_tries grows when a task is cleared, so count from the first try after that
        nth = max(1, try_number - (max_tries - self.limit))
        delay = self.delay_before(nth)
        return RetryDecision.retry(delay, f"class of error `{word}`; retry {nth} of {self.limit}")

    def delay_before(self, retry: int) -> timedelta:
        """The delay before the first, second, ... retry."""
        longest = self.max_delay.total_seconds()
        seconds = self.delay.total_seconds()
        for _ in range(retry - 1):
            seconds *= self.backoff
            if seconds >= longest:
                break
        return timedelta(seconds=min(seconds, longest))

    def serialize(self) -> dict[str, Any]:
        """Plain values, in Airflow's form."""
        return {
            "__type": "PlanRetryPolicy",
            "limit": self.limit,
            "delay": self.delay.total_seconds(),
            "backoff": self.backoff,
            "max_delay": self.max_delay.total_seconds(),
            "never": list(self.never),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PlanRetryPolicy:
        """Read what ``serialize`` wrote."""
        return cls(
            limit=data["limit"],
            delay=timedelta(seconds=data["delay"]),
            backoff=data["backoff"],
            max_delay=timedelta(seconds=data["max_delay"]),
            never=tuple(data["never"]),
        )


def error_class(error: BaseException) -> str:
    """The word for an error: ``refused``, ``unavailable``, ..., or ``error``.

    An error that was raised because of another one (``raise ... from``) has the first word that
    is found along the causes.
    """
    for link in _causes(error):
        word = _own_class(link)
        if word is not None:
            return word
    return OTHER


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _own_class(error: BaseException) -> str | None:
    if isinstance(error, PlannerError):
        return next((w for w, kind in RETRY_CLASSES.items() if isinstance(error, kind)), None)
    status = _http_status(error)
    if status is not None:
        return "unavailable" if status in _TRY_LATER or status >= 500 else "refused"
    if "CONNECTION_NOT_FOUND" in str(getattr(error, "error", "")):
        return "misconfigured"
    for kind in type(error).__mro__:
        word = _BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")
        if word is None and kind.__module__.split(".")[0] in _DBAPI_MODULES:
            word = _DBAPI.get(kind.__name__)
        if word is not None:
            return word
    return None


def _http_status(error: BaseException) -> int | None:
    """The status of an HTTP answer: requests and httpx keep it in ``response``, Kubernetes not."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"HTTPError", "HTTPStatusError"}:
        status = getattr(getattr(error, "response", None), "status_code", None)
    elif "ApiException" in names:
        status = getattr(error, "status", None)
    else:
        return None
    return status if isinstance(status, int) else None
