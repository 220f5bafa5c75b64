"""The API server under use: long use, many objects, many watchers.

One client, raw HTTP on kept connections: a client library would be what is measured.
"""

import asyncio
import json
import ssl
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yaml

from lab_utils.session import Lab
from lab_utils.settings import load_settings
from tests.bench.rows import Row, at_least, at_most

EARLY, LATE = 100, 20_000
PODS, WATCHERS, CHANGES = 1_000, 100, 200
PATH = "/api/v1/namespaces/default/pods"
MERGE = {"Content-Type": "application/merge-patch+json"}


def bench() -> Iterator[Row]:
    """Measure one cluster, without pods that run."""
    lab = Lab(load_settings(backend="embedded", cluster="bench"))
    lab.down()
    try:
        lab.up()
        yield from asyncio.run(measure(yaml.safe_load(lab.kubeconfig().read_text())))
    finally:
        lab.down()


async def measure(kubeconfig: Any) -> list[Row]:
    async with connected(kubeconfig) as session:
        for i in range(PODS):
            await call(session, "POST", PATH, pod(f"p{i}"))
        early_ms = await get_p50_ms(session)
        for i in range(LATE // 2):
            await call(session, "GET", f"{PATH}/p{i % PODS}")
            await call(session, "PATCH", f"{PATH}/p{i % 10}", label(str(i)))
        late_ms = await get_p50_ms(session)
        listed_ms = [await list_ms(session) for _ in range(7)]
        got = await watch_all(session)
    return [
        at_most(f"GET p50 after {LATE} requests beside {EARLY}", late_ms / early_ms, "x", 1.2),
        at_most(f"list of {PODS} pods", listed_ms, "ms", 150.0),
        at_least(f"changes seen by the worst of {WATCHERS} watchers", got, "", CHANGES),
    ]


@asynccontextmanager
async def connected(kubeconfig: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session with the API server that a kubeconfig names."""
    cluster = kubeconfig["clusters"][0]["cluster"]
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {kubeconfig['users'][0]['user']['token']}"}
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(
        cluster["server"], headers=headers, connector=connector, read_bufsize=2**20
    ) as session:
        yield session


def pod(name: str) -> dict[str, Any]:
    """Describe a pod that no scheduler takes."""
    container = {"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "1m"}}}
    spec = {"schedulerName": "nobody", "containers": [container]}
    return {"metadata": {"name": name, "labels": {"app": "bench"}}, "spec": spec}


def label(value: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"n": value}}}


async def call(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> bytes:
    headers = MERGE if method == "PATCH" else None
    async with session.request(method, path, json=body, headers=headers) as response:
        text = await response.read()
        assert response.status < 400, text
        return text


async def get_p50_ms(session: aiohttp.ClientSession) -> float:
    taken_s = []
    for _ in range(EARLY):
        started_s = time.perf_counter()
        await call(session, "GET", f"{PATH}/p0")
        taken_s.append(time.perf_counter() - started_s)
    return statistics.median(taken_s) * 1000


async def list_ms(session: aiohttp.ClientSession) -> float:
    started_s = time.perf_counter()
    await call(session, "GET", PATH)
    return (time.perf_counter() - started_s) * 1000


async def watch_all(session: aiohttp.ClientSession) -> float:
    """Change pods under many watchers; give how many changes the one saw that saw fewest."""
    listed = json.loads(await call(session, "GET", PATH))
    query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
    wanted = [f"w{i}" for i in range(1, CHANGES + 1)]

    async def watch() -> int:
        seen = []
        async with session.get(PATH, params=query) as response:
            async for line in response.content:
                seen.append(json.loads(line)["object"]["metadata"]["labels"].get("n"))
                if seen[-1] == wanted[-1]:
                    break
        return len(seen) if seen == wanted else 0

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        watchers = [group.create_task(watch()) for _ in range(WATCHERS)]
        for i in range(1, CHANGES + 1):
            await call(session, "PATCH", f"{PATH}/p{i % PODS}", label(f"w{i}"))
    return float(min(watcher.result() for watcher in watchers))
