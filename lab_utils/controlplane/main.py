"""The control-plane process: API server, controllers, NodePort proxy and the nodes' power.

`python -m lab_utils.controlplane.main --state DIR --guard PID`, started by the guard. It says that
it is up by publishing its endpoint; it ends on SIGTERM, after an idle time, or with its folder.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
import ssl
import sys
from pathlib import Path

from aiohttp import web

from lab_utils.controlplane.admin import Activity, add_admin_routes
from lab_utils.controlplane.bootstrap import create_system_objects
from lab_utils.controlplane.config import ClusterConfig, Layout
from lab_utils.controlplane.controllers.loop import Controllers
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.metrics import MetricsServer
from lab_utils.controlplane.nodeport import NodePortProxy
from lab_utils.controlplane.processes import arguments_of, birth_of
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.server import make_app, make_runner
from lab_utils.controlplane.store import Store
from lab_utils.controlplane.supervisor import Supervisor

_NETWORK_LOCK_PORT = 10256
_LOOK_PERIOD_S = 1.0
_log = logging.getLogger("control-plane")


def claim_network() -> tuple[int, socket.socket]:
    """Take a /16 of loopback that no other cluster of this machine has.

    Returns:
        The octet of 127.<octet>.0.0/16 and the bound socket that holds it: the kernel is the lock,
        across users, and gives it back when this process ends.

    Raises:
        OSError: All of them are taken.
    """
    octets = list(range(64, 255))
    random.shuffle(octets)
    for octet in octets:
        held = socket.socket()
        try:
            held.bind((f"127.{octet}.0.1", _NETWORK_LOCK_PORT))
        except OSError:
            held.close()
            continue
        return octet, held
    raise OSError("all loopback networks 127.64.0.0/16 to 127.254.0.0/16 are taken")


def _tls(layout: Layout) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(layout.server_certificate)
    return context


async def serve(layout: Layout, config: ClusterConfig, guard_pid: int) -> None:
    """Run the control plane until it is told to end, or nobody has used it for long."""
    octet, held = claim_network()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = Registry(Store(), tolerations_s=config.default_tolerations_s)
    supervisor = Supervisor(layout, config)
    addresses = {node.name: node.address(octet) for node in config.nodes}
    proxy = NodePortProxy(
        registry, config, supervisor.is_off, addresses=addresses, table=layout.services
    )
    forwarder = Forwarder(layout, registry)
    metrics = MetricsServer(registry, forwarder.read_kubelet, config.metrics_resolution_s)
    app = make_app(registry, json.loads(layout.tokens.read_text()), forwarder, metrics.objects)
    activity = Activity(app)
    add_admin_routes(app, supervisor, proxy)
    controllers = Controllers(registry, config, layout.ca.read_text(), measured=metrics.of_pod)
    runner = make_runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_tls(layout))
    await site.start()
    port: int = runner.addresses[0][1]
    create_system_objects(registry, port)
    controllers.start()
    metrics.start()
    await proxy.start()
    endpoint = _endpoint(port, octet, guard_pid)
    endpoint.publish(layout, config)
    supervisor.start_all()
    findable = asyncio.create_task(_end_when_lost(layout, endpoint, stop))
    await activity.idle_or(stop, config.idle_stop_s)
    stop.set()
    await findable
    layout.endpoint.unlink(missing_ok=True)  # nobody attaches any more to what is about to end
    _log.info("ending")
    await supervisor.close()
    await proxy.close()
    await metrics.stop()
    await controllers.stop()
    await runner.cleanup()
    held.close()


async def _end_when_lost(layout: Layout, published: Endpoint, stop: asyncio.Event) -> None:
    """End with the folder: a cluster that nobody can find or stop any more serves nobody."""
    while not stop.is_set() and Endpoint.read(layout) == published:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_PERIOD_S)
    stop.set()


def _endpoint(port: int, octet: int, guard_pid: int) -> Endpoint:
    pid = os.getpid()
    return Endpoint(
        port=port,
        octet=octet,
        pid=pid,
        birth=birth_of(pid) or 0,
        guard_pid=guard_pid,
        guard_birth=birth_of(guard_pid) or 0,
    )


def main() -> None:
    """Run from the command line."""
    state, guard = arguments_of(sys.argv, "state", "guard")
    layout = Layout(Path(state))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(serve(layout, ClusterConfig.load(layout.config), int(guard)))


if __name__ == "__main__":
    main()
