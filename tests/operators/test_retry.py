from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
import requests
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from kubernetes.client.exceptions import ApiException
from sqlalchemy.exc import IntegrityError, OperationalError

from planner_provider.errors import (
    RETRY_CLASSES,
    AttentionError,
    CheckFailedError,
    MisconfiguredError,
    NoAuthorityError,
    NotAvailableError,
    PlannerError,
    RefusedError,
    SupersededError,
    UnavailableError,
)
from planner_provider.operators.retry import PlanRetryPolicy, error_class
from planner_provider.spec.plan import Retries


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (RefusedError(), "refused"),
        (SupersededError(), "refused"),
        (CheckFailedError(), "check_failed"),
        (UnavailableError(), "unavailable"),
        (MisconfiguredError(), "misconfigured"),
        (AttentionError(), "attention"),
        (PlannerError(), "error"),
        (ValueError(), "error"),
        (AirflowException("x"), "error"),
        (AirflowNotFoundException("x"), "misconfigured"),
        (requests.ConnectionError(), "unavailable"),
        (requests.ConnectTimeout(), "unavailable"),
        (requests.ReadTimeout(), "unavailable"),
        (http_error(429), "unavailable"),
        (http_error(503), "unavailable"),
        (http_error(403), "refused"),
        (http_error(404), "refused"),
        (ConnectionResetError(), "unavailable"),
        (TimeoutError(), "unavailable"),
        (ApiException(status=0), "unavailable"),
        (ApiException(status=500), "unavailable"),
        (ApiException(status=403), "refused"),
        (OperationalError("x", None, Exception()), "unavailable"),
        (IntegrityError("x", None, Exception()), "refused"),
        (sqlite3.OperationalError(), "unavailable"),
        (sqlite3.IntegrityError(), "refused"),
    ],
)
def test_errors_of_others_fall_into_our_classes(error: Exception, word: str) -> None:
    assert error_class(error) == word


def test_the_cause_counts_if_the_error_itself_says_nothing() -> None:
    outer = AirflowException("failed")
    outer.__cause__ = requests.ConnectionError()
    assert error_class(outer) == "unavailable"
    around = CheckFailedError()
    around.__cause__ = requests.ConnectionError()
    assert error_class(around) == "check_failed"


def test_causes_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert error_class(first) == "error"


def policy(**more: object) -> PlanRetryPolicy:
    return PlanRetryPolicy.from_spec(Retries(**more))  # type: ignore[arg-type]


@pytest.mark.parametrize("word", RETRY_CLASSES)
def test_classes_named_in_never_fail_at_once_and_others_do_not(word: str) -> None:
    error = RETRY_CLASSES[word]()
    assert policy(never=(word,)).evaluate(error, 1, 2).action is RetryAction.FAIL
    assert policy(never=()).evaluate(error, 1, 2).action is RetryAction.RETRY


@pytest.mark.parametrize("kind", [NoAuthorityError, SupersededError, NotAvailableError])
def test_some_refusals_are_never_worth_a_retry(kind: type[Exception]) -> None:
    assert policy(never=()).evaluate(kind(), 1, 2).action is RetryAction.FAIL


def test_the_word_error_stands_for_everything_else() -> None:
    assert policy(never=("error",)).evaluate(ValueError(), 1, 2).action is RetryAction.FAIL


def test_delays_grow_up_to_the_longest() -> None:
    retries = policy(
        limit=100, delay=timedelta(seconds=10), backoff=2, max_delay=timedelta(seconds=35)
    )
    delays = [retries.evaluate(ValueError(), n, 100).retry_delay for n in range(1, 5)]
    assert delays == [timedelta(seconds=s) for s in (10, 20, 35, 35)]
    assert retries.delay_before(100_000) == timedelta(seconds=35)


def test_the_delay_begins_anew_when_the_task_was_cleared() -> None:
    # Airflow adds to max_tries then: two tries were used up, so the third is a first one again
    decision = policy(limit=1).evaluate(ValueError(), 3, 3)
    assert decision.retry_delay == timedelta(seconds=10)


def test_it_survives_serialization() -> None:
    before = policy(limit=5, delay=timedelta(seconds=3), backoff=1.5, never=("error",))
    after = PlanRetryPolicy.deserialize(before.serialize())
    assert vars(after) == vars(before)
