"""The machine room: which nodes have power, and the kubelet process of each.

Plays the part that Docker and systemd play for Kind: starts a kubelet, starts it again one second
after it has died, cuts the power of a node (SIGKILL to all its processes), freezes and thaws it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from pathlib import Path

from lab_utils.controlplane.config import NODE_MARK, RUN_MARK, ClusterConfig, Layout, NodeConfig
from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.processes import clean_environment, spawn, sweep
from lab_utils.controlplane.status import ApiError, not_found

_RESTART_S = 1.0  # RestartSec of kubelet.service in Kind's node image
_BOOT_S = 2.4  # from `docker start` to a node's first words: systemd, containerd, the kubelet
_log = logging.getLogger(__name__)


class Supervisor:
    """Holds one kubelet process per node that has power."""

    def __init__(self, layout: Layout, config: ClusterConfig) -> None:
        self._layout, self._config = layout, config
        self._nodes = {node.name: node for node in config.nodes}
        self._kubelets: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._child_ended = {name: asyncio.Event() for name in self._nodes}
        self._off: set[str] = set()
        self._frozen: set[str] = set()

    def start_all(self) -> None:
        """Switch every node on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._on_child_exit)
        for name in self._nodes:
            self.start(name)

    async def close(self) -> None:
        """Ask every kubelet to end its pods and itself; what is late is the guard's."""
        for name in self._nodes:
            self._off.add(name)
            self._thaw(name)
        for kubelet in self._kubelets.values():
            kubelet.terminate()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)

    def is_off(self, name: str) -> bool:
        """Tell whether a node is without power: nothing sent to it will ever be answered."""
        return name in self._off

    def state(self) -> dict[str, str]:
        """Give each node's state: running, frozen or off."""
        return {
            name: "off" if name in self._off else "frozen" if name in self._frozen else "running"
            for name in self._nodes
        }

    def operate(self, name: str, operation: str) -> None:
        """Do stop, start, pause or unpause; doing it twice does nothing more.

        Raises:
            ApiError: 404 for an unknown node, 400 for an unknown operation.
        """
        if name not in self._nodes:
            raise not_found("", "nodes", name)
        operations = {
            "stop": self.stop,
            "start": self.start,
            "pause": self.pause,
            "unpause": self._thaw,
        }
        if operation not in operations:
            raise ApiError(
                400,
                "BadRequest",
                f"unknown node operation {operation!r}: want {', '.join(operations)}",
            )
        operations[operation](name)

    def start(self, name: str) -> None:
        """Switch a node on, or thaw it."""
        self._thaw(name)
        boot_s = _BOOT_S if name in self._off else 0.0
        self._off.discard(name)
        if name not in self._keepers or self._keepers[name].done():
            keeper = self._keep_running(self._nodes[name], boot_s)
            self._keepers[name] = asyncio.create_task(keeper)

    def stop(self, name: str) -> None:
        """Cut the power: the kubelet and every process of its pods are gone at once."""
        self._off.add(name)
        self._frozen.discard(name)
        sweep(NODE_MARK, self._mark(name))

    def pause(self, name: str) -> None:
        """Freeze the kubelet first, so that it cannot react, then its pods.

        They are its descendants, known without their marks: a program that is just being started
        has no environment for a moment, and would run on.
        """
        if name in self._off:
            return
        self._frozen.add(name)
        kubelet = self._kubelets[name]
        kubelet.send_signal(signal.SIGSTOP)
        frozen = {kubelet.pid}
        while fresh := proc.descendants(kubelet.pid) - frozen:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            frozen |= fresh

    def _thaw(self, name: str) -> None:
        """Thaw the kubelet; it knows which of its containers may run on."""
        if name in self._frozen:
            self._frozen.discard(name)
            self._kubelets[name].send_signal(signal.SIGCONT)

    def _mark(self, name: str) -> str:
        return f"{self._config.run_id}/{name}"

    async def _keep_running(self, node: NodeConfig, boot_s: float) -> None:
        await asyncio.sleep(boot_s)
        while node.name not in self._off:
            kubelet = self._kubelets[node.name] = self._spawn(node)
            if node.name in self._frozen:  # it was while it booted
                kubelet.send_signal(signal.SIGSTOP)
            await self._exit_of(node.name, kubelet)
            sweep(NODE_MARK, self._mark(node.name))  # pods never outlive their kubelet here
            if node.name not in self._off:
                _log.warning("kubelet of %s ended with %s", node.name, kubelet.returncode)
                await asyncio.sleep(_RESTART_S)

    def _on_child_exit(self) -> None:
        for ended in self._child_ended.values():
            ended.set()

    async def _exit_of(self, name: str, kubelet: "subprocess.Popen[bytes]") -> None:
        while kubelet.poll() is None:
            await self._child_ended[name].wait()
            self._child_ended[name].clear()

    def _spawn(self, node: NodeConfig) -> subprocess.Popen[bytes]:
        folder: Path = self._layout.node(node.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        marks = {RUN_MARK: self._config.run_id, NODE_MARK: self._mark(node.name)}
        arguments = ("--state", str(self._layout.root), "--node", node.name)
        with (folder / "kubelet.log").open("ab") as log:
            env = clean_environment(**marks)
            return spawn("lab_utils.controlplane.kubelet", *arguments, env=env, log=log)
