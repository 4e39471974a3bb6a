"""How steps hang together."""

from __future__ import annotations

import pytest

from tests.spec.specs import codes, loaded, plan, told


def steps(**after: str | None) -> str:
    return "".join(
        f"- id: {name}\n  http: {{connection: a}}\n" + (f"  after: {names}\n" if names else "")
        for name, names in after.items()
    )


def test_a_circle_is_shown_as_a_path_at_its_first_step() -> None:
    result = loaded(plan(steps(first=None, a="[d]", b="[a]", c="[b]", d="[c]", last="[d]")))
    assert [(found.code, found.line) for found in result.diagnostics] == [("PLN305", 9)]
    assert result.diagnostics[0].message.endswith("a -> d -> c -> b -> a")


def test_two_circles_are_two_findings() -> None:
    result = loaded(plan(steps(a="[b]", b="[a]", c="[d]", d="[c]")))
    assert codes(result) == ["PLN305", "PLN305"]


def test_the_step_before_counts_where_after_is_left_out() -> None:
    assert codes(loaded(plan(steps(a="[b]", b=None)))) == ["PLN305"]
    assert codes(loaded(plan(steps(a="[b]", b="[]")))) == []


def test_a_broken_step_keeps_the_others_checked() -> None:
    result = loaded(
        plan(steps(a=None, b="[nowhere]") + "- id: c\n  htpp: {}\n- id: a\n  wait: {for: 1s}\n")
    )
    assert sorted(codes(result)) == ["PLN202", "PLN302", "PLN303"]


def test_a_step_without_a_readable_id_may_be_the_one_meant() -> None:
    result = loaded(plan("- id: [a]\n  http: {connection: a}\n" + steps(b="[a]")))
    assert codes(result) == ["PLN201"]


CHANGE = "http: {connection: a, method: PUT}"
READ = "http: {connection: a}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"- {{id: a, {CHANGE}}}\n- {{id: b, {READ}}}\n", ["PLN404"]),
        (f"- {{id: a, {CHANGE}, rollback: none}}\n- {{id: b, {READ}}}\n", []),
        (f"- {{id: a, {CHANGE}}}\n", []),
        (f"- {{id: a, {CHANGE}}}\n- {{id: b, notify: {{message: x}}}}\n", []),
        (f"- {{id: a, {READ}}}\n- {{id: b, {CHANGE}}}\n", []),
        (f"- {{id: a, {CHANGE}, after: []}}\n- {{id: b, {READ}, after: []}}\n", ["PLN404"]),
        (f"- {{id: a, {READ}, rollback: {{{CHANGE}}}}}\n", ["PLN405"]),
        (f"- {{id: a, {READ}, rollback: none}}\n", []),
        ("- {id: a, wait: {for: 1s}, rollback: auto}\n", ["PLN403"]),
    ],
)
def test_the_way_back(text: str, expected: list[str]) -> None:
    assert codes(loaded(plan(text))) == expected


def test_a_plan_of_many_steps_in_a_row_is_no_trouble() -> None:
    names = {f"s{number}": None for number in range(500)}
    assert codes(loaded(plan(steps(**names)))) == []


def test_parameters_are_checked_where_templates_use_them() -> None:
    path = "/{{ params.versoin }}{{ params['shop'] }}"
    step = f"- id: a\n  http:\n    connection: a\n    path: {path}\n"
    result = loaded(plan(step, "parameters: {version: {type: string}}\n"))
    assert told(result) == [
        ("PLN310", "the plan declares no parameter 'shop'", "declared are: version"),
        ("PLN310", "the plan declares no parameter 'versoin'", "did you mean 'version'?"),
    ]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("{type: string, default: a}", []),
        ("{type: string, default: 1}", ["PLN402"]),
        ("{type: integer, default: true}", ["PLN402"]),
        ("{type: integer, default: 5, maximum: 4}", ["PLN402"]),
        ("{type: number, default: 1}", []),
        ("{type: string, default: c, enum: [a, b]}", ["PLN402"]),
        ("{type: integer, default: 1, enum: [true]}", ["PLN402"]),
        ("{type: string, default: null}", []),
        ("{type: string, default: ab, max_length: 1}", ["PLN402"]),
        ("{type: string, pattern: '(a+)+$', default: " + "a" * 60 + "!}", []),
    ],
)
def test_defaults_fit_their_parameters(parameter: str, expected: list[str]) -> None:
    assert codes(loaded(plan(spec=f"parameters: {{x: {parameter}}}\n"))) == expected


@pytest.mark.parametrize(
    ("step", "parameter", "expected"),
    [
        ("shell: {command: 'ls {{ params.x }}'}", "{type: string}", ["PLN505"]),
        ("shell: {command: [ls, '{{ params.x }}']}", "{type: string}", []),
        ("shell: {command: 'ls {{ params.x }}'}", "{type: string, pattern: '^a$'}", []),
        ("shell: {command: 'ls {{ params.x }}'}", "{type: integer}", []),
        ("sql: {connection: a, statement: 'SELECT {{ params.x }}'}", "{type: string}", ["PLN504"]),
        ("sql: {connection: a, statement: 'SELECT %(x)s', parameters: {x: '{{ params.x }}'}}",
         "{type: string}", []),
    ],
)  # fmt: skip
def test_text_of_whoever_starts_the_plan(step: str, parameter: str, expected: list[str]) -> None:
    text = plan(f"- id: a\n  {step}\n  rollback: none\n", f"parameters: {{x: {parameter}}}\n")
    assert codes(loaded(text)) == expected
