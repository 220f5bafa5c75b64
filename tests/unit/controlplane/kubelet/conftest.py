"""A node for the tests: an API server in the test's own loop and a real kubelet process."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from lab_utils.controlplane.config import (
    API_SERVER,
    NODE_MARK,
    RUN_MARK,
    ClusterConfig,
    Layout,
    NodeConfig,
)
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.kubelet.runtime import Launch, Runtime
from lab_utils.controlplane.pki import create_secrets
from lab_utils.controlplane.processes import clean_environment, sweep
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.server import make_app, make_runner
from lab_utils.controlplane.store import Store

NODE = "lab-worker"
IMAGE = "tools:1"


async def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """Wait for a truthy answer; fail after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "condition not reached in time"
        await asyncio.sleep(0.02)
    return found


@dataclass
class KubeletUnderTest:
    """One node and the API server it belongs to."""

    layout: Layout
    config: ClusterConfig
    registry: Registry
    octet: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        folder = self.layout.node(NODE)
        marks = {RUN_MARK: self.config.run_id, NODE_MARK: f"{self.config.run_id}/{NODE}"}
        with (folder / "kubelet.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lab_utils.controlplane.kubelet",
                 "--state", str(self.layout.root), "--node", NODE],
                env=clean_environment(**marks), stdout=log, stderr=log,
            )  # fmt: skip

    def power_off(self) -> None:
        """Kill the kubelet and all its pods, as the supervisor does when a node is stopped."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        sweep(NODE_MARK, f"{self.config.run_id}/{NODE}")

    def create_pod(self, name: str, *command: str, **spec: Any) -> None:
        container = {"name": "c", "image": IMAGE, "imagePullPolicy": "Never"}
        container |= {"command": list(command)} if command else {}
        container |= spec.pop("container", {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": NODE,
                "containers": [container],
                "automountServiceAccountToken": False,
                **spec,
            },
        }
        self.registry.create("Pod", pod)

    def pod(self, name: str) -> dict[str, Any]:
        return self.registry.get("Pod", "default", name)

    def pods(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.registry.list("Pod", "default")]

    def container(self, name: str) -> dict[str, Any]:
        statuses = self.pod(name).get("status", {}).get("containerStatuses")
        return statuses[0] if statuses else {}

    def state(self, name: str) -> str:
        """Give `running`, or the reason of the state."""
        for kind, detail in self.container(name).get("state", {}).items():
            return detail.get("reason", kind)
        return ""

    def events(self, name: str) -> dict[str, str]:
        return {
            event["reason"]: event["message"]
            for event in self.registry.list("Event", "default")
            if event["involvedObject"]["name"] == name
        }

    def trust(self) -> ssl.SSLContext:
        """Give what a client needs to know the cluster's servers."""
        return ssl.create_default_context(cafile=str(self.layout.ca))

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask the kubelet as the API server does."""
        headers = {"Authorization": f"Bearer {self.layout.token_of(API_SERVER)}"}
        url = f"https://127.{self.octet}.2.1:10250{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, url, ssl=self.trust(), headers=headers, server_hostname=NODE
            ) as response,
        ):
            return response.status, await response.text()


def api_url(node: KubeletUnderTest) -> str:
    """Give the URL of the API server."""
    kubeconfig = json.loads(node.layout.kubeconfig.read_text())
    return str(kubeconfig["clusters"][0]["cluster"]["server"])


def write_image(layout: Layout, name: str = IMAGE, **config: Any) -> None:
    """Register an image on the node; its root file system has one file."""
    digest = f"{abs(hash(name)):064x}"[-64:]
    rootfs = layout.images / digest / "rootfs" / "app"
    rootfs.mkdir(parents=True)
    (rootfs / "hello.txt").write_text("hello from the image\n")
    described = {
        "id": f"sha256:{digest}",
        "names": [name],
        "size_bytes": 12345,
        "config": {"WorkingDir": "/app", "User": "65532", "Env": ["FROM_IMAGE=yes"], **config},
    }
    (layout.images / digest / "config.json").write_text(json.dumps(described))
    index = layout.node(NODE) / "images.json"
    known = json.loads(index.read_text()) if index.exists() else {}
    index.write_text(json.dumps(known | {name: digest}))


@asynccontextmanager
async def running_node(root: Path) -> AsyncIterator[KubeletUnderTest]:
    """Run a kubelet whose API server is the test's own."""
    layout = Layout(root)
    config = ClusterConfig(
        name="test",
        run_id=f"test-{os.getpid()}-{time.monotonic_ns()}",
        nodes=(NodeConfig(NODE, 2),),
        host_ports={},
        node_lease_duration_s=4.0,
    )
    config.save(layout.config)
    create_secrets(layout, config)
    layout.node(NODE).mkdir(parents=True)
    write_image(layout)
    registry = Registry(Store())
    for namespace in ("default", "kube-node-lease"):
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        registry.create("Namespace", manifest)
    registry.create("ServiceAccount", {"metadata": {"name": "default", "namespace": "default"}})
    app = make_app(registry, json.loads(layout.tokens.read_text()), Forwarder(layout, registry))
    runner = make_runner(app)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(layout.server_certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    octet = 64 + os.getpid() % 190
    pid = os.getpid()
    Endpoint(runner.addresses[0][1], octet, pid, 0.0, pid, 0.0).publish(layout, config)
    kubelet = KubeletUnderTest(layout, config, registry, octet)
    kubelet.start()
    try:
        yield kubelet
    finally:
        if kubelet.process is not None and kubelet.process.poll() is None:
            kubelet.process.terminate()
            kubelet.process.wait(timeout=10)
        sweep(RUN_MARK, config.run_id)
        await runner.cleanup()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[KubeletUnderTest]:
    """Give a started kubelet whose API server is the test's own."""
    async with running_node(tmp_path) as node:
        yield node


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """Give a container runtime in this process; what runs at the end is killed."""
    runtime = Runtime()
    yield runtime
    await runtime.close()


@pytest.fixture
def make_launch(tmp_path: Path) -> Callable[..., Launch]:
    """Give a function that describes a container running a piece of Python."""

    def make(code: str, limits: Limits = Limits(), **env: str) -> Launch:  # noqa: B008
        return Launch(
            image="tools:1",
            argv=(sys.executable, "-c", code),
            env={"PATH": os.environ["PATH"], **env},
            cwd=tmp_path,
            folder=tmp_path,
            log=tmp_path / "0.log",
            limits=limits,
            address="127.0.0.1",
        )

    return make


@pytest.fixture
def unused_port() -> int:
    """Give a loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
