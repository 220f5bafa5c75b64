"""Kernels that can be killed: Python processes that use the lab as a notebook does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lab_utils.session import Lab


def environment_of(lab: Lab) -> dict[str, str]:
    """Give the environment in which another process uses the same cluster."""
    return os.environ | {
        "LAB_BACKEND": lab.settings.backend,
        "LAB_CLUSTER": lab.settings.cluster,
        "LAB_STATE_DIR": str(lab.settings.state_dir or os.environ["LAB_STATE_DIR"]),
    }


@contextmanager
def kernel(lab: Lab, code: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run code after `import lab_utils as lab` in a process of its own; it is gone afterwards."""
    command = [sys.executable, "-c", "import lab_utils as lab\n" + code]
    process = subprocess.Popen(
        command, env=environment_of(lab) | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(lab: Lab, code: str, **env: str) -> str:
    """Run such code to its end and give what it printed.

    Raises:
        AssertionError: It failed; with its last words.
    """
    with kernel(lab, code, **env) as process:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out.strip()
