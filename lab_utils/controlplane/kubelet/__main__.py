"""Runs one kubelet: `python -m lab_utils.controlplane.kubelet --state DIR --node NAME`.

Ends on SIGTERM or SIGINT with exit code 0, and all its containers with it.
"""

import asyncio
import logging
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web

from lab_utils.controlplane.config import API_SERVER, ClusterConfig, Layout
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.controlplane.kubelet.api import make_kubelet_app
from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.kubelet.events import Recorder
from lab_utils.controlplane.kubelet.images import ImageStore
from lab_utils.controlplane.kubelet.kernelgroup import find_tree
from lab_utils.controlplane.kubelet.kubelet import Kubelet
from lab_utils.controlplane.kubelet.node import KUBELET_PORT, Addresses, Node, capacity
from lab_utils.controlplane.kubelet.runtime import Runtime
from lab_utils.controlplane.kubelet.starting import NodeServices
from lab_utils.controlplane.kubelet.stats import Stats
from lab_utils.controlplane.processes import arguments_of

_SWITCH_INTERVAL_S = 0.0005  # so that the limiter's thread need not wait 5 ms for the event loop


async def run_kubelet(layout: Layout, config: ClusterConfig, name: str) -> None:
    """Be the kubelet of a node until told to end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    endpoint = Endpoint.read(layout)
    if endpoint is None:
        raise SystemExit(f"no API server: {layout.endpoint} is missing")
    node = next(node for node in config.nodes if node.name == name)
    addresses = Addresses(endpoint.octet, node.index)
    client = ApiClient.of_node(layout, endpoint.port, name)
    images, runtime, recorder = (
        ImageStore(layout, name),
        Runtime(find_tree(f"lab-{config.run_id}-{name}")),
        Recorder(client, name),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGCONT, runtime.thaw)
    folder = layout.node(name) / "pods"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    services = NodeServices(
        client=client,
        recorder=recorder,
        runtime=runtime,
        images=images,
        addresses=addresses,
        folder=folder,
        services=layout.services,
        capacity=capacity() | {"pods": str(config.max_pods)},
    )
    kubelet = Kubelet(services, name)
    stats = Stats(name, kubelet.workers)
    registered = Node(client, config, node, addresses, images)
    app = make_kubelet_app(kubelet, runtime, stats, layout.token_of(API_SERVER))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, addresses.node, KUBELET_PORT, ssl_context=_tls(layout)).start()
    jobs = (
        registered.keep_status(),
        registered.keep_lease(),
        recorder.run(),
        kubelet.follow_pods(),
        kubelet.relist(),
        stats.run(),
    )
    await _until(stop, [asyncio.create_task(job) for job in jobs])
    await kubelet.close()
    await runner.cleanup()
    await client.close()


async def _until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Run until told to stop, or until one of the tasks fails: then the kubelet starts anew."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in [stopped, *tasks]:
        task.cancel()
    for task in done - {stopped}:
        logging.getLogger("kubelet").error("ending", exc_info=task.exception())


def _tls(layout: Layout) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(layout.server_certificate)
    return context


def main() -> None:
    """Run from the command line."""
    state, name = arguments_of(sys.argv, "state", "node")
    layout = Layout(Path(state))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    asyncio.run(run_kubelet(layout, ClusterConfig.load(layout.config), name))


if __name__ == "__main__":
    main()
