"""Secrets in plain text are found, and what only looks like one is not."""

from __future__ import annotations

import time

import pytest

from planner_provider.spec.folder import SourceFile, load
from planner_provider.spec.output import render_github, render_json, render_sarif, render_text
from tests.spec.specs import codes, loaded, plan

RANDOM = "8f14e45fceea167a5a36dedd4bea2543"


def found(step: str) -> list[str]:
    return [
        code
        for code in codes(loaded(plan(f"- id: a\n  {step}\n  rollback: none\n")))
        if code == "PLN501"
    ]


@pytest.mark.parametrize(
    "step",
    [
        "shell: {command: [x], env: {DB_PASSWORD: correct-horse}}",
        "shell: {command: [x], env: {API_TOKEN: abcd1234}}",
        "shell: {command: 'curl -u admin:hunter22 https://example.com'}",
        "shell: {command: 'mysql --password=hunter22'}",
        "shell: {command: 'PGPASSWORD=hunter22 psql'}",
        f"shell: {{command: [curl, -H, 'Authorization: Bearer {RANDOM}']}}",
        "shell: {command: 'psql postgres://app:hunter22@db/shop'}",
        f"http: {{connection: a, headers: {{Authorization: Bearer {RANDOM}}}}}",
        "http: {connection: a, headers: {X-Api-Key: abcd1234}}",
        "http: {connection: a, method: POST, body: {client_secret: abcd1234}}",
        "http: {connection: a, method: POST, body: {user: {accessToken: abcd1234}}}",
        "operator: {path: a.B, arguments: {password: hunter22}}",
        f"shell: {{command: [x, ghp_{'a1B2' * 9}]}}",
        "shell: {command: [x, AKIAIOSFODNN7EXAMPLE]}",
        "shell: {command: [x, \"-----BEGIN RSA PRIVATE KEY-----\"]}",
        "notify: {message: x, to: [log]}\n  summary: https://a:bcdefg@example.com",
        f"pod: {{image: a, labels: {{note: xoxb-{'1' * 12}}}}}",
    ],
)  # fmt: skip
def test_secrets(step: str) -> None:
    assert found(step) == ["PLN501"]


@pytest.mark.parametrize(
    "step",
    [
        "shell: {command: [x], env: {DB_PASSWORD: '{{ conn.shop_db.password }}'}}",
        "shell: {command: [x], env: {DB_PASSWORD: '${DB_PASSWORD}'}}",
        "shell: {command: [x], env: {PASSWORD_FILE: /run/secrets/db}}",
        "shell: {command: [x], env: {SECRET_NAME: shop-db}}",
        "shell: {command: 'mysql --password=$PASSWORD'}",
        "shell: {command: 'psql postgres://app:{{ conn.db.password }}@db/shop'}",
        "http: {connection: a, headers: {Authorization: 'Bearer {{ var.value.token }}'}}",
        "http: {connection: a, path: '/users/me@example.com'}",
        "http: {connection: a, path: /tokens, method: POST, body: {tokens: 5}}",
        "pod: {image: 'registry.example.com/app@sha256:" + "a1" * 32 + "'}",
        "shell: {command: [git, checkout, 3b18e512dba79e4c8300dd08aeb37f8e728b8dad]}",
        "notify: {message: Change the password of the database}",
        "shell: {command: [ssh, git@example.com]}",
        "shell: {command: [x, 'https://example.com:8443/path@v1']}",
    ],
)  # fmt: skip
def test_no_secrets(step: str) -> None:
    assert found(step) == []


def test_the_default_of_a_parameter_that_is_a_password() -> None:
    spec = "parameters: {password: {type: string, default: hunter22}}\n"
    assert codes(loaded(plan(spec=spec))) == ["PLN501"]
    spec = "parameters: {password: {type: string, description: What you log in with}}\n"
    assert codes(loaded(plan(spec=spec))) == []


def test_openslo_connection_details() -> None:
    text = (
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: a}\n"
        "spec: {type: x, connectionDetails: {secretAccessKey: abcd1234}}\n"
    )
    assert codes(loaded(text)) == ["PLN501"]


@pytest.mark.parametrize(
    "line",
    [
        "env: {DB_PASSWORD: correct-horse}", "headers: {Authorization: 'Bearer abcdefgh12345678'}",
        "working_directory: postgres://app:correct-horse@db/shop", "password: correct-horse",
    ],
)  # fmt: skip
def test_no_output_shows_the_secret(line: str) -> None:
    text = plan(f"- id: a\n  shell:\n    command: [x]\n    {line}\n    colour: 1\n")
    file = SourceFile("a.yaml", text.encode())
    diagnostics = load([file]).diagnostics
    assert "PLN501" in {item.code for item in diagnostics}
    for shown in (
        render_text(diagnostics, [file]), render_json(diagnostics), render_sarif(diagnostics),
        render_github(diagnostics),
    ):  # fmt: skip
        assert "correct-horse" not in shown
        assert "abcdefgh12345678" not in shown


def test_a_secret_beside_another_error_is_not_shown() -> None:
    text = plan("- id: a\n  shell: {comand: [x], env: {DB_PASSWORD: correct-horse}}\n")
    file = SourceFile("a.yaml", text.encode())
    assert "correct-horse" not in render_text(load([file]).diagnostics, [file])


def test_no_pattern_runs_away() -> None:
    started = time.process_time()
    for part in (
        "a://",
        "Bearer ",
        "--password=x ",
        "eyJ",
        "x_",
        "https://a:",
        "-----BEGIN ",
        "A" * 40,
    ):
        loaded(plan(f"- id: a\n  shell: {{command: '{part * (90_000 // len(part))}'}}\n"))
    assert time.process_time() - started < 8
