"""`python -m worker`: serve until SIGTERM, then end with exit code 0."""

import signal
import sys


def main() -> None:
    """Run one worker with the settings of the environment."""
    # Process 1 of a container ignores every signal it has no handler for. Under a CPU limit the
    # imports take seconds, and a pod deleted meanwhile would sit out its whole grace period.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    from pydantic import BaseModel

    # FastAPI's models of OpenAPI are built when /docs asks for them, and not at every start: 40 ms
    # of CPU and more than a MiB.
    BaseModel.model_config["defer_build"] = True

    from worker.server import run

    run()


if __name__ == "__main__":
    main()
