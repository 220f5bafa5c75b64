"""Probes against real sockets and processes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from lab_utils.controlplane.kubelet.checks import CheckFailed, check
from lab_utils.controlplane.kubelet.probes import Probe, ProbeActions, ProbeKind, Streak
from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import Container, Launch, Runtime
from tests.unit.controlplane.kubelet.conftest import until

LOOPBACK = "127.0.0.1"
SLEEP = "import time; time.sleep(600)"


@pytest.fixture
async def container(runtime: Runtime, make_launch: Callable[..., Launch]) -> Container:
    return runtime.start(make_launch(SLEEP))


@pytest.fixture
async def port() -> Any:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/hangs":
            await asyncio.sleep(600)
        return web.Response(status=int(request.query.get("status", 200)))

    server = web.Server(answer)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize("path", ["/", "/?status=302", "/?status=399"])
async def test_http_answers_that_count(
    runtime: Runtime, container: Container, port: int, path: str
) -> None:
    named = replace(container, launch=replace(container.launch, ports={"web": port}))
    await check(runtime, named, {"httpGet": {"path": path, "port": "web"}})


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/?status=503", "HTTP probe failed with statuscode: 503"),
        (
            "/hangs",
            'Get "http://127.0.0.1:PORT/hangs": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)",
        ),
    ],
)
async def test_http_answers_that_do_not(
    runtime: Runtime, container: Container, port: int, path: str, message: str
) -> None:
    action = {"httpGet": {"path": path, "port": port}, "timeoutSeconds": 0.2}
    with pytest.raises(CheckFailed) as caught:
        await check(runtime, container, action)
    assert str(caught.value) == message.replace("PORT", str(port))


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
async def test_nobody_listens(
    runtime: Runtime, container: Container, unused_port: int, kind: str
) -> None:
    action = {kind: {"port": unused_port}}
    with pytest.raises(CheckFailed) as caught:
        await check(runtime, container, action)
    address = f"127.0.0.1:{unused_port}"
    assert str(caught.value).endswith(f"dial tcp {address}: connect: connection refused")


async def test_a_listening_port_is_enough_for_tcp(
    runtime: Runtime, container: Container, port: int
) -> None:
    await check(runtime, container, {"tcpSocket": {"port": port}})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["python", "-c", "print('sick'); raise SystemExit(1)"], "sick\n"),
        (["python", "-c", SLEEP], "timed out"),
        (["/nonexistent"], 'exec: "/nonexistent": stat /nonexistent: no such file or directory'),
    ],
)
async def test_commands_that_fail(
    runtime: Runtime, container: Container, command: list[str], message: str
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await check(runtime, container, {"exec": {"command": command}})
    assert message in str(caught.value)


async def test_an_unknown_port_name_is_named(runtime: Runtime, container: Container) -> None:
    with pytest.raises(CheckFailed, match="couldn't find port: web"):
        await check(runtime, container, {"tcpSocket": {"port": "web"}})


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("answers", "verdicts"),
    [
        ([True], [True]),
        ([False, False, False], [None, None, False]),
        ([False, False, True, False], [None, None, True, None]),
    ],
)
def test_streaks(answers: list[bool], verdicts: list[bool | None]) -> None:
    streak = Streak(success_threshold=1, failure_threshold=3)
    assert [streak.add(answer) for answer in answers] == verdicts


async def test_a_probe_tells_each_failure_and_the_verdict(container: Container) -> None:
    failures, verdicts = [], []

    async def never(_: Container, __: Any) -> None:
        raise CheckFailed("no")

    actions = ProbeActions(
        running=lambda _: container,
        check=never,
        failed=lambda _, kind, message: failures.append((kind, message)),
        verdict=lambda _, kind, worked: verdicts.append((kind, worked)),
    )
    spec = {"livenessProbe": {"periodSeconds": 0.01, "failureThreshold": 2}}
    probe = Probe(ProbeKind.LIVENESS, ContainerRecord(spec, started=True), actions)
    task = asyncio.create_task(probe.run())
    await until(lambda: verdicts)
    task.cancel()
    assert failures == [(ProbeKind.LIVENESS, "no")] * 2
    assert verdicts == [(ProbeKind.LIVENESS, False)]
