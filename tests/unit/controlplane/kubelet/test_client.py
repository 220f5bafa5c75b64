"""The kubelet's client against a real API server that goes away and comes back."""

import asyncio
import json
import ssl
from typing import Any

import pytest
from aiohttp import web

from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.server import make_app, make_runner
from lab_utils.controlplane.status import ApiError
from tests.unit.controlplane.kubelet.conftest import NODE, KubeletUnderTest


@pytest.fixture
async def client(node: KubeletUnderTest) -> Any:
    port = json.loads(node.layout.endpoint.read_text())["port"]
    client = ApiClient.of_node(node.layout, port, NODE)
    yield client
    await client.close()


async def test_refusals_are_api_errors(client: ApiClient) -> None:
    with pytest.raises(ApiError) as caught:
        await client.get("/api/v1/namespaces/default/pods/absent")
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")


async def test_a_watch_begins_with_a_list_and_follows(
    node: KubeletUnderTest, client: ApiClient
) -> None:
    events = client.list_watch("/api/v1/namespaces/default/configmaps")
    kind, items = await anext(events)
    assert (kind, items) == ("SYNCED", [])
    node.registry.create("ConfigMap", {"metadata": {"name": "m", "namespace": "default"}})
    kind, found = await asyncio.wait_for(anext(events), 5)
    assert (kind, found["metadata"]["name"]) == ("ADDED", "m")
    await events.aclose()


async def test_a_watch_survives_the_api_server(node: KubeletUnderTest) -> None:
    runner, port = await _serve(node, 0)
    client = ApiClient.of_node(node.layout, port, NODE)
    events = client.list_watch("/api/v1/namespaces/default/configmaps")
    await anext(events)
    await runner.cleanup()
    node.registry.create("ConfigMap", {"metadata": {"name": "m", "namespace": "default"}})
    runner, _ = await _serve(node, port)
    kind, found = await asyncio.wait_for(anext(events), 15)
    names = [item["metadata"]["name"] for item in (found if kind == "SYNCED" else [found])]
    assert names == ["m"]
    await events.aclose()
    await client.close()
    await runner.cleanup()


async def _serve(node: KubeletUnderTest, port: int) -> tuple[web.AppRunner, int]:
    tokens = json.loads(node.layout.tokens.read_text())
    app = make_app(node.registry, tokens, Forwarder(node.layout, node.registry))
    runner = make_runner(app)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(node.layout.server_certificate)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    return runner, runner.addresses[0][1]
