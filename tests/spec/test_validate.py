"""What is said about a document that does not fit its model."""

from __future__ import annotations

import pytest

from tests.spec.specs import codes, loaded, plan, told


def test_a_misspelt_key_explains_the_missing_one() -> None:
    result = loaded(plan("- id: check\n  http: {connektion: sandbox}\n"))
    assert told(result) == [
        ("PLN202", "unknown key 'connektion' in http", "did you mean 'connection'?")
    ]


def test_a_misspelt_key_does_not_explain_another() -> None:
    result = loaded(plan("- id: check\n  http: {pth: /}\n"))
    assert codes(result) == ["PLN203", "PLN202"] or codes(result) == ["PLN202", "PLN203"]


def test_everything_in_one_pass() -> None:
    result = loaded(
        plan(
            """\
            - id: one
              http: {connection: sandbox, method: get}
            - id: two
              shell: {command: 3}
            - id: three
              after: [won]
              wait: {for: 5}
            - id: two
              verify: {}
              colour: blue
            """,
            "schedule: {cron: 0 2 * *}\nguards: {slos: [fast]}\n",
        )
    )
    assert sorted(codes(result)) == [
        "PLN201", "PLN202", "PLN204", "PLN221", "PLN225", "PLN230", "PLN302", "PLN303", "PLN306",
        "PLN404",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("shell: {command: 3}", "text or a list is expected here, not the number 3"),
        ("shell: {command: [date, 3]}", "text is expected here, not the number 3"),
        ("verify: {sql: [{connection: a, statement: s, expect: {value: {min: x}}}]}",
         "a number is expected here, not the text 'x'"),
        ("wait: {until: tomorrow}", "'tomorrow' is not a moment such as 2026-11-01T00:00Z"),
        ("http: {connection: a, headers: {X: 1}}", "text is expected here, not the number 1"),
        ("http: {connection: a, expect: {status: [99]}}",
         "99 is not allowed here: it must be at least 100"),
        ("http: [a]", "a mapping is expected here, not a list"),
        ("http: {connection: a, expect: {status: []}}", "this must not be empty"),
    ],
)  # fmt: skip
def test_one_sentence_for_a_wrong_value(step: str, message: str) -> None:
    result = loaded(plan(f"- id: check\n  {step}\n  rollback: none\n"))
    assert [found.message for found in result.diagnostics] == [message]


def test_rollback_is_judged_as_what_it_was_meant_to_be() -> None:
    word = loaded(plan("- id: a\n  shell: {command: [a]}\n  rollback: atuo\n"))
    assert told(word) == [("PLN204", "'atuo' is not one of: auto, none", "did you mean 'auto'?")]
    action = loaded(plan("- id: a\n  shell: {command: [a]}\n  rollback: {shell: {comand: [b]}}\n"))
    assert told(action) == [("PLN202", "unknown key 'comand' in shell", "did you mean 'command'?")]


def test_a_misplaced_key_is_sent_to_its_place() -> None:
    result = loaded(plan("- id: check\n  http: {connection: a, timeout: 5s, after: []}\n"))
    assert told(result) == [
        (
            "PLN202",
            "unknown key 'after' in http",
            "'after' belongs further out, beside 'http'; check the indentation",
        )
    ]


def test_an_action_without_a_value_is_not_said_to_be_no_action() -> None:
    assert codes(loaded(plan("- id: check\n  http:\n"))) == ["PLN208"]


def test_null_is_a_value_where_any_value_is() -> None:
    result = loaded(plan(spec="parameters: {note: {type: string, default: null}}\n"))
    assert not result.diagnostics


def test_secrets_are_not_echoed() -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    result = loaded(plan(f"- id: check\n  http: {{connection: a, method: {token}}}\n"))
    assert codes(result) == ["PLN204", "PLN501"]
    assert not any(token in f"{found.message}{found.hint}" for found in result.diagnostics)


def test_long_values_are_shortened() -> None:
    result = loaded(plan(f"- id: check\n  http: {{connection: a, method: {'x' * 500}}}\n"))
    assert len(result.diagnostics[0].message) < 150


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ("kind: Plan", "PLN203"),
        ("apiVersion: planner/v1", "PLN203"),
        ("apiVersion: planner/v2\nkind: Plan", "PLN210"),
        ("apiVersion: openslo/v2alpha\nkind: SLO", "PLN210"),
        ("apiVersion: openslo.com/v2alpha\nkind: SLO", "PLN210"),
        ("apiVersion: planner/v1\nkind: SLO", "PLN209"),
        ("apiVersion: openslo/v1\nkind: Plan", "PLN209"),
        ("apiVersion: [planner/v1]\nkind: Plan", "PLN210"),
        ("apiVersion: planner/v1\nkind: {a: b}", "PLN209"),
        ("just text", "PLN211"),
    ],
)
def test_the_head_of_a_document(head: str, code: str) -> None:
    assert codes(loaded(head + "\n")) == [code]
