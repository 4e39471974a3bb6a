"""Action ``sql``: run SQL through an Airflow Connection and check what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import CheckFailedError, MisconfiguredError
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.tracing import sql_comment, trace_of, traceparent
from planner_provider.spec.actions import Bound, Sql, SqlExpect

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.hooks.sql import SqlResult, SqlSession


class SqlActionOperator(PlanStepMixin, BaseOperator):
    """Run SQL in one transaction and check its result before it is committed.

    Statements are parted by semicolons. If one fails, or if the result is not as expected, all are
    rolled back (on MySQL and Oracle, DDL commits by itself and what stands before it stays). A
    statement that cannot run in a transaction, such as VACUUM or CREATE INDEX CONCURRENTLY, must
    be the only one. Each carries a sqlcommenter comment that names the plan. The XCom is
    ``{rows, value, ms}`` of the last statement.

    Args:
        connection: Airflow Connection of a database for which a provider is installed (templated).
        statement: one or more statements (templated; put values into ``parameters`` instead).
        parameters: values for ``:name`` or ``%(name)s`` in the statement (templated). They are
            bound by the driver, never pasted into the text.
        expect_value: what the first column of the first row of the last statement must be. No row,
            NULL and NaN are never as expected.
        expect_rows: how many rows the last statement must give or change.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError: the result is not as expected; nothing was changed.
        RefusedError: the database refused; nothing was changed.
        UnavailableError: no connection, a lock, a deadlock; nothing was changed.
        MisconfiguredError: no such Connection, no provider for it, wrong credentials.
        AttentionError: the connection broke during the commit.
    """

    template_fields: Sequence[str] = ("connection", "statement", "parameters")
    template_fields_renderers = {"statement": "sql", "parameters": "json"}  # noqa: RUF012
    ui_color = "#ede9fe"

    _session: SqlSession | None = None

    def __init__(
        self,
        *,
        connection: str,
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        expect_value: Bound | None = None,
        expect_rows: Bound | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.statement = statement
        self.parameters = parameters or {}
        self.expect_value = expect_value
        self.expect_rows = expect_rows

    @classmethod
    def from_action(
        cls,
        action: Sql,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``sql`` action whose ``file``, if any, became its ``statement``."""
        expect = action.expect
        return cls(
            connection=action.connection,
            statement=statement_of(action.statement, action.file),
            parameters=action.parameters,
            expect_value=expect.value if expect else None,
            expect_rows=expect.rows if expect else None,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, Any]:
        """Run the statements, check, and commit."""
        from planner_provider.hooks.sql import SqlRequest, SqlSession

        self._session = SqlSession(self.log)
        request = SqlRequest(
            connection=self.connection,
            sql=self.statement,
            parameters=self.parameters,
            comment=sql_comment(trace_of(self.plan_ref, context), traceparent()),
        )
        expect = SqlExpect(value=self.expect_value, rows=self.expect_rows)

        def accept(result: SqlResult) -> None:
            wrong = sql_mismatches(result, expect)
            if wrong:
                raise CheckFailedError(
                    f"{result.where}: {'; '.join(wrong)}. All of it was rolled back."
                )

        result = self._session.run(request, accept)
        self.log.info(
            "%s: %d statement(s) in one transaction, %s row(s), %d ms.",
            result.where, result.statements, "?" if result.rows is None else result.rows,
            result.milliseconds,
        )  # fmt: skip
        return {"rows": result.rows, "value": plain(result.value), "ms": result.milliseconds}

    def on_kill(self) -> None:
        """Ask the database to stop; what is not committed is rolled back."""
        if self._session is not None:
            self._session.cancel()
        super().on_kill()


def statement_of(statement: str | None, file: str | None) -> str:
    """The SQL text. Raises ``MisconfiguredError`` if only a file name came through."""
    if statement is None:
        raise MisconfiguredError(f"the SQL file {file} was not read when the plan was compiled")
    return statement


def sql_mismatches(result: SqlResult, expect: SqlExpect) -> tuple[str, ...]:
    """What is not as expected, one sentence each; empty if all is."""
    from planner_provider.hooks.expectations import bound_mismatch, describe_bound

    wrong: list[str | None] = []
    if expect.value is not None:
        if result.has_row:
            wrong.append(bound_mismatch("the value", expect.value, result.value))
        else:
            wrong.append(f"expected the value to be {describe_bound(expect.value)}, got no row")
    if expect.rows is not None:
        if result.rows is None:
            wrong.append(
                f"expected the number of rows to be {describe_bound(expect.rows)}, but the "
                "database did not say how many there were"
            )
        else:
            wrong.append(bound_mismatch("the number of rows", expect.rows, result.rows))
    return tuple(sentence for sentence in wrong if sentence)


def plain(value: Any) -> str | int | float | bool | None:
    """A database value as JSON takes it, text cut to 200 characters."""
    import math

    from planner_provider.hooks.connections import shorten

    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return shorten(str(value))
