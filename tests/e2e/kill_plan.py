"""The plan of the kill matrix: a change, a canary, a change; all of it undone if it goes wrong."""

from __future__ import annotations

NAME = "killed-release"
SERVICE = "checkout"
OLD = "1.4.1"
ONLY_CHECKOUT = 'service="checkout"'
SLO = f"""\
apiVersion: openslo/v1
kind: DataSource
metadata: {{name: prometheus}}
spec: {{type: Prometheus, connectionDetails: {{}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: checkout-availability}}
spec:
  service: checkout
  indicator:
    metadata: {{name: checkout-good}}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            metricSourceRef: prometheus
            spec: {{query: 'http_requests_total{{{ONLY_CHECKOUT},code!~"5.."}}'}}
        total:
          metricSource:
            metricSourceRef: prometheus
            spec: {{query: 'http_requests_total{{{ONLY_CHECKOUT}}}'}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.992}}]
"""
VERSION = "{{ params.version }}"
RETRIES = "retries: {limit: 4, delay: 1s, backoff: 1}"
"""Of each step, so that what undoes it has them too."""
WEIGHT = f'{{version: "{VERSION}", weight: "{{{{ weight }}}}"}}'


def _flag(name: str) -> str:
    path = f"connection: sandbox, path: /flags/{name}"
    return (
        f"    - id: {name}\n"
        f"      http: {{{path}, method: PUT, body: {{enabled: true, percentage: 100}}}}\n"
        f"      rollback: {{http: {{{path}, method: DELETE}}}}\n"
        f"      {RETRIES}\n"
    )


PLAN = (
    f"""\
apiVersion: planner/v1
kind: Plan
metadata: {{name: {NAME}, owner: team-shop}}
spec:
  summary: A release that survives what happens to its machines
  parameters: {{version: {{type: string, default: "1.5.0"}}}}
  touches: [{{resource: "sandbox://services/checkout"}}]
  guards: {{slos: [checkout-availability]}}
  steps:
"""
    + _flag("before")
    + f"""\
    - id: shift
      canary:
        target: {{http: {{connection: sandbox, service: checkout}}}}
        change: {{version: "{VERSION}"}}
        traffic:
          http:
            connection: sandbox
            path: /services/checkout/weight
            body: {WEIGHT}
        steps: [{{weight: 20, bake: 6s}}, {{weight: 50, bake: 8s}}]
        analysis:
          slos: [checkout-availability]
          compare: [checkout-availability]
          every: 1s
          patience: 60s
      rollback: auto
      {RETRIES}
"""
    + _flag("after")
    + """\
  verify:
    slos: [checkout-availability]
    http: [{connection: sandbox, path: /services/checkout}]
"""
)
