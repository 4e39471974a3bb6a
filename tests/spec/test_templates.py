"""Plans that are made from templates."""

from __future__ import annotations

from textwrap import indent

import pytest

from planner_provider.spec.folder import SpecSet
from tests.spec.specs import CHECK, codes, loaded, plan, told

TEMPLATE = """\
apiVersion: planner/v1
kind: PlanTemplate
metadata: {name: smoke}
spec:
  inputs:
    path: {type: string}
    tries: {type: integer, default: 2, maximum: 5}
    codes: {type: array, default: [200]}
    wait: {type: duration, default: 30s}
    note: {type: string, default: null}
  plan:
    summary: Smoke test
    guards: {ttl: 1h}
    steps:
      - id: ask
        http:
          connection: sandbox
          path: /api${{ inputs.path }}?n=${{ inputs.tries }}&x=$${{ kept }}
          expect: {status: "${{ inputs.codes }}"}
        summary: "${{ inputs.note | default('no note') }}"
        retries: {limit: "${{inputs.tries}}", delay: "${{ inputs.wait }}"}
"""


USE = (
    "apiVersion: planner/v1\nkind: Plan\nmetadata: {{name: {name}, owner: x}}\n"
    "spec: {{template: {{{template}}}}}\n"
)


def use(name: str, template: str = "name: smoke, inputs: {path: a}") -> str:
    return USE.format(name=name, template=template)


def using(inputs: str, more: str = "") -> SpecSet:
    text = (
        "apiVersion: planner/v1\nkind: Plan\nmetadata: {name: shop-smoke, owner: team-a}\n"
        f"spec:\n  template: {{name: smoke, inputs: {inputs}}}\n{more}"
    )
    return loaded(plan=text, template=TEMPLATE)


def test_a_whole_value_keeps_its_type_and_text_is_filled_in() -> None:
    result = using("{path: /health, tries: 3, codes: [200, 204]}")
    assert not result.diagnostics
    (document,) = result.plans
    step = document.plan.spec.steps[0]
    assert step.http is not None
    assert step.retries is not None
    assert step.http.path == "/api/health?n=3&x=${{ kept }}"
    assert step.http.expect.status == (200, 204)
    assert step.retries.limit == 3
    assert step.retries.delay.total_seconds() == 30
    assert step.summary == "no note"
    assert document.plan.spec.template is not None
    assert document.files == ("plan.yaml", "template.yaml")


def test_what_the_plan_says_itself_goes_before_the_template() -> None:
    result = using("{path: /health}", "  summary: My own\n  guards: {ttl: 2h}\n")
    (document,) = result.plans
    assert document.plan.spec.summary == "My own"
    assert document.plan.spec.guards.ttl is not None
    assert document.plan.spec.guards.ttl.total_seconds() == 7200
    assert document.plan.spec.steps[0].id == "ask"


@pytest.mark.parametrize(
    ("inputs", "message", "column"),
    [
        ("{}", "template 'smoke' needs the input 'path'", 35),
        ("{path: 3}", "input 'path': text is expected, not the number 3", 42),
        ("{path: a, tries: 9}", "input 'tries': 9 is more than 5", 52),
        ("{path: a, tries: true}", "input 'tries': a whole number is expected, not true", 52),
        ("{path: a, wait: soon}",
         "input 'wait': 'soon' is not a duration; write 90s, 15m, 4h, 1d or PT15M", 51),
        ("{pth: a}", "template 'smoke' has no input 'pth'", 36),
    ],
)  # fmt: skip
def test_wrong_inputs_are_reported_where_they_stand(inputs: str, message: str, column: int) -> None:
    result = using(inputs)
    (found,) = result.diagnostics
    assert (found.file, found.line, found.column, found.message) == (
        "plan.yaml",
        5,
        column,
        message,
    )
    assert [broken.name for broken in result.broken] == ["shop-smoke"]


def test_what_an_input_breaks_is_reported_in_the_template_with_the_plan() -> None:
    result = using("{path: /health, tries: -1}")
    (found,) = result.diagnostics
    assert (found.file, found.line, found.path) == (
        "template.yaml", 21, "spec.plan.steps[0].retries.limit",
    )  # fmt: skip
    assert "(used by plan 'shop-smoke', plan.yaml:1)" in found.message


def test_an_error_of_the_template_is_reported_once_for_all_plans() -> None:
    broken = TEMPLATE.replace("connection:", "conection:")
    result = loaded(use("a"), use("b"), template=broken)
    assert told(result) == [
        ("PLN202", "unknown key 'conection' in http", "did you mean 'connection'?")
    ]
    assert [item.name for item in result.broken] == ["a", "b"]
    assert all(item.diagnostics for item in result.broken)


def test_a_warning_of_the_template_is_not_repeated_for_each_plan() -> None:
    steps = "- id: set\n  shell: {command: [date]}\n- id: more\n  http: {connection: a}\n"
    warned = TEMPLATE + indent(steps, "      ")
    result = loaded(use("a"), use("b"), template=warned)
    assert codes(result) == ["PLN404"]
    assert result.plan_names == ("a", "b")


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("${{ inputs.nothing }}", "PLN318"),
        ("${{ inputs.path.upper() }}", "PLN318"),
        ("${{ 1 + 1 }}", "PLN318"),
        ("${{ params.x }}", "PLN318"),
        ("${{ inputs.path", "PLN318"),
        ("{{ inputs.path }}", "PLN318"),
        ("${{ inputs.path | upper }}", "PLN318"),
        ("${{ inputs.path | default(1 + 1) }}", "PLN318"),
    ],
)
def test_there_is_no_code_in_expressions(expression: str, code: str) -> None:
    broken = TEMPLATE.replace("/api${{ inputs.path }}", f"/api${{{{ inputs.path }}}}{expression}")
    assert codes(loaded(broken)) == [code]


def test_a_list_cannot_be_put_into_text() -> None:
    broken = TEMPLATE.replace("?n=${{ inputs.tries }}", "?n=${{ inputs.codes }}")
    assert codes(loaded(use("a"), broken)) == ["PLN318"]


def test_a_plan_that_is_no_template_has_no_inputs() -> None:
    result = loaded(plan("- id: a\n  http: {connection: a, path: '/${{ inputs.x }}'}\n"))
    assert codes(result) == ["PLN318"]


def test_a_missing_template_is_one_finding() -> None:
    result = loaded(use("a", "name: smok"), TEMPLATE)
    assert told(result) == [("PLN306", "there is no PlanTemplate 'smok'", "did you mean 'smoke'?")]


def test_a_template_without_a_name_is_a_finding() -> None:
    assert codes(loaded(use("a", ""))) == ["PLN203"]


def test_templates_are_judged_by_themselves_but_not_their_holes() -> None:
    assert not loaded(TEMPLATE).diagnostics
    broken = TEMPLATE.replace("guards: {ttl: 1h}", "guards: {ttl: 1}\n    colour: blue")
    assert sorted(codes(loaded(broken))) == ["PLN202", "PLN221"]


def test_steps_of_a_plan_replace_those_of_its_template() -> None:
    more = "  steps:\n" + "".join(f"    {line}\n" for line in CHECK.splitlines())
    result = using("{path: /health}", more)
    assert [step.id for step in result.plans[0].plan.spec.steps] == ["check"]
