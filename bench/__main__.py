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
    given = parser.parse_args()
    if given.repeat < 1 or any(count < 1 for count in given.plans or ()):
        parser.error("--repeat and --plans take numbers from 1 upwards")
    counts = given.plans or (compile_bench.QUICK if given.quick else compile_bench.FULL)
    return compile_bench.run(tuple(sorted(set(counts))), repeat=given.repeat, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
