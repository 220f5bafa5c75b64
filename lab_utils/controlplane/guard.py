"""The guard: a small process above the control plane that leaves nothing behind.

It outlives whoever started the cluster (a notebook's kernel, a shell), waits for the control plane
to end for any reason, and then kills every process that carries the cluster's mark. SIGTERM asks
it to end the cluster. Should the guard itself be killed, the kernel kills the control plane.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from lab_utils.controlplane.config import RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.processes import arguments_of, spawn, sweep

_STOP_WITHIN_S = 4


def main() -> None:
    """Become a daemon, run the control plane and clean up behind it."""
    layout = Layout(Path(arguments_of(sys.argv, "state")[0]))
    if os.fork():  # the caller waits for this parent only; the child belongs to init from here on
        os._exit(0)
    os.setsid()
    config = ClusterConfig.load(layout.config)
    with layout.log.open("ab") as log:
        control_plane = spawn(
            "lab_utils.controlplane.main",
            *("--state", str(layout.root), "--guard", str(os.getpid())),
            env=os.environ,
            log=log,
        )
    _end_with(control_plane)
    control_plane.wait()
    sweep(RUN_MARK, config.run_id)


def _end_with(child: "subprocess.Popen[bytes]") -> None:
    """Pass a request to end on, and turn it into an order after a while."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        child.terminate()
        signal.alarm(_STOP_WITHIN_S)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, lambda _number, _frame: child.kill())


if __name__ == "__main__":
    main()
