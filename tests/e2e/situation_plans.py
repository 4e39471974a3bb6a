"""Small plans in YAML, each for one situation that a run can get into."""

from __future__ import annotations

SLO = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: prometheus}
spec: {type: Prometheus, connectionDetails: {}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  service: checkout
  indicator:
    metadata: {name: checkout-good}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource: {metricSourceRef: prometheus, spec: {query: 'x_total{code!~"5.."}'}}
        total:
          metricSource: {metricSourceRef: prometheus, spec: {query: x_total}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
"""
ASK = "{approvers: [alice, bob], timeout: 5m}"
NOWHERE = "connection: sandbox, path: /services/nothing/weight, method: PUT, body: {weight: 1}"


def put(plan: str, step: str, rollback: str | None = None, after: str = "") -> str:
    """A step that sets a flag of the world, and what takes it away."""
    flag = f"connection: sandbox, path: /flags/{plan}.{step}"
    undo = rollback or f"{{http: {{{flag}, method: DELETE}}}}"
    return (
        f"    - id: {step}\n"
        f"      http: {{{flag}, method: PUT, body: {{enabled: true}}}}\n"
        f"      rollback: {undo}\n"
    ) + after


def failing(step: str = "bad") -> str:
    """A step that is refused at once."""
    return f"    - id: {step}\n      http: {{{NOWHERE}}}\n      rollback: none\n"


def other(step: str, action: str) -> str:
    """A step with any other action that changes nothing."""
    return f"    - id: {step}\n      {action}\n"


def plan(name: str, *steps: str, front: str = "", verify: str = "") -> tuple[str, str]:
    """Name and text of a plan."""
    head = (
        "apiVersion: planner/v1\n"
        "kind: Plan\n"
        f"metadata: {{name: {name}, owner: team-shop}}\n"
        "spec:\n"
        f"  summary: The plan {name}\n"
        "  defaults: {retries: {limit: 2, delay: 1s, backoff: 1}}\n"
        f"  touches: [{{resource: 'sandbox://flags/{name}'}}]\n"
    )
    return name, head + front + "  steps:\n" + "".join(steps) + verify


AFTER = "      after: [{}]\n"
CANARY = """\
    - id: shift
      canary:
        target: {http: {connection: sandbox, service: checkout}}
        change: {version: 1.5.0}
        traffic:
          http:
            connection: sandbox
            path: /services/checkout/weight
            body: {version: 1.5.0, weight: "{{ weight }}"}
        steps: [{weight: 20, bake: 60s}]
        analysis: {slos: [checkout], compare: [checkout], every: 5s, patience: 5m}
      rollback: auto
"""
THEIRS = "airflow.providers.standard.operators.bash.BashOperator"
"""An operator that knows nothing of plans."""
PLANS: dict[str, str] = dict(
    (
        plan(
            "parallel",
            put("parallel", "one"),
            other("rest", "wait: {for: 10m}") + AFTER.format("one"),
            other("pause", "wait: {for: 6s}") + AFTER.format("one"),
            failing("bad") + AFTER.format("pause"),
            put("parallel", "two", after=AFTER.format("rest, bad")),
        ),
        plan("asked", put("asked", "one"), front=f"  approval: {ASK}\n"),
        plan(
            "hurried",
            put("hurried", "one"),
            front="  approval: {approvers: [alice], timeout: 8s}\n",
        ),
        plan(
            "both",
            put("both", "one"),
            front="  approval: {approvers: [alice, bob], count: 2, timeout: 5m}\n",
        ),
        plan("guarded", put("guarded", "one"), front="  guards: {slos: [checkout]}\n"),
        plan(
            "unverified",
            put("unverified", "one"),
            put("unverified", "two"),
            verify=(
                "  verify:\n"
                "    http: [{connection: sandbox, path: /flags, expect: {json: {flags: []}}}]\n"
            ),
        ),
        plan(
            "stuck",
            put("stuck", "one"),
            put("stuck", "two", rollback=f"{{http: {{{NOWHERE}}}}}"),
            put("stuck", "three"),
            failing(),
        ),
        plan("undoing", put("undoing", "one"), put("undoing", "two"), failing()),
        plan(
            "midway",
            put("midway", "one"),
            other("ask", f"approval: {ASK}"),
            put("midway", "two"),
        ),
        plan(
            "gated",
            put("gated", "one"),
            other("gate", "gate: {slos: [checkout], mode: wait, timeout: 5m, every: 2s}"),
            put("gated", "two"),
        ),
        plan("shifted", put("shifted", "one"), CANARY, front="  guards: {slos: [checkout]}\n"),
        plan(
            "held",
            put("held", "one"),
            other(
                "theirs",
                f"operator: {{path: {THEIRS}, arguments: {{bash_command: 'true'}}}}\n"
                "      rollback: none",
            ),
            put("held", "two"),
        ),
        plan("slow", put("slow", "one"), put("slow", "two"), put("slow", "three")),
    )
)
