"""Start, find and stop an embedded cluster from outside: what a kernel or a shell calls.

The cluster lives in background processes and outlives its caller. One folder of the user holds
everything; a lock on it lets one caller at a time start or stop. Nothing here speaks Kubernetes.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lab_utils.controlplane import pki
from lab_utils.controlplane.config import RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.controlplane.processes import clean_environment, is_same, marked, sweep, wait_until
from lab_utils.errors import ClusterError

_START_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0


def start(root: Path, config: ClusterConfig, progress: Callable[[str], None]) -> Endpoint:
    """Attach to the cluster of this folder, or start it.

    Args:
        root: A 0700 folder of the user; images in it survive, everything else is made anew.
        config: What to start; a cluster that runs already keeps its own.
        progress: Told in one line what is being done.

    Returns:
        The endpoint of a control plane that answers; its nodes may still be joining.

    Raises:
        ClusterError: The control plane did not come up; the message ends with its last words.
    """
    layout = Layout(root)
    with _locked(layout):
        if (running := _running(layout)) is not None:
            return running
        _clean(layout)
        try:
            progress("Making certificates and tokens")
            config.save(layout.config)
            pki.create_secrets(layout, config)
            progress("Starting the control plane")
            return _launch(layout, config)
        except OSError as exc:
            _clean(layout)
            raise ClusterError(
                f"The embedded cluster {config.name!r} cannot be started in {root}: "
                f"{exc.strerror}. Make room there, or set LAB_STATE_DIR to another folder."
            ) from exc


def find(root: Path) -> Endpoint | None:
    """Give the endpoint of the cluster of this folder; None when it does not run."""
    return _running(Layout(root))


def stop(root: Path) -> bool:
    """End the cluster of this folder and remove what it left; False when there was none."""
    layout = Layout(root)
    if not root.is_dir():
        return False
    with _locked(layout):
        running = _running(layout)
        layout.endpoint.unlink(missing_ok=True)  # so that nobody attaches to it, even if this dies
        if running is not None and is_same(running.guard_pid, running.guard_birth):
            os.kill(running.guard_pid, signal.SIGTERM)
            wait_until(lambda: not _guard_lives(running), timeout_s=_STOP_WITHIN_S)
        _clean(layout)
        return running is not None


def _guard_lives(endpoint: Endpoint) -> bool:
    return is_same(endpoint.guard_pid, endpoint.guard_birth)


def _running(layout: Layout) -> Endpoint | None:
    endpoint = Endpoint.read(layout)
    return endpoint if endpoint is not None and endpoint.is_alive else None


def _launch(layout: Layout, config: ClusterConfig) -> Endpoint:
    environment = clean_environment(**{RUN_MARK: config.run_id})
    command = [sys.executable, "-m", "lab_utils.controlplane.guard", "--state", str(layout.root)]
    with layout.log.open("ab") as log:
        subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
        )
    wait_until(lambda: _settled(layout, config), timeout_s=_START_WITHIN_S)
    if (endpoint := _running(layout)) is None:
        sweep(RUN_MARK, config.run_id)
        raise ClusterError(
            f"The embedded cluster {config.name!r} did not come up. Its last words: "
            f"{_last_words(layout)} (whole log: {layout.log}). Try lab.up() again."
        )
    return endpoint


def _settled(layout: Layout, config: ClusterConfig) -> bool:
    return _running(layout) is not None or not any(marked(RUN_MARK, config.run_id))


def _last_words(layout: Layout) -> str:
    lines = layout.log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "none"


def _clean(layout: Layout) -> None:
    """Sweep what an earlier run of this folder left: processes first, then files, whole or half."""
    with contextlib.suppress(OSError, ValueError):
        sweep(RUN_MARK, ClusterConfig.load(layout.config).run_id)
    for path in layout.root.iterdir():
        if path in (layout.images, layout.lock):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Hold the folder's lock; the kernel gives it back however this process ends."""
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with layout.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
