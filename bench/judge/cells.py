"""The cells of the benchmark."""

from __future__ import annotations

from dataclasses import replace

from bench.judge.scenarios import DAY, QUIET, Cell, Fault, Noise, World

SIX = 360
HOUR = 60
AR5, AR8, AR9 = (Noise(0.2, rho) for rho in (0.5, 0.8, 0.9))
HISTORIES = {"24 h": DAY, "6 h": SIX, "1 h": HOUR, "none": 0}
PLAIN = World()


def _noisy(noise: Noise, world: World = PLAIN) -> World:
    return replace(world, noise=noise)


def _latency(noise: Noise) -> World:
    return World(noise=noise, latency=True)


NULLS: tuple[Cell, ...] = (
    *(
        Cell(f"{name}, history {label}", _noisy(noise), history=minutes)
        for name, noise in (("iid", QUIET), ("AR .5", AR5), ("AR .8", AR8), ("AR .9", AR9))
        for label, minutes in HISTORIES.items()
    ),
    Cell("AR .8, history iid", _noisy(AR8), history_noise=QUIET),
    Cell("AR .9, history iid", _noisy(AR9), history_noise=QUIET),
    Cell("AR .9, history AR .5 sd .1", _noisy(AR9), history_noise=Noise(0.1, 0.5)),
    Cell("AR .9, history AR .8 sd .13", _noisy(AR9), history_noise=Noise(0.13, 0.8)),
    Cell("AR .9, history AR .8 sd .13, 6 h", _noisy(AR9), history=SIX,
         history_noise=Noise(0.13, 0.8)),
    Cell("AR .9, 1000 rps, history iid", _noisy(AR9, World(rps=1000)), history_noise=QUIET),
    Cell("AR .9, share 10%, history iid", _noisy(AR9, World(share=0.1)), history_noise=QUIET),
    Cell("AR .9, 1000 rps", _noisy(AR9, World(rps=1000)), history=SIX),
    Cell("AR .9 sd .3", _noisy(Noise(0.3, 0.9)), history=SIX),
    Cell("common AR .9", World(common=AR9), history=SIX),
    Cell("AR .9, history of the baseline alone", _noisy(AR9), baseline_alone=True),
    Cell("AR .9, iid history of the baseline alone", _noisy(AR9), history_noise=QUIET,
         baseline_alone=True),
    Cell("AR .9, own and common, history iid", World(noise=AR9, common=AR9), history_noise=QUIET,
         history_common=QUIET),
    Cell("diurnal", World(diurnal=True)),
    Cell("AR .9, diurnal", World(noise=AR9, diurnal=True)),
    Cell("AR .9, diurnal, history without noise", World(noise=AR9, diurnal=True),
         history_noise=QUIET),
    Cell("AR .9, diurnal, history 6 h without noise", World(noise=AR9, diurnal=True), history=SIX,
         history_noise=QUIET),
    Cell("diurnal and AR .8", World(diurnal=True, noise=AR8)),
    Cell("low traffic (.5 rps)", World(rps=0.5), history=SIX),
    Cell("low traffic (.5 rps), no history", World(rps=0.5), history=0),
    Cell("20% of scrapes missing", World(missing=0.2), history=SIX),
    Cell("20% of scrapes missing, AR .8", World(missing=0.2, noise=AR8), history=SIX),
    Cell("20 metrics", World(metrics=20), history=SIX),
    Cell("20 metrics, AR .8", World(metrics=20, noise=AR8), history=SIX),
    Cell("tiny units (5e-9 bad)", World(base=5e-9, rps=1e8), history=SIX),
    Cell("share 1%", World(share=0.01), history=SIX),
    Cell("share 5%, AR .8", World(share=0.05, noise=AR8), history=SIX),
    Cell("gamma noise, shape 10", _noisy(Noise(10**-0.5, 0, "gamma")), history=SIX),
    Cell("t3 noise", _noisy(Noise(0.2, 0, "t3")), history=SIX),
    Cell("latency", _latency(QUIET), history=SIX),
    Cell("latency, AR .8 sd .05", _latency(Noise(0.05, 0.8)), history=SIX),
    Cell("latency, AR .8 sd .05, history iid", _latency(Noise(0.05, 0.8)), history_noise=QUIET),
)  # fmt: skip
"""Nothing is wrong: every roll back is false."""

BEYOND: tuple[Cell, ...] = (
    Cell("AR .9 sd .3, history iid", _noisy(Noise(0.3, 0.9)), history_noise=QUIET),
    Cell("AR .9 sd .3, no history", _noisy(Noise(0.3, 0.9)), history=0),
    Cell("AR .98, history iid", _noisy(Noise(0.2, 0.98)), history_noise=QUIET),
    Cell("latency, AR .9 sd .1, history iid", _latency(Noise(0.1, 0.9)), history_noise=QUIET),
)
"""Healthy, but in noise beyond what the judge promises to stand without history that shows it.
Measured and shown, not part of the summary."""


def _errors(
    name: str, times: float, world: World = PLAIN, onset: int = 0, history: int = DAY
) -> Cell:
    return Cell(name, world, Fault(times=times, onset=onset), history)


FAULTS: tuple[Cell, ...] = (
    *(_errors(f"{times:g}x", times) for times in (1.2, 1.5, 2.0, 3.0, 5.0, 8.0)),
    _errors("2x, history 1 h", 2, history=HOUR),
    _errors("2x, no history", 2, history=0),
    _errors("3x, no history", 3, history=0),
    *(_errors(f"{times:g}x from minute 30", times, onset=30) for times in (1.5, 2.0, 3.0)),
    _errors("2x, AR .5", 2, _noisy(AR5)),
    *(_errors(f"{times:g}x, AR .8", times, _noisy(AR8)) for times in (1.5, 2.0, 3.0)),
    *(
        _errors(f"{times:g}x from minute 30, AR .8", times, _noisy(AR8), onset=30)
        for times in (2.0, 3.0)
    ),
    *(_errors(f"{times:g}x, AR .9", times, _noisy(AR9)) for times in (2.0, 3.0)),
    _errors("2x, AR .9, no history", 2, _noisy(AR9), history=0),
    _errors("2x from minute 30, AR .9", 2, _noisy(AR9), onset=30),
    _errors("2x, diurnal", 2, World(diurnal=True)),
    _errors("2x, 20% of scrapes missing", 2, World(missing=0.2), history=SIX),
    _errors("2x, share 5%", 2, World(share=0.05)),
    _errors("3x, share 1%", 3, World(share=0.01)),
    _errors("8x, low traffic (.5 rps)", 8, World(rps=0.5)),
    _errors("2x, tiny units (5e-9 bad)", 2, World(base=5e-9, rps=1e8), history=SIX),
    _errors("2x in one of 20 metrics", 2, World(metrics=20), history=SIX),
    Cell("2x, history of the baseline alone", PLAIN, Fault(times=2), baseline_alone=True),
    Cell(
        "2x, AR .9, history of the baseline alone", _noisy(AR9), Fault(times=2), baseline_alone=True
    ),
    Cell("one of 4 pods 8x", PLAIN, Fault(times=8, pods=1)),
    Cell("latency 1.2x", _latency(QUIET), Fault(slower=1.2), SIX),
    Cell("latency 1.2x, AR .8 sd .05", _latency(Noise(0.05, 0.8)), Fault(slower=1.2), SIX),
    Cell("latency 1.2x from minute 30", _latency(QUIET), Fault(slower=1.2, onset=30), SIX),
    Cell("latency spread 1.2x", _latency(QUIET), Fault(spread=1.2), SIX),
)
"""The canary is worse, in one metric."""

# With the worst null of either judge, so that both are held to what they are in the full run.
QUICK_NULLS = (
    "iid, history 24 h", "iid, history none", "AR .8, history 6 h", "AR .9, history 6 h",
    "AR .9, history none", "AR .9, history iid", "AR .9, 1000 rps",
    "AR .9, own and common, history iid", "diurnal", "low traffic (.5 rps)",
    "20% of scrapes missing", "tiny units (5e-9 bad)", "20 metrics",
)  # fmt: skip
QUICK_FAULTS = (
    "1.2x", "1.5x", "2x", "3x", "8x", "2x from minute 30", "2x, AR .8", "3x, AR .8",
    "3x from minute 30, AR .8", "2x, AR .9", "2x, share 5%", "8x, low traffic (.5 rps)",
    "one of 4 pods 8x", "latency 1.2x",
)  # fmt: skip
