from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner_provider.sandbox import model
from planner_provider.sandbox.model import Act, Canary, ContradictionError, Flag, Service

VERSIONS = st.sampled_from(["1", "2", "3"])
SERVICES = st.builds(
    Service,
    name=st.just("checkout"),
    stable=VERSIONS,
    replicas=st.integers(0, 5),
    canary=st.none() | st.builds(Canary, version=VERSIONS, weight=st.integers(0, 100)),
)
Change = Callable[[Service], tuple[Service, Act]]
CHANGES: st.SearchStrategy[Change] = st.one_of(
    VERSIONS.map(lambda v: lambda s: model.put_canary(s, v)),
    st.integers(0, 100).map(lambda w: lambda s: model.put_weight(s, w, None)),
    VERSIONS.map(lambda v: lambda s: model.promote(s, v)),
    st.just(lambda s: model.remove_canary(s, None)),
    st.integers(0, 5).map(lambda n: lambda s: model.put_replicas(s, n)),
    VERSIONS.map(lambda v: lambda s: model.put_version(s, v)),
)


@given(SERVICES, CHANGES)
def test_the_same_change_twice_changes_nothing_the_second_time(
    service: Service, change: Change
) -> None:
    try:
        once, first = change(service)
    except ContradictionError:
        return
    twice, second = change(once)
    assert twice == once
    assert not second.effective
    assert first.effective == (once != service)


def test_promote_without_a_version_is_refused_the_second_time() -> None:
    service = Service("checkout", "1", 3, Canary("2", 50))
    promoted, act = model.promote(service, None)
    assert promoted == Service("checkout", "2", 3)
    assert (act.before, act.after) == ("1", "2")
    with pytest.raises(ContradictionError):
        model.promote(promoted, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: model.put_canary(s, "3"),
        lambda s: model.put_weight(s, 5, "3"),
        lambda s: model.promote(s, "3"),
        lambda s: model.remove_canary(s, "3"),
    ],
)
def test_the_canary_of_somebody_else_is_left_alone(change: Change) -> None:
    with pytest.raises(ContradictionError, match="2"):
        change(Service("checkout", "1", 3, Canary("2", 50)))


def test_weight_without_a_canary_contradicts() -> None:
    with pytest.raises(ContradictionError, match="no canary"):
        model.put_weight(Service("checkout", "1", 3), 5, None)


def test_promoting_the_version_that_is_stable_ends_an_a_a_test() -> None:
    promoted, act = model.promote(Service("checkout", "1", 3, Canary("1", 50)), "1")
    assert promoted.canary is None
    assert act.effective


def test_flag_keeps_what_is_left_out() -> None:
    new, act = model.put_flag(Flag("f", True, 25), "f", None, 50)
    assert (new.enabled, new.percentage) == (True, 50)
    assert (act.before, act.after, act.effective) == ("on 25%", "on 50%", True)
    same, again = model.put_flag(new, "f", True, 50)
    assert (same, again.effective) == (new, False)
    fresh, _ = model.put_flag(None, "g", True, None)
    assert str(fresh) == "on 100%"
    assert not model.remove_flag(None, "f").effective
