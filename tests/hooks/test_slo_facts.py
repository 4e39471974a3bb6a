"""SLOs measured with a real Prometheus, and with servers and databases that answer badly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from planner_provider.decide.replay import replay
from planner_provider.decide.slo import SloRules
from planner_provider.graph.slos import Indicator, Query, Slo, SloTarget
from planner_provider.hooks import prometheus as client
from planner_provider.hooks.slo_facts import Look, look_at
from tests.hooks.http_server import Asked, Reply, http_server
from tests.hooks.played_prometheus import answer, played
from tests.hooks.prometheus_server import DAY, Series, counter, prometheus_with

HOUR = 3600


def requests(service: str, good: Callable[[float], float], bad: Callable[[float], float],
             **more: Any) -> list[Series]:  # fmt: skip
    name = "http_requests_total"
    return [
        counter(name, good, service=service, code="200", pod="a", **more),
        counter(name, bad, service=service, code="500", pod="a", **more),
    ]


def ratio_rule(name: str, value: float, **labels: str) -> list[Series]:
    return [
        Series(name.format(span), labels, lambda age: value, since=HOUR)
        for span in ("5m", "30m", "1h", "6h", "3d")
    ]


def is_day(age: float) -> bool:
    return age % DAY < DAY / 2


SERIES = [
    *requests("healthy", lambda age: 10, lambda age: 0.005),
    *requests("burning", lambda age: 10, lambda age: 5 if age < 2 * HOUR else 0),
    *requests("mended", lambda age: 10, lambda age: 5 if HOUR / 4 < age < 2 * HOUR else 0),
    *requests("waves", lambda age: 100 if is_day(age) else 5,
              lambda age: 5 if 10 * DAY < age < 10 * DAY + 2 * HOUR else 0),
    *requests("stale", lambda age: 10, lambda age: 0.005, until=240),
    *requests("gone", lambda age: 10, lambda age: 0.005, until=900),
    *requests("quiet", lambda age: 0.0005, lambda age: 0),
    counter("http_requests_total", lambda age: 10, service="flawless", code="200"),
    *requests("sloth", lambda age: 10, lambda age: 0),
    *ratio_rule("slo:sli_error:ratio_rate{}", 0.5, sloth_id="sloth-availability"),
    *requests("twins", lambda age: 10, lambda age: 0),
    *ratio_rule("slo:sli_error:ratio_rate{}", 0.5, sloth_id="twins-availability", replica="1"),
    *ratio_rule("slo:sli_error:ratio_rate{}", 0.5, sloth_id="twins-availability", replica="2"),
    *requests("pyrra", lambda age: 10, lambda age: 0),
    *ratio_rule("http_requests:burnrate{}", 0.5, slo="pyrra-availability"),
    Series("queue_seconds", {"service": "slow"}, lambda age: 9.0 if age < 2 * HOUR else 1.0),
    Series("queue_seconds", {"service": "quick"}, lambda age: 1.0),
    Series("error_ratio", {"service": "quick"}, lambda age: 0.0001),
    Series("error_ratio", {"service": "slow"}, lambda age: 0.5 if age < 2 * HOUR else 0.0),
    Series("error_ratio", {"service": "nan"}, lambda age: float("nan")),
    Series("queue_seconds", {"service": "two", "pod": "a"}, lambda age: 1.0),
    Series("queue_seconds", {"service": "two", "pod": "b"}, lambda age: 1.0),
]  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERIES) as url:
        yield url


@pytest.fixture
def prom(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW_CONN_PROM", address)
    client.forget_connections()
    yield
    client.forget_connections()


def query(text: str) -> Query:
    return Query(source="prometheus", connection="prom", text=text)


def slo(service: str, kind: str = "good", **more: Any) -> Slo:
    codes = 'code!~"5.."' if kind == "good" else 'code=~"5.."'
    indicator = Indicator(
        kind=kind,
        query=query(f'http_requests_total{{service="{service}",{codes}}}'),
        total=query(f'http_requests_total{{service="{service}"}}'),
    )
    values: dict[str, Any] = {
        "name": f"{service}-availability",
        "service": service,
        "targets": (SloTarget(target=0.99),),
        "window": timedelta(days=30),
        "indicator": indicator,
    }
    return Slo(**(values | more))


def measured(service: str, kind: str, text: str, **more: Any) -> Slo:
    return slo(service, indicator=Indicator(kind=kind, query=query(text), counter=False, **more))


def look(*slos: Slo, **rules: Any) -> Look:
    seen = look_at(slos, SloRules(**rules))
    assert replay(seen.decision).equal
    return seen


def measure(seen: Look, name: str) -> float:
    value = next(m.value for m in seen.verdict.measures if m.name.endswith(f": {name}"))
    assert value is not None, seen.told()
    return value


@pytest.mark.usefixtures("prom")
@pytest.mark.parametrize("kind", ["good", "bad"])
def test_healthy(kind: str) -> None:
    seen = look(slo("healthy", kind))
    assert seen.verdict.passes, seen.verdict.text
    for span, seconds in {"5m": 300, "1h": HOUR, "3d": 3 * DAY, "30d": 30 * DAY}.items():
        assert measure(seen, f"all in {span}") == pytest.approx(10.005 * seconds, rel=0.01)
        assert measure(seen, f"bad in {span}") == pytest.approx(0.005 * seconds, rel=0.02)
    assert measure(seen, "budget left") == pytest.approx(0.95, abs=0.005)
    assert "from raw queries" in "\n".join(seen.told())


@pytest.mark.usefixtures("prom")
@pytest.mark.parametrize("kind", ["good", "bad"])
def test_burning(kind: str) -> None:
    seen = look(slo("burning", kind), in_progress=True)
    assert seen.verdict.kind.value == "roll_back"
    assert measure(seen, "burn rate in 1h") == pytest.approx(100 / 3, rel=0.02)
    assert measure(seen, "burn rate in 5m") == pytest.approx(100 / 3, rel=0.02)


@pytest.mark.usefixtures("prom")
def test_mended_is_no_breach_of_the_quick_pair() -> None:
    seen = look(slo("mended"), min_remaining=None)
    assert measure(seen, "burn rate in 1h") > 14.4
    assert measure(seen, "burn rate in 5m") == 0
    assert not any("in 1h and" in reason.text for reason in seen.verdict.reasons)


@pytest.mark.usefixtures("prom")
def test_the_budget_weighs_events() -> None:
    """Two hours of 5 bad a second, in what was 100/s by day and 5/s by night for 30 days."""
    seen = look(slo("waves"))
    bad, total = 2 * HOUR * 5, 15 * DAY * 105 + 2 * HOUR * 5
    assert measure(seen, "budget left") == pytest.approx(1 - bad / total / 0.01, abs=0.003)


@pytest.mark.usefixtures("prom")
@pytest.mark.parametrize(
    ("unknown", "code", "said"),
    [
        (slo("nowhere"), "unknown", "no series"),
        (slo("nowhere", "bad"), "unknown", "no series"),
        (slo("flawless", "bad"), "unknown", "the number of bad events is not known"),
        (slo("stale"), "stale", "s old, and may be at most 180 s old"),
        (slo("gone"), "unknown", "no series"),
        (slo("quiet"), "too_few_events", "too few to judge by"),
        (measured("nan", "raw_failure", 'error_ratio{service="nan"}'), "unknown", "nan"),
        (
            measured("two", "threshold", 'queue_seconds{service="two"}', op="lt", limit=5.0),
            "unknown",
            "2 series where one is needed",
        ),
        (measured("x", "threshold", "sum(up", op="lt", limit=5.0), "unknown", "parse error"),
        (measured("x", "threshold", "vector(1)", op="lt", limit=5.0), "unknown", "no series"),
    ],
)
def test_not_known_is_never_yes(unknown: Slo, code: str, said: str) -> None:
    for in_progress in (False, True):
        seen = look(unknown, in_progress=in_progress)
        assert seen.verdict.kind.value == "hold"
        assert seen.verdict.inconclusive
        assert code in {reason.code for reason in seen.verdict.reasons}, seen.verdict.text
        assert said in seen.verdict.text


@pytest.mark.usefixtures("prom")
def test_an_slo_may_say_that_no_series_of_bad_events_means_none() -> None:
    assert look(slo("flawless", "bad", missing_bad_is_zero=True)).verdict.passes
    assert look(slo("nowhere", "bad", missing_bad_is_zero=True)).verdict.inconclusive
    assert look(slo("gone", "bad", missing_bad_is_zero=True)).verdict.inconclusive


@pytest.mark.usefixtures("prom")
@pytest.mark.parametrize("tool", ["sloth", "pyrra"])
def test_recording_rules_give_the_ratio_but_never_the_budget(tool: str) -> None:
    """The rules here say that half fails; the raw series, that nothing does."""
    seen = look(slo(tool))
    assert seen.verdict.kind.value == "refuse"
    assert measure(seen, "burn rate in 1h") == pytest.approx(50)
    assert measure(seen, "budget left") == 1
    assert measure(seen, "all in 1h") == pytest.approx(10 * HOUR, rel=0.01)
    assert f"recording rules of {tool}" in "\n".join(seen.told())
    off = slo(tool, sloth_id="none", pyrra_slo="none")
    assert look(off).verdict.passes


@pytest.mark.usefixtures("prom")
def test_recording_rules_that_are_not_one_series_are_left_alone() -> None:
    seen = look(slo("twins"))
    assert seen.verdict.passes
    assert "recording rules" not in "\n".join(seen.told())


@pytest.mark.usefixtures("prom")
def test_threshold_metrics() -> None:
    for op, limit in (("lt", 5.0), ("lte", 1.0)):
        text = 'queue_seconds{service="quick"}'
        assert look(measured("quick", "threshold", text, op=op, limit=limit)).verdict.passes
    slow = look(
        measured("slow", "threshold", 'max(queue_seconds{service="slow"})', op="lt", limit=5.0)
    )
    assert slow.verdict.kind.value == "refuse"
    assert measure(slow, "burn rate in 1h") == pytest.approx(100)
    assert "samples" in slow.verdict.text
    above = look(
        measured("slow", "threshold", 'queue_seconds{service="slow"}', op="gte", limit=9.0)
    )
    assert measure(above, "burn rate in 1h") == 0


@pytest.mark.usefixtures("prom")
def test_raw_ratios() -> None:
    assert look(measured("quick", "raw_failure", 'error_ratio{service="quick"}')).verdict.passes
    failing = measured("quick", "raw_success", 'error_ratio{service="quick"}')
    assert look(failing).verdict.kind.value == "refuse"
    assert not look(measured("slow", "raw_failure", 'error_ratio{service="slow"}')).verdict.passes


@pytest.mark.usefixtures("prom")
def test_expressions_with_a_window() -> None:
    good = 'sum(increase(http_requests_total{service="healthy",code!~"5.."}[{{.window}}]))'
    total = 'sum(increase(http_requests_total{service="healthy"}[{{ .window }}]))'
    seen = look(
        slo("healthy", indicator=Indicator(kind="good", query=query(good), total=query(total)))
    )
    assert seen.verdict.passes, seen.verdict.text
    assert measure(seen, "all in 1h") == pytest.approx(10.005 * HOUR, rel=0.01)


@pytest.mark.usefixtures("prom")
def test_many_slos_in_one_look() -> None:
    seen = look(slo("healthy"), slo("burning"), slo("stale"))
    assert seen.verdict.kind.value == "refuse"
    assert any("burning-availability" in reason.text for reason in seen.verdict.reasons)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(client, "PAUSE", 0.01)
    monkeypatch.setattr(client.Prometheus.__init__, "__kwdefaults__", {
        "timeout": 0.5, "sleep": time.sleep})  # fmt: skip
    with http_server(played(answer())) as server:
        monkeypatch.setenv("AIRFLOW_CONN_PROM", f"http://ann:hunter22@127.0.0.1:{server.port}")
        client.forget_connections()
        yield server
    client.forget_connections()


def hang(asked: Asked) -> Reply:
    time.sleep(1)
    return Reply()


def test_the_played_server_is_healthy(fake: Any) -> None:
    assert look(slo("x")).verdict.passes
    assert len(fake.asked) == 2


BAD_ANSWERS: dict[str, Callable[[Asked], Reply]] = {
    "nothing": lambda asked: Reply(
        body=b'{"status":"success","data":{"resultType":"vector","result":[]}}'
    ),
    "duplicates": played(answer(), copies=2),
    "NaN": played(answer(good=float("nan"))),
    "infinite": played(answer(total=float("inf"))),
    "negative": played(answer(good=-1)),
    "numerator above denominator": played(answer(good=10_001)),
    "too few": played(answer(good=5, total=5)),
    "none": played(answer(good=0, total=0)),
    "half a JSON": lambda asked: Reply(body=played(answer())(asked).body[:-40]),
    "400": lambda asked: Reply(400),
    "401": lambda asked: Reply(401),
    "404": lambda asked: Reply(404),
    "422": lambda asked: Reply(422),
    "429": lambda asked: Reply(429),
    "500": lambda asked: Reply(500),
    "503": lambda asked: Reply(503),
    "time-out": hang,
    "login page": lambda asked: Reply(302, b"", {"Location": "https://login.example.com/"}),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_answers_are_inconclusive(fake: Any, case: str) -> None:
    fake.answer = BAD_ANSWERS[case]
    seen = look(slo("x"), in_progress=True)
    assert seen.verdict.kind.value == "hold"
    assert seen.verdict.inconclusive
    assert "hunter22" not in "\n".join(seen.told()) + seen.decision.inputs


def test_stale_by_the_samples_own_time(fake: Any) -> None:
    fake.answer = played(answer(age=170))
    assert look(slo("x")).verdict.passes
    fake.answer = played(answer(age=200))
    assert look(slo("x")).verdict.reasons[0].code == "stale"
    assert look(slo("x", max_age=timedelta(minutes=5))).verdict.passes


def test_a_missing_connection_is_inconclusive() -> None:
    nowhere = Query(source="prometheus", connection="nowhere", text="x_total")
    seen = look(slo("x", indicator=Indicator(kind="good", query=nowhere, total=nowhere)))
    assert seen.verdict.inconclusive
    assert "airflow connections add nowhere" in seen.verdict.text
