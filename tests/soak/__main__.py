"""Soak an embedded cluster of its own; print the figures, and end with 1 if a law was broken.

    python -m tests.soak [--minutes M] [--seed N]

Each chapter deploys into a fresh namespace, does random things to it in a few rounds, waits after
each for everything to be as it was told to be, and deletes it. Writes build/soak.json.
"""

import argparse
import json
import logging
import signal
import sys
import tempfile
from pathlib import Path

from lab_utils.session import Lab
from lab_utils.settings import load_settings, project_root
from tests.soak.run import Soak

TARGET = "build/soak.json"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it too leaves nothing behind
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # more streams than a pool has places
    with tempfile.TemporaryDirectory(prefix="lab-soak-") as folder:
        settings = load_settings(backend="embedded", cluster="soak", state_dir=Path(folder))
        lab = Lab(settings)
        try:
            lab.up()
            lab.build_image()
            lab.load_image()
            figures = Soak(lab, options.seed, say=print).run(60 * options.minutes)
        finally:
            lab.down()
    target = project_root() / TARGET
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures.to_dict(), indent=1) + "\n")
    print("\n".join(figures.lines()))
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
