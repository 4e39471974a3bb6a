"""Action ``verify``: check that the world is as it should be, again and again if need be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import BaseOperator

from planner_provider.errors import (
    CheckFailedError,
    MisconfiguredError,
    NotAvailableError,
    PlannerError,
    RefusedError,
    UnavailableError,
)
from planner_provider.operators.http import judge, seconds, templated_paths, traced_headers
from planner_provider.operators.plan_ref import PlanRef
from planner_provider.operators.plan_step import PlanStepMixin
from planner_provider.operators.sql import sql_mismatches, statement_of
from planner_provider.operators.tracing import PlanTrace, sql_comment, trace_of, traceparent
from planner_provider.spec.actions import HttpCheck, SqlCheck, SqlExpect, Verify

if TYPE_CHECKING:
    from airflow.sdk import Context

    from planner_provider.graph.model import Contact
    from planner_provider.graph.slos import Slo
    from planner_provider.hooks.slo_facts import Look
    from planner_provider.hooks.sql import SqlSession


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    error: PlannerError | None = None

    @property
    def known(self) -> bool:
        """Whether the question was answered at all."""
        return self.error is None or isinstance(self.error, CheckFailedError)


class VerifyOperator(PlanStepMixin, BaseOperator):
    """Ask all checks until all hold, or until ``within`` is over. The XCom is ``{checks, rounds}``.

    All failures of the last round are reported together. A check that could not be asked is not
    known, and what is not known never passes. SQL checks may only read: they run in a read-only
    session where the database has one, and are rolled back everywhere.

    Args:
        http: requests whose answers are compared with what is expected (their text is templated).
        sql: queries whose results are compared with what is expected (their text is templated).
        slos: resolved ``graph.slos.Slo`` that must not be breached: their burn rates are judged,
            not what is left of their error budgets, which a rollback cannot bring back. A name
            instead of an SLO fails the verification.
        within: how long to keep asking; 0 asks once. A number is in seconds.
        every: time between two rounds. A number is in seconds.
        plan_ref: the plan that this is a step of, if any.

    Raises:
        CheckFailedError: at least one check was answered, and not as expected.
        MisconfiguredError: a check can never be asked, such as for lack of a Connection.
        RefusedError: a check was refused.
        UnavailableError: at least one check could not be asked, and none failed otherwise.
    """

    template_fields: Sequence[str] = ("http", "sql")
    template_fields_renderers = {"http": "json", "sql": "json"}  # noqa: RUF012
    ui_color = "#ccfbf1"

    _session: SqlSession | None = None
    _looked: Look | None = None

    def __init__(
        self,
        *,
        http: Sequence[HttpCheck] = (),
        sql: Sequence[SqlCheck] = (),
        slos: Sequence[Slo | str] = (),
        within: timedelta | float = 0.0,
        every: timedelta | float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.http = [_http_texts(check) for check in http]
        self.sql = [_sql_texts(check) for check in sql]
        self.slos = tuple(slo for slo in slos if not isinstance(slo, str))
        self.unresolved = tuple(slo for slo in slos if isinstance(slo, str))
        self.within = within
        self.every = every
        self.http_checks = tuple(http)
        self.sql_checks = tuple(sql)

    @classmethod
    def from_action(
        cls,
        action: Verify,
        *,
        plan_ref: PlanRef | None,
        contacts: tuple[Contact, ...] = (),
        slos: tuple[Slo, ...] = (),
        **base_kwargs: Any,
    ) -> Self:
        """The operator for a ``verify`` action of a spec. ``slos`` are those that the plan names.

        One that is named and not among them fails the verification when it is run.
        """
        known = {slo.name: slo for slo in slos}
        return cls(
            http=action.http,
            sql=action.sql,
            slos=[known.get(name, name) for name in action.slos],
            within=action.within,
            every=action.every,
            plan_ref=plan_ref,
            **base_kwargs,
        )

    def act(self, context: Context) -> dict[str, int]:
        """Ask until all checks hold. The number of rounds is bounded by ``within``."""
        if self.unresolved:
            raise NotAvailableError(
                f"SLO {', '.join(self.unresolved)} cannot be measured by this release. Nothing was "
                "asked. `planner lint` says why."
            )
        trace = trace_of(self.plan_ref, context)
        end = self.clock.monotonic() + seconds(self.within)
        rounds = 0
        while True:
            rounds += 1
            findings = tuple(self._round(trace))
            failed = [finding for finding in findings if finding.error is not None]
            if not failed:
                self._record(context)
                self.log.info("All %d checks hold (round %d).", len(findings), rounds)
                return {"checks": len(findings), "rounds": rounds}
            left = end - self.clock.monotonic()
            hopeless = any(isinstance(item.error, MisconfiguredError) for item in failed)
            if hopeless or left <= 0:
                self._record(context)
                raise verdict(findings, rounds)
            self.log.info(
                "Round %d: %d of %d checks hold, asking again for %.0f s. %s",
                rounds, len(findings) - len(failed), len(findings), left, failed[0].error,
            )  # fmt: skip
            self.pause(min(seconds(self.every), left))

    def on_kill(self) -> None:
        """Stop asking."""
        if self._session is not None:
            self._session.cancel()
        super().on_kill()

    def _round(self, trace: PlanTrace | None) -> Iterator[Finding]:
        for number, (check, texts) in enumerate(zip(self.http_checks, self.http, strict=True), 1):
            name = f"http {number} ({check.method} {texts['path']} on {check.connection})"
            yield self._ask(name, lambda check=check, texts=texts: ask_http(check, texts, trace))
        for number, (query, texts) in enumerate(zip(self.sql_checks, self.sql, strict=True), 1):
            name = f"sql {number} (on {query.connection})"
            yield self._ask(
                name, lambda query=query, texts=texts: self._ask_sql(query, texts, trace)
            )

        if self.slos:
            names = ", ".join(slo.name for slo in self.slos)
            yield self._ask(f"slos ({names})", self._ask_slos)

    def _ask_slos(self) -> None:
        """Look at all SLOs. The last look is the one that is recorded."""
        from planner_provider.decide.slo import SloRules
        from planner_provider.hooks.slo_facts import look_at
        from planner_provider.operators.guard import log_look, told

        rules = SloRules(min_remaining=None, in_progress=self.plan_ref is not None)
        self._looked = look_at(self.slos, rules, clock=self.clock.now)
        log_look(self._looked)
        if self._looked.verdict.inconclusive:
            raise UnavailableError(f"inconclusive: {told(self._looked)}")
        if not self._looked.verdict.passes:
            raise CheckFailedError(told(self._looked))

    def _record(self, context: Context) -> None:
        """Write the last decision about the SLOs down."""
        if self._looked is None or self.plan_ref is None:
            return
        from planner_provider.hooks.settings import open_ledger
        from planner_provider.operators.guard import record

        ti = context["ti"]
        record(
            self._looked,
            ledger=open_ledger(),
            plan_id=self.plan_id(context),
            step=self.plan_ref.step,
            actor=f"task:{ti.task_id}#{ti.try_number}",
            now=self.clock.now,
        )

    def _ask(self, name: str, question: Any) -> Finding:
        try:
            question()
        except PlannerError as error:
            return Finding(name, error)
        return Finding(name)

    def _ask_sql(self, check: SqlCheck, texts: Mapping[str, Any], trace: PlanTrace | None) -> None:
        from planner_provider.hooks.sql import SqlRequest, SqlSession

        self._session = SqlSession(self.log)
        result = self._session.run(
            SqlRequest(
                connection=check.connection,
                sql=texts["statement"],
                parameters=texts["parameters"],
                comment=sql_comment(trace, traceparent()),
                read_only=True,
            )
        )
        wrong = sql_mismatches(result, SqlExpect(value=check.expect.value, rows=check.expect.rows))
        if wrong:
            raise CheckFailedError(f"{result.where}: {'; '.join(wrong)}")


def ask_http(check: HttpCheck, texts: Mapping[str, Any], trace: PlanTrace | None) -> None:
    """Ask one HTTP check. Raises the error that its answer amounts to.

    Args:
        check: the check as it stands in the spec.
        texts: its templated parts, rendered.
        trace: the plan that asks.
    """
    from planner_provider.hooks.expectations import HttpExpectation
    from planner_provider.hooks.http import HttpRequest, send

    expect = check.expect
    answer = send(
        HttpRequest(
            connection=check.connection,
            method=check.method,
            path=texts["path"],
            headers=traced_headers(texts["headers"], trace),
            body=texts["body"],
            timeout=check.timeout.total_seconds(),
            follow_redirects=not any(300 <= code < 400 for code in expect.status),
        )
    )
    wrong = judge(
        answer,
        HttpExpectation(
            status=expect.status,
            body_matches=expect.body_matches,
            json_values=texts["json"],
            as_text=templated_paths(expect.json_values),
        ),
    )
    if isinstance(wrong, RefusedError):  # the question was answered: with no
        raise CheckFailedError(str(wrong))
    if wrong is not None:
        raise wrong


def verdict(findings: Sequence[Finding], rounds: int) -> PlannerError:
    """The error for a round in which not all checks held, with one line for each that did not."""
    failed = [finding for finding in findings if finding.error is not None]
    asked = "once" if rounds == 1 else f"{rounds} times"
    lines = [f"{len(failed)} of {len(findings)} checks do not hold (asked {asked}):"]
    for finding in failed:
        mark = "failed" if finding.known else "not known"
        lines.append(f"- {finding.check}: {mark}: {finding.error}")
    for kind in (MisconfiguredError, CheckFailedError, RefusedError):
        if any(isinstance(finding.error, kind) for finding in failed):
            return kind("\n".join(lines))
    return UnavailableError("\n".join(lines))


def _http_texts(check: HttpCheck) -> dict[str, Any]:
    """What of a check is templated, as plain data that Airflow renders and shows."""
    return {
        "path": check.path,
        "headers": dict(check.headers),
        "body": check.body,
        "json": dict(check.expect.json_values),
    }


def _sql_texts(check: SqlCheck) -> dict[str, Any]:
    return {
        "statement": statement_of(check.statement, check.file),
        "parameters": dict(check.parameters),
    }
