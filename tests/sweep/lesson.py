"""A lesson as a learner's kernel runs it, step by step: what the sweep strikes at.

    python -m tests.sweep.lesson MANIFESTS

Says `step NAME` before each step and `done` after the last; a LabError is one line and exit code 1.
"""

import sys

from lab_utils.errors import LabError
from lab_utils.session import Lab

STEPS = ("up", "build", "load", "apply", "run", "down")
_RATE_RPS, _RUN_S = 20.0, 1.0


def run(lab: Lab, manifests: str) -> None:
    """Do every step, and say so before."""
    actions = {
        "up": lab.up,
        "build": lab.build_image,
        "load": lab.load_image,
        "apply": lambda: (lab.apply(manifests), lab.wait()),
        "run": lambda: lab.fire(rate_rps=_RATE_RPS, duration_s=_RUN_S, progress=False),
        "down": lab.down,
    }
    for name in STEPS:
        print(f"step {name}", flush=True)
        actions[name]()
    print("done", flush=True)


if __name__ == "__main__":
    try:
        run(Lab(), sys.argv[1])
    except LabError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        sys.exit(1)
