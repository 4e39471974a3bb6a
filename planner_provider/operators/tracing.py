"""How work that a plan does elsewhere can be traced back to the plan.

The plan ID travels in HTTP headers (W3C baggage), in SQL comments (sqlcommenter), in the
environment of commands and in Kubernetes labels. Everything here is a pure function of its
arguments, but `task_span`, `keep_trace`, `end_trace`, and `traceparent`, which is that of the span
around.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from planner_provider.errors import PlannerError
from planner_provider.hooks.spans import Traced, is_on, new_trace, run_span, span, traceparent
from planner_provider.operators.plan_ref import PlanRef, Role

if TYPE_CHECKING:
    from planner_provider.ledger import Ledger
    from planner_provider.ledger.outcome import Conclusion

__all__ = [
    "PlanTrace", "baggage", "end_trace", "environment", "idempotency_key", "keep_trace",
    "label_value", "pod_labels", "sql_comment", "task_span", "trace_of", "traceparent",
]  # fmt: skip

log = logging.getLogger(__name__)

MAX_BAGGAGE_BYTES = 8192
MAX_BAGGAGE_MEMBERS = 64
MAX_LABEL = 63
LABEL_PREFIX = "planner.dev"
_BAGGAGE_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_KEY_SPACE = uuid.UUID("6f1d3b52-6c64-5d5f-9c55-0f3f9f0f7c11")


@dataclass(frozen=True, slots=True)
class PlanTrace:
    """Which run of which plan, and which of its steps, is at work."""

    plan_id: str
    plan: str
    step: str

    def members(self) -> dict[str, str]:
        """The three as key and value, as they appear in baggage and in SQL comments."""
        return {"plan_id": self.plan_id, "plan": self.plan, "step": self.step}


def trace_of(plan_ref: PlanRef | None, context: Mapping[str, Any]) -> PlanTrace | None:
    """Who is at work in this task instance; ``None`` for an operator used without a plan."""
    if plan_ref is None:
        return None
    step = plan_ref.step or plan_ref.role.value
    return PlanTrace(plan_ref.plan_id(str(context["run_id"])), plan_ref.plan, step)


def baggage(trace: PlanTrace | None, existing: str | None = None) -> str | None:
    """The value of a W3C ``baggage`` header: what is there already, and the plan after it.

    Values are percent-encoded as the W3C Baggage specification says. Members of the same name that
    are there already are replaced. Where the specification's limits (64 members, 8192 bytes) leave
    no room, what is there already stays as it is. ``None`` if there is nothing to send.
    """
    kept = [member.strip() for member in (existing or "").split(",") if member.strip()]
    if trace is None:
        return ",".join(kept) or None
    ours = {key: quote(value, safe=_BAGGAGE_SAFE) for key, value in trace.members().items()}
    others = [member for member in kept if member.partition("=")[0].strip() not in ours]
    merged = [*others, *(f"{key}={value}" for key, value in ours.items())]
    text = ",".join(merged)
    if len(merged) > MAX_BAGGAGE_MEMBERS or len(text.encode()) > MAX_BAGGAGE_BYTES:
        return existing
    return text


def sql_comment(trace: PlanTrace | None, parent: str | None = None) -> str:
    """A sqlcommenter comment such as ``/*plan='p',plan_id='p-1-2',step='s'*/``, or empty text.

    Keys are sorted; keys and values are URL-encoded, so that nothing in them can end the comment.
    """
    if trace is None:
        return ""
    tags = trace.members()
    if parent:
        tags["traceparent"] = parent
    pairs = (f"{quote(key, safe='')}='{quote(tags[key], safe='')}'" for key in sorted(tags))
    return f"/*{','.join(pairs)}*/"


def environment(trace: PlanTrace | None, parent: str | None = None) -> dict[str, str]:
    """Environment variables that tell a command or a pod for whom it works."""
    out: dict[str, str] = {}
    if trace is not None:
        out = {
            "PLANNER_PLAN_ID": trace.plan_id,
            "PLANNER_PLAN": trace.plan,
            "PLANNER_STEP": trace.step,
            "BAGGAGE": baggage(trace) or "",
        }
    if parent:
        out["TRACEPARENT"] = parent
    return out


def label_value(text: str) -> str:
    """The text as a Kubernetes label value: unchanged if it is one, else shortened with a hash.

    Different texts give different values (as far as ten hexadecimal digits of SHA-256 do).
    """
    if not text or _LABEL.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    stem = re.sub(r"[^-A-Za-z0-9_.]+", "-", text).strip("-_.")[: MAX_LABEL - 11].strip("-_.")
    return f"{stem}-{digest}" if stem else digest


def pod_labels(trace: PlanTrace | None) -> dict[str, str]:
    """Kubernetes labels ``planner.dev/plan-id``, ``planner.dev/plan`` and ``planner.dev/step``."""
    if trace is None:
        return {}
    return {
        f"{LABEL_PREFIX}/plan-id": label_value(trace.plan_id),
        f"{LABEL_PREFIX}/plan": label_value(trace.plan),
        f"{LABEL_PREFIX}/step": label_value(trace.step),
    }


def idempotency_key(owner: str, task_id: str, map_index: int = -1) -> str:
    """A UUID that stays the same over all tries of one task instance.

    Args:
        owner: the plan ID, or DAG id and run id for an operator used without a plan.
        task_id: id of the task in its DAG.
        map_index: index of a mapped task instance, -1 for others.
    """
    return str(uuid.uuid5(_KEY_SPACE, "\x1f".join((owner, task_id, str(map_index)))))


DEFERRED = frozenset({"TaskDeferred", "TaskAwaitingInput"})
"""Exceptions by which Airflow lets a task wait without a worker."""


@contextmanager
def task_span(ref: PlanRef | None, context: Mapping[str, Any]) -> Iterator[Traced]:
    """A span around what a task of a plan does; nothing where nothing is traced."""
    if ref is None or not is_on():
        yield Traced()
        return
    ti = context["ti"]
    plan_id, own = ref.plan_id(ti.run_id), ref.step or ti.task_id
    told = {
        "planner.plan_id": plan_id,
        "planner.plan": ref.plan,
        "planner.step": ref.step,
        "planner.role": ref.role.value,
        "planner.task": ti.task_id,
        "planner.version": ref.digest[:8],
        "planner.try": ti.try_number,
    }
    kind = "task" if ref.role is Role.FRAME else ref.role.value
    with span(f"{kind} {own}", told, parent=lambda: _parent(ti.dag_id, ti.run_id, plan_id)) as made:
        try:
            yield made
        except BaseException as error:
            if type(error).__name__ in DEFERRED:
                made.set("planner.deferred", True)
            raise
        made.set("planner.outcome", "done")


def keep_trace(ledger: Ledger, plan_id: str) -> None:
    """Let a run that begins remember its trace, so that all of its spans hang together."""
    made = new_trace(plan_id) if is_on() else None
    if made is None:
        return
    try:
        ledger.keep_trace(plan_id, made)
    except PlannerError as error:
        log.warning("The trace of this run could not be kept: %s", error)


def end_trace(ledger: Ledger, plan_id: str, conclusion: Conclusion) -> None:
    """Write the span of a run that has ended."""
    if not is_on():
        return
    try:
        run = ledger.run(plan_id)
    except PlannerError as error:
        log.warning("The trace of this run could not be ended: %s", error)
        return
    if run is None:
        return
    outcome = conclusion.outcome.value
    run_span(
        f"plan {run.key.plan}",
        {
            "planner.plan_id": plan_id,
            "planner.plan": run.key.plan,
            "planner.version": run.key.digest[:8],
            "planner.outcome": outcome,
        },
        trace_parent=run.trace_parent or new_trace(plan_id),
        began_at=run.assessed_at,
        failed=None if outcome == "succeeded" else f"{outcome}: {conclusion.reason}",
    )


def _parent(dag_id: str, run_id: str, plan_id: str) -> str | None:
    from planner_provider.hooks.settings import open_ledger

    run = open_ledger().run_of(dag_id, run_id)
    return (run.trace_parent if run else None) or new_trace(plan_id)
