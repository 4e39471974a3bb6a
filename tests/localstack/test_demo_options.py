"""The demo's options come from the environment."""

from pathlib import Path

import pytest

from planner_provider.errors import MisconfiguredError
from planner_provider.localstack.demo import DEFAULT_PLAN, DemoOptions

ROOT = Path("repo")


def test_defaults() -> None:
    options = DemoOptions.read({}, ROOT, terminal=True)
    assert options == DemoOptions(root=ROOT, plan=DEFAULT_PLAN, once=False)


@pytest.mark.parametrize(
    ("env", "terminal", "once"),
    [({}, False, True), ({"ONCE": "1"}, True, True), ({"ONCE": "0"}, True, False)],
)
def test_it_stays_only_at_a_terminal(env: dict[str, str], terminal: bool, once: bool) -> None:
    assert DemoOptions.read(env, ROOT, terminal=terminal).once is once


def test_everything_can_be_set() -> None:
    env = {"PLAN": "p", "PORT": "18080", "KEEP_HOME": "h", "SPEED": "2.5", "SEED": "7"}
    options = DemoOptions.read(env, ROOT, terminal=True)
    assert (options.plan, options.port, options.speed, options.seed) == ("p", 18080, 2.5, 7)
    assert options.keep_home == Path("h").absolute()


@pytest.mark.parametrize("name", ["PORT", "SPEED", "SEED", "TIMEOUT"])
@pytest.mark.parametrize("text", ["x", "-1", "nan"])
def test_a_wrong_number_is_named(name: str, text: str) -> None:
    with pytest.raises(MisconfiguredError, match=f"{name}={text}: give a number"):
        DemoOptions.read({name: text}, ROOT, terminal=True)
