"""Plan specs of a realistic size: twelve steps over HTTP, each with its rollback."""

from __future__ import annotations

from pathlib import Path

STEPS = 12

_HEAD = """\
apiVersion: planner/v1
kind: Plan
metadata:
  name: {name}
  owner: team-payments
  labels: {{tier: "1", number: "{number}"}}
spec:
  summary: Release service {number} step by step
  runbook: https://runbooks.example.com/services/{number}
  parameters:
    version:
      type: string
      default: "1.5.0"
      description: Version to release
      pattern: '^\\d+\\.\\d+\\.\\d+$'
  touches:
    - {{resource: "https://gateway.example.com/services/{number}", mode: exclusive}}
  guards:
    ttl: 2h
  defaults:
    timeout: 5m
    retries: {{limit: 2, delay: 10s, never: [refused, misconfigured]}}
  steps:
"""

_STEP = """\
    - id: shift-{percent}
      summary: Give {percent} percent of the traffic to the new version
      http:
        connection: gateway
        method: PUT
        path: /services/service-{number}/weight
        body: {{version: "{{{{ params.version }}}}", weight: {percent}}}
        expect: {{status: [200]}}
      rollback:
        http:
          connection: gateway
          method: PUT
          path: /services/service-{number}/weight
          body: {{version: "{{{{ params.version }}}}", weight: {before}}}
          expect: {{status: [200, 409]}}
"""

_TAIL = """\
  verify:
    http:
      - connection: gateway
        path: /services/service-{number}
        expect: {{status: [200]}}
    within: 1m
    every: 5s
"""


def plan_name(number: int) -> str:
    """Name of a plan, and its DAG id."""
    return f"release-{number:04}"


def write_plans(folder: Path, count: int) -> None:
    """Write ``count`` plans, one file each."""
    folder.mkdir(parents=True)
    for number in range(count):
        steps = (
            _STEP.format(number=number, percent=8 * (step + 1), before=8 * step)
            for step in range(STEPS)
        )
        text = _HEAD.format(name=plan_name(number), number=number) + "".join(steps)
        (folder / f"{plan_name(number)}.yaml").write_text(text + _TAIL.format(number=number))
