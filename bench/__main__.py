"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys

from bench import compile as compile_bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="CPU time of loading plans as DAGs")
    compiling.add_argument("--quick", action="store_true", help="10 and 50 plans instead of 1000")
    compiling.add_argument("--json", action="store_true", help="JSON on standard output")
    compiling.add_argument("--repeat", type=int, default=3, help="measurements of each (default 3)")
    compiling.add_argument(
        "--plans", type=int, nargs="+", metavar="N", help="numbers of plans, instead of the usual"
    )
    gating = commands.add_parser("gates", help="1,000 SLO gates that wait in one triggerer")
    gating.add_argument("--quick", action="store_true", help="a look every 5 s instead of 15 s")
    gating.add_argument("--json", action="store_true", help="JSON on standard output")
    locking = commands.add_parser("locks", help="taking and giving back locks in the ledger")
    locking.add_argument("--quick", action="store_true", help="1 and 8 contenders only")
    locking.add_argument("--json", action="store_true", help="JSON on standard output")
    judging = commands.add_parser("judge", help="false alarms, power and delay of the canary judge")
    judging.add_argument("--quick", action="store_true", help="fewer cells and runs (2 minutes)")
    judging.add_argument("--json", action="store_true", help="JSON on standard output")
    judging.add_argument("--seed", type=int, help="of the simulation; a fresh one if not given")
    filling = commands.add_parser("backfill", help="throttled backfills: the law, and in Airflow")
    filling.add_argument("--quick", action="store_true", help="simulated only, and less of it")
    filling.add_argument("--json", action="store_true", help="JSON on standard output")
    filling.add_argument("--seed", type=int, help="of the simulation; a fresh one if not given")
    filling.add_argument("--only", choices=("simulated", "real"), help="one of the two parts")
    opening = commands.add_parser("windows", help="how fast a calendar says when it is open")
    opening.add_argument("--quick", action="store_true", help="fewer moments and years")
    opening.add_argument("--json", action="store_true", help="JSON on standard output")
    viewing = commands.add_parser("ui", help="what the Plans page and its polling cost")
    viewing.add_argument("--quick", action="store_true", help="200 runs, and fewer questions")
    viewing.add_argument("--json", action="store_true", help="JSON on standard output")
    given = parser.parse_args()
    if given.command == "ui":
        from bench import ui

        return ui.run(ui.QUICK if given.quick else ui.FULL, as_json=given.json)
    if given.command == "windows":
        from bench import windows

        return windows.run(windows.QUICK if given.quick else windows.FULL, as_json=given.json)
    if given.command == "backfill":
        from bench import backfill

        return backfill.run(quick=given.quick, as_json=given.json, seed=given.seed, only=given.only)
    if given.command == "judge":
        from bench import judge

        return judge.run(quick=given.quick, as_json=given.json, seed=given.seed)
    if given.command == "locks":
        from bench import locks

        contenders = locks.QUICK if given.quick else locks.FULL
        rounds = locks.QUICK_ROUNDS if given.quick else locks.ROUNDS
        return locks.run(contenders, rounds=rounds, as_json=given.json)
    if given.command == "gates":
        from bench import gates

        return gates.run(gates.QUICK if given.quick else gates.FULL, as_json=given.json)
    if given.repeat < 1 or any(count < 1 for count in given.plans or ()):
        parser.error("--repeat and --plans take numbers from 1 upwards")
    counts = given.plans or (compile_bench.QUICK if given.quick else compile_bench.FULL)
    return compile_bench.run(tuple(sorted(set(counts))), repeat=given.repeat, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
