"""When an embedded cluster counts as unused."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lab_utils.controlplane.admin import Activity

LIMIT_S = 0.3


@pytest.fixture
async def server():
    """Give a server with one endless answer, and what watches over its idleness."""
    app = web.Application()
    activity = Activity(app)

    async def follow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await asyncio.sleep(600)
        return response

    app.router.add_get("/follow", follow)
    async with TestServer(app, handler_cancellation=True) as running:
        yield running, activity


async def test_a_cluster_that_nobody_uses_is_idle(server):
    async with asyncio.timeout(20):
        await server[1].idle_or(asyncio.Event(), LIMIT_S)


@pytest.mark.parametrize(("agent", "is_use"), [("kubectl", True), ("kubelet/v1.36.2", False)])
async def test_following_is_use_for_as_long_as_it_lasts(server, agent, is_use):
    running, activity = server
    async with aiohttp.ClientSession(headers={"User-Agent": agent}) as session:
        async with session.get(running.make_url("/follow")) as response:
            await response.content.readline()
            idle = asyncio.create_task(activity.idle_or(asyncio.Event(), LIMIT_S))
            done, _ = await asyncio.wait([idle], timeout=4 * LIMIT_S if is_use else 20)
            assert bool(done) != is_use
        async with asyncio.timeout(20):
            await idle
