"""The container runtime: containers as process groups of this machine, started, watched, ended.

Plays containerd's part. Every container is a session of its own that dies with the kubelet, and
its orphans become the kubelet's children, so nothing it forks is lost. Users, capabilities and
root file systems are accepted by the API and not enforced here.
"""

import asyncio
import contextlib
import fcntl
import math
import os
import secrets
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import MARK, Cgroup, Limits
from lab_utils.controlplane.kubelet.kernelgroup import (
    KernelCgroup,
    enter,
    make_group,
    remove_empty,
)
from lab_utils.controlplane.kubelet.limiter import Limiter
from lab_utils.controlplane.kubelet.logs import LogWriter
from lab_utils.controlplane.kubelet.stdio import Stdio, shell_code
from lab_utils.controlplane.processes import die_with_parent
from lab_utils.controlplane.timestamps import utc_now

_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
_POLL_S = 0.02
_OUTPUT_BYTES = 10 * 1024
_START = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
_EXEC = (
    'failed to exec in container: failed to start exec "{}": OCI runtime exec failed: exec failed: '
    "unable to start container process: "
)


class StartError(Exception):
    """The process could not be started; the message is runc's."""


@dataclass(frozen=True)
class Launch:
    """All it takes to start a container, and to reach it."""

    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    folder: Path
    """The container's own folder on this machine; cgroup files go into folder/cgroup."""
    log: Path
    limits: Limits
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports by the names that probes and hooks may use."""
    localize: Callable[[str], str] = str
    """Translates the paths in an argument to this machine's."""
    group: Path = Path()
    """Where its cpu.stat is: set when it is started."""
    stdin: bool = False
    """Keeps its input open for whoever attaches."""
    tty: bool = False


@dataclass
class Container:
    """A container that was started; exit_code is None as long as it runs."""

    id: str
    launch: Launch
    cgroup: Cgroup
    process: "subprocess.Popen[bytes]"
    stdio: Stdio
    log: LogWriter
    started_at: datetime = field(default_factory=utc_now)
    started_s: float = field(default_factory=time.monotonic)
    finished_at: datetime | None = None
    exit_code: int | None = None


class Runtime:
    """Starts and ends the containers of one node; use from the event loop's thread only.

    Args:
        tree: The kernel's control group for those of the containers (kernelgroup.find_tree); None
            where there is none.
    """

    def __init__(self, tree: Path | None = None) -> None:
        proc.adopt_orphans()
        self._tree = tree
        self._limiter = Limiter()
        self._limiter.start()
        self._containers: dict[str, Container] = {}
        self._own: set[int] = set()

    def start(self, launch: Launch) -> Container:
        """Start a container.

        Raises:
            StartError: Its command is not there or cannot be executed.
        """
        identity = secrets.token_hex(32)
        launch = replace(launch, group=self._make_group(identity, launch))
        stdio = Stdio.terminal() if launch.tty else Stdio.pipes(stdin=launch.stdin)
        process = _spawn(launch, identity, launch.argv, stdio, _START)
        account = Cgroup if self._tree is None else KernelCgroup
        limits, group = launch.limits, launch.group
        cgroup = account(identity, process.pid, limits, group, time.monotonic_ns())
        cgroup.publish()
        log = LogWriter(launch.log, cast(int, stdio.stdout))
        container = Container(identity, launch, cgroup, process, stdio, log)
        self._containers[identity] = container
        self._own.add(process.pid)
        self._limiter.add(cgroup)
        return container

    def _make_group(self, identity: str, launch: Launch) -> Path:
        """Make the folder in which a container finds its cpu.stat."""
        if self._tree is not None:
            try:
                return make_group(self._tree, identity, launch.limits)
            except OSError as exc:
                raise StartError(f"{_START}unable to apply cgroup configuration: {exc}") from exc
        group = launch.folder / "cgroup"
        group.mkdir(parents=True, exist_ok=True)
        return group

    def has_ended(self, container: Container) -> bool:
        """Look whether a container's main process has ended; whatever it left behind is killed."""
        if container.exit_code is None:
            code = self._limiter.reap(container.cgroup, container.process)
            if code is not None:
                container.exit_code = shell_code(code)
                container.finished_at = utc_now()
                container.log.close()
                container.stdio.close()
                self._own.discard(container.process.pid)
                del self._containers[container.id]
        return container.exit_code is not None

    def reap_orphans(self) -> None:
        """Collect ended processes that containers left to this one, and their control groups."""
        if self._tree is not None:
            remove_empty(self._tree)
        for pid in set(proc.children(os.getpid())) - self._own:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def signal(self, container: Container, number: signal.Signals) -> None:
        """Signal a container: STOP and CONT all of it, anything else its main process.

        That process is number 1 of a real container, which the kernel spares every signal it has
        no handler for, but for KILL. Source: pid_namespaces(7).
        """
        if container.exit_code is not None:
            return
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self._limiter.hold(container.cgroup, held=number == signal.SIGSTOP)
        elif number == signal.SIGKILL or proc.handles(container.process.pid, number):
            self._limiter.signal_leader(container.cgroup, number)

    def thaw(self) -> None:
        """Let the containers run on after the whole node was stopped; held ones stay so."""
        self._limiter.thaw()

    def kill(self, container: Container) -> None:
        """Kill every process of a container."""
        if container.exit_code is None:
            self._limiter.kill(container.cgroup)

    @contextlib.asynccontextmanager
    async def beside(
        self, container: Container, argv: Sequence[str], stdio: Stdio
    ) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """Run a command beside a container: in its environment, on its account, and not longer.

        What still runs when the block is left is killed.

        Raises:
            StartError: The command is not there or cannot be executed.
        """
        launch = container.launch
        argv = [launch.localize(part) for part in argv]
        process = _spawn(launch, container.id, argv, stdio, _EXEC.format(secrets.token_hex(32)))
        self._own.add(process.pid)
        self._limiter.look_again()
        try:
            yield process
        finally:
            if process.poll() is None:
                for pid in proc.descendants(process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
            self._own.discard(process.pid)
            stdio.close()

    async def execute(
        self, container: Container, argv: Sequence[str], timeout_s: float
    ) -> tuple[int | None, str]:
        """Run a command beside a container and wait for it.

        Returns:
            Exit code (None when it took too long and was killed) and the start of its output.

        Raises:
            StartError: The command is not there or cannot be executed.
        """
        with tempfile.TemporaryFile() as output:  # it may leave somebody behind who holds it open
            ends = Stdio((subprocess.DEVNULL, os.dup(output.fileno()), subprocess.STDOUT))
            code = None
            async with self.beside(container, argv, ends) as process:
                with contextlib.suppress(TimeoutError):
                    code = await asyncio.wait_for(exit_of(process), timeout_s)
            output.seek(0)
            return code, output.read(_OUTPUT_BYTES).decode(errors="replace")

    async def close(self) -> None:
        """Kill all containers and end the limiter."""
        for container in self._containers.values():
            self.kill(container)
        await poll_until(lambda: all(map(self.has_ended, list(self._containers.values()))))
        self._limiter.stop()
        if self._tree is not None:
            remove_empty(self._tree)
            with contextlib.suppress(OSError):
                self._tree.rmdir()


async def exit_of(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a process; give its exit code as a shell would."""
    await poll_until(lambda: process.poll() is not None)
    return shell_code(process.returncode)


async def poll_until(condition: Callable[[], bool], timeout_s: float = math.inf) -> bool:
    """Wait for something that nobody announces; False after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _spawn(
    launch: Launch, mark: str, argv: Sequence[str], stdio: Stdio, refusal: str
) -> "subprocess.Popen[bytes]":
    """Start a process of a container, marked as such; refusal is how runc begins to say no."""
    env = {**launch.env, MARK: mark, "CGROUP_ROOT": str(launch.group)}
    stdin, stdout, stderr = stdio.theirs
    try:
        return subprocess.Popen(
            argv,
            env={"TERM": "xterm"} | env if stdio.is_terminal else env,
            cwd=launch.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=_preparation(launch.group, is_terminal=stdio.is_terminal),
        )
    except (OSError, ValueError) as exc:
        stdio.close()
        raise StartError(refusal + _why(argv[0], exc, launch.cwd)) from exc
    finally:
        stdio.started()


def _preparation(group: Path, *, is_terminal: bool) -> Callable[[], None]:
    """Give what a new process does between fork and exec."""

    def prepare() -> None:
        die_with_parent()
        for number in _KEYBOARD:  # a cluster started in the background was told to ignore them
            signal.signal(number, signal.SIG_DFL)
        if (group / "cgroup.procs").exists():
            enter(group)
        if is_terminal:  # so that Ctrl-C and job control work
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return prepare


def _why(command: str, exc: OSError | ValueError, cwd: Path) -> str:
    if not cwd.is_dir():
        return f'chdir to cwd ("{cwd}") set in config.json failed: no such file or directory'
    if not isinstance(exc, FileNotFoundError):
        return f'exec: "{command}": {str(getattr(exc, "strerror", exc)).lower()}'
    if "/" in command:
        return f'exec: "{command}": stat {command}: no such file or directory'
    return f'exec: "{command}": executable file not found in $PATH'
