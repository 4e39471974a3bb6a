"""False alarms, power and delay of the canary judge, beside others: ``python -m bench judge``."""

from bench.judge.benchmark import run

__all__ = ["run"]
