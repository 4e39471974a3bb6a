"""The commands of runbooks are run by a real shell, with curl and kubectl replaced by echoes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner_provider.graph.commands import Connections, commands, shell_word
from planner_provider.graph.runbook import code, escape, render_runbook
from planner_provider.spec.plan import ActionHolder
from tests.graph.plans import every_field, graph_of, put, small, undo

BASH = shutil.which("bash") or ""
ECHO = """
say() { printf '%s\\0' "$@"; }
curl() { say "$@"; }
kubectl() { say "$@"; }
tool() { say "$@"; }
"""


def run_bash(text: str, **variables: str) -> list[str]:
    """What the command is called with."""
    ended = subprocess.run(
        [BASH, "-eu", "-c", ECHO + text], env=variables, capture_output=True, check=True
    )
    return ended.stdout.decode().split("\0")[:-1]


def typed(action: dict[str, Any], **variables: str) -> list[str]:
    found = commands(ActionHolder.model_validate(action), Connections(), "plan-step_1")
    assert len(found) == 1
    assert found[0].language == "bash"
    return run_bash(found[0].text, **variables)


HARD = """a "b" 'c' $d `e` \\ !f {g} é"""


def test_curl() -> None:
    argv = typed(
        {
            "http": {
                "connection": "shop-api",
                "method": "PUT",
                "path": "/w?v={{ params.version }}&x=1",
                "headers": {"X-Why": HARD},
                "body": {"hard": HARD, "version": "{{ params.version }}", "n": 1},
                "timeout": "90s",
            }
        },
        SHOP_API_URL="https://shop.example.com",
        PARAM_VERSION="1.4",
    )
    assert argv[:4] == ["-sS", "-X", "PUT", "https://shop.example.com/w?v=1.4&x=1"]
    assert f"X-Why: {HARD}" in argv
    assert "Content-Type: application/json" in argv
    body = json.loads(argv[argv.index("--data-raw") + 1])
    assert body == {"hard": HARD, "version": "1.4", "n": 1}
    assert argv[argv.index("--max-time") + 1] == "90"


def test_curl_of_text_and_of_head() -> None:
    text = typed({"http": {"connection": "a", "method": "POST", "body": HARD}}, A_URL="u")
    assert text[text.index("--data-raw") + 1] == HARD
    assert not any("Content-Type" in part for part in text)
    assert typed({"http": {"connection": "a", "method": "HEAD"}}, A_URL="u")[1] == "--head"


def test_kubectl() -> None:
    argv = typed(
        {
            "pod": {
                "connection": "k8s",
                "image": "tools:{{ params['version'] }}",
                "namespace": "shop",
                "command": ["run", HARD],
                "args": ["--v={{ params.version }}"],
                "env": {"HARD": HARD},
                "labels": {"app": "tools"},
                "service_account": "sa",
                "resources": {"cpu": "1", "memory_limit": "1Gi"},
            }
        },
        K8S_CONTEXT="prod",
        PARAM_VERSION="9",
    )
    assert argv[:4] == ["--context", "prod", "run", "plan-step-1"]
    assert "--image=tools:9" in argv
    assert f"--env=HARD={HARD}" in argv
    assert argv[argv.index("--") :] == ["--", "run", HARD, "--v=9"]
    overrides = next(part for part in argv if part.startswith("--overrides="))
    spec = json.loads(overrides.partition("=")[2])["spec"]
    assert spec["serviceAccountName"] == "sa"
    assert spec["containers"] == [
        {
            "name": "plan-step-1",
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        }
    ]


def test_shell() -> None:
    assert typed({"shell": {"command": ["tool", HARD, "{{ params.v }}"]}}, PARAM_V="$x") == [
        HARD,
        "$x",
    ]
    text = 'tool "$REGION" | cat'
    assert typed({"shell": {"command": text, "env": {"REGION": HARD}}}, PATH="/usr/bin:/bin") == [
        HARD
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=5))
def test_words_reach_a_shell_as_they_are(words: list[str]) -> None:
    joined = "{{ params.x }}".join(words)
    expected = "V*$".join(words)
    for text, value in ((joined, expected), ("".join(words), "".join(words))):
        assert run_bash(f"say {shell_word(text)}", PARAM_X="V*$") == [value]


def test_backfill_of_a_dag() -> None:
    action = {
        "dag": "orders", "from": "{{ params.begin }}", "to": "2026-11-08T00:00Z",
        "order": "newest_first", "reprocess": "failed", "conf": {"reason": "an 'outage'"},
        "throttle": {"start": 2},
    }  # fmt: skip
    found = commands(
        ActionHolder.model_validate({"backfill": action}), Connections(), "plan-step_1"
    )
    assert len(found) == 1
    said = run_bash('airflow() { say "$@"; }\n' + found[0].text, PARAM_BEGIN="2026-11-01T00:00Z")
    assert said == [
        "backfill", "create", "--dag-id", "orders",
        "--from-date", "2026-11-01T00:00Z", "--to-date", "2026-11-08T00:00:00+00:00",
        "--max-active-runs", "2", "--reprocess-behavior", "failed",
        "--dag-run-conf", json.dumps({"reason": "an 'outage'"}), "--run-backwards",
    ]  # fmt: skip
    assert "give the last date before" in found[0].lead


def test_connections_never_share_a_variable() -> None:
    known = Connections()
    names = [known.variable("http", name) for name in ("a-b", "a.b", "a_b", "1x", "a-b")]
    assert names == ["A_B_URL", "A_B_URL_2", "A_B_URL_3", "C_1X_URL", "A_B_URL"]


def runbook(*steps: dict[str, Any], **spec: Any) -> str:
    return render_runbook(graph_of(small(*steps, **spec)))


def test_rollback_is_in_reverse_order() -> None:
    text = runbook(put("a", rollback=undo("/a")), put("b", rollback=undo("/b")), put("c"))
    back = text.partition("## Roll back")[2]
    assert back.index("### 1. Undo b") < back.index("### 2. Undo a")
    assert "- [ ] c: PUT /a on connection api" in back


def test_fences_hold_whatever_is_in_them() -> None:
    text = runbook({"id": "a", "shell": {"command": "echo '\n```\n# not a heading\n'"}})
    fence = next(line for line in text.splitlines() if line.startswith("````"))
    assert fence == "````bash"


def test_every_fence_of_a_full_runbook_is_closed() -> None:
    text = render_runbook(graph_of(every_field()))
    fences = [line for line in text.splitlines() if re.match(r"`{3,}", line)]
    assert len(fences) % 2 == 0
    assert all(line.strip("`") for line in fences[::2]), "opening fences name a language"
    assert not any(line.strip("`") for line in fences[1::2])
    assert "- [ ] SLO shop-availability is healthy." in text


@pytest.mark.parametrize("text", ["a`b", "``", "plain", "`"])
def test_code_shows_backticks(text: str) -> None:
    fence = re.match(r"`+", code(text))
    assert fence is not None
    assert code(text).strip("`").strip(" ") == text.strip("`") or "`" in text
    assert fence.group() not in text


def test_escape() -> None:
    assert escape("*a*\n<b> [c](d) #e") == r"\*a\* \<b\> \[c\](d) \#e"
