"""Sweep: play rounds, say each in one line, and end with 1 if anything was left.

python -m tests.sweep [--rounds N] [--seed N] [--first K]
"""

import argparse
import signal
import sys
import time
from collections import Counter

from tests.sweep.sweep import Sweep


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it too leaves nothing behind
    struck: Counter[str] = Counter()
    bad = 0
    began_s = time.monotonic()
    with Sweep(options.seed) as sweep:
        for number in range(options.first, options.first + options.rounds):
            plan = sweep.plan(number)
            found = sweep.play(plan)
            struck[f"{plan.victim} {plan.blow}"] += 1
            bad += bool(found)
            print(f"{plan}: {'; '.join(found) or 'ok'}", flush=True)
        print(f"{options.rounds} rounds, seed {options.seed}, {time.monotonic() - began_s:.0f} s")
        print(", ".join(f"{name} {count}" for name, count in struck.most_common()))
        print(f"{sweep.missed} strikes found nobody; rounds that left something: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
