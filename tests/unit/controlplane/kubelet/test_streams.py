"""exec and attach with the clients people use, through a real API server and kubelet."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from kubernetes import aio, client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import WSClient

from lab_utils.controlplane.config import ADMIN
from lab_utils.controlplane.kubelet.logs import LogOptions, read_log
from tests.unit.controlplane.kubelet.conftest import (
    NODE,
    KubeletUnderTest,
    api_url,
    running_node,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
SLEEP = ("python", "-c", "import time; time.sleep(600)")
ECHO = "import sys\nfor line in sys.stdin: print('echo', line, end='', flush=True)"
MEBIBYTE = 2**20
PATH = "/api/v1/namespaces/default/pods"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeletUnderTest]:
    """Give a node with a pod `p` that runs."""
    async with running_node(tmp_path_factory.mktemp("streams")) as node:
        node.create_pod("p", *SLEEP, container={"env": [{"name": "OF", "value": "the container"}]})
        await until(lambda: node.state("p") == "running")
        yield node


def connected(node: KubeletUnderTest, verb: str, pod: str, **options: Any) -> WSClient:
    """Open exec or attach with the official client."""
    core = client.CoreV1Api(config.new_client_from_config(str(node.layout.kubeconfig)))
    method = getattr(core, f"connect_get_namespaced_pod_{verb}")
    options = {"stdin": False, "stdout": True, "stderr": True, "tty": False} | options
    return stream(method, pod, "default", _preload_content=False, **options)


@contextmanager
def ending(talk: WSClient) -> Iterator[WSClient]:
    """Close what the client leaves open: its socket, once the server has said goodbye."""
    try:
        yield talk
    finally:
        talk.close()
        talk.sock.shutdown()


def executing(
    node: KubeletUnderTest, *command: str, pod: str = "p", **options: Any
) -> "AbstractContextManager[WSClient]":
    return ending(connected(node, "exec", pod, command=list(command), **options))


async def execute(node: KubeletUnderTest, *command: str, **options: Any) -> WSClient:
    """Run a command to its end with the official client."""

    def run() -> WSClient:
        with executing(node, *command, **options) as talk:
            talk.run_forever(timeout=30)
            return talk

    return await asyncio.to_thread(run)


async def test_both_streams_and_the_exit_code_arrive(node: KubeletUnderTest) -> None:
    talk = await execute(node, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (talk.read_stdout(), talk.read_stderr()) == ("out\n", "err\n")
    status = json.loads(talk.read_channel(3))
    assert status == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: error executing command "
        "[sh -c echo out; echo err >&2; exit 7], exit code 7",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
    }


async def test_success_is_said(node: KubeletUnderTest) -> None:
    assert (await execute(node, "true")).returncode == 0


async def test_who_is_killed_has_the_code_of_the_signal(node: KubeletUnderTest) -> None:
    assert (await execute(node, "sh", "-c", "kill -9 $$")).returncode == 137


async def test_a_command_runs_in_the_containers_world(node: KubeletUnderTest) -> None:
    talk = await execute(node, "sh", "-c", "cat hello.txt; echo $FROM_IMAGE $OF $HOSTNAME")
    assert talk.read_stdout() == "hello from the image\nyes the container p\n"
    assert (await execute(node, "cat", "/app/hello.txt")).read_stdout() == "hello from the image\n"


async def test_a_command_that_is_not_there_is_named(node: KubeletUnderTest) -> None:
    status = json.loads((await execute(node, "absent")).read_channel(3))
    assert (status["reason"], status["code"]) == ("InternalError", 500)
    assert "error executing command in container: failed to exec" in status["message"]
    assert status["message"].endswith('exec: "absent": executable file not found in $PATH')


async def test_the_end_of_input_can_be_said(node: KubeletUnderTest) -> None:
    def count() -> tuple[str, int]:
        with executing(node, "wc", "-c", stdin=True) as talk:
            for _ in range(50):
                talk.write_stdin(b"x" * MEBIBYTE)
            talk.close_channel(0)
            talk.run_forever(timeout=30)
            return talk.read_stdout(), talk.returncode

    assert await asyncio.to_thread(count) == (f"{50 * MEBIBYTE}\n", 0)


async def test_a_conversation_in_text(node: KubeletUnderTest) -> None:
    def converse() -> list[str]:
        answers = []
        with executing(node, "python", "-c", ECHO, stdin=True) as talk:
            for word in ("één", "two"):
                talk.write_stdin(word + "\n")
                answers.append(talk.readline_stdout(timeout=10))
        return answers

    assert await asyncio.to_thread(converse) == ["echo één", "echo two"]


async def test_a_terminal_has_a_size_and_signals(node: KubeletUnderTest) -> None:
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size(), flush=True))\n"
        "print(sys.stdin.isatty(), sys.stderr.isatty(), os.environ['TERM'], flush=True)\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(42)"
    )

    def converse() -> tuple[str, str, int]:
        with executing(node, "python", "-c", code, stdin=True, tty=True) as talk:
            first = talk.readline_stdout(timeout=10)
            talk.write_channel(4, json.dumps({"Width": 101, "Height": 33}))
            second = talk.readline_stdout(timeout=10)
            talk.write_stdin("\x03")
            talk.run_forever(timeout=10)
            return first, second, talk.returncode

    first, second, code_ = await asyncio.to_thread(converse)
    assert first.strip() == "True True xterm"
    assert second.strip() == "os.terminal_size(columns=101, lines=33)"
    assert code_ == 42


async def test_the_asynchronous_client_speaks_the_older_protocol(node: KubeletUnderTest) -> None:
    async with aio.stream.WsApiClient(configuration=await aio_configuration(node)) as ws:
        core, command = aio.client.CoreV1Api(ws), ["sh", "-c", "echo out; exit 3"]
        said = await core.connect_get_namespaced_pod_exec(
            "p", "default", command=command, stdout=True, stderr=True
        )
        assert said == "out\n"
        headers = {"authorization": f"Bearer {node.layout.token_of(ADMIN)}"}
        query = [("command", command), ("stdout", "1")]
        url = f"{api_url(node)}{PATH}/p/exec"
        async with await ws.request(
            "GET", url, query_params=query, headers=headers, _preload_content=False
        ) as talk:
            messages = [message.data async for message in talk]
        assert ws.parse_error_data(messages[-1][1:]) == 3


async def aio_configuration(node: KubeletUnderTest) -> aio.client.Configuration:
    wanted = aio.client.Configuration()
    await aio.config.load_kube_config(str(node.layout.kubeconfig), client_configuration=wanted)
    return wanted


async def connect(
    session: aiohttp.ClientSession, node: KubeletUnderTest, path: str, **options: Any
) -> aiohttp.ClientWebSocketResponse:
    """Open a bare WebSocket as an administrator."""
    headers = {"Authorization": f"Bearer {node.layout.token_of(ADMIN)}"} | options.pop(
        "headers", {}
    )
    options = {"protocols": ("v5.channel.k8s.io",), "ssl": node.trust()} | options
    return await session.ws_connect(api_url(node) + path, headers=headers, **options)


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session for bare WebSockets."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_when_the_client_vanishes_its_processes_end(
    node: KubeletUnderTest, session: aiohttp.ClientSession
) -> None:
    script = "sleep 600 & echo $! $$; wait"
    query = "".join(f"&command={part}" for part in ("sh", "-c", script.replace("&", "%26")))
    talk = await connect(session, node, f"{PATH}/p/exec?stdout=1{query}")
    await talk.receive_bytes()
    pids = [int(pid) for pid in (await talk.receive_bytes())[1:].split()]
    assert all(map(psutil.pid_exists, pids))
    talk._response.connection.transport.abort()  # no farewell, as when its process is killed
    await until(lambda: not any(map(psutil.pid_exists, pids)))


async def test_a_reader_that_stalls_holds_the_writer_back(
    node: KubeletUnderTest, session: aiohttp.ClientSession
) -> None:
    assert node.process is not None
    kubelet, size = psutil.Process(node.process.pid), 50 * MEBIBYTE
    resident = kubelet.memory_info().rss
    query = f"&command=head&command=-c&command={size}&command=/dev/zero"
    talk = await connect(session, node, f"{PATH}/p/exec?stdout=1{query}", max_msg_size=0)
    await talk.receive_bytes()
    writer = await until(lambda: _descendant(node, "head"))
    written = [-1]

    def stands_still() -> bool:
        written.append(writer.io_counters().write_chars)
        return written[-1] == written[-2] > 0

    await until(stands_still)
    assert written[-1] < 16 * MEBIBYTE  # what fits into the buffers on the way
    got = 0
    async for message in talk:
        got += len(message.data) - 1 if message.data[0] == 1 else 0
    assert got == size
    assert kubelet.memory_info().rss - resident < 16 * MEBIBYTE


def _descendant(node: KubeletUnderTest, name: str) -> psutil.Process | None:
    assert node.process is not None
    children = psutil.Process(node.process.pid).children(recursive=True)
    return next((one for one in children if one.name() == name), None)


async def test_a_command_counts_for_its_container_and_dies_with_it(node: KubeletUnderTest) -> None:
    node.create_pod("short", *SLEEP, terminationGracePeriodSeconds=0)
    await until(lambda: node.state("short") == "running")
    hog = "kept = bytearray(64 << 20); import os, time; print(os.getpid()); time.sleep(60)"
    running = await asyncio.to_thread(executing, node, "python", "-uc", hog, pod="short")
    with running as talk:
        pid = int(await asyncio.to_thread(talk.readline_stdout, timeout=10))
        assert await _memory_of(node, "short") > 64 * MEBIBYTE
        node.registry.delete("Pod", "default", "short")
        await until(lambda: not psutil.pid_exists(pid))
        await asyncio.to_thread(talk.run_forever, 10)
        assert talk.returncode == 137


async def _memory_of(node: KubeletUnderTest, name: str) -> int:
    """Give what the kubelet's limiter sees of a container once it sees the hog."""
    for _ in range(200):
        _, text = await node.ask("/metrics/cadvisor")
        for line in text.splitlines():
            if line.startswith("container_memory_working_set_bytes") and f'pod="{name}"' in line:
                size = float(line.rpartition("} ")[2].split()[0])
                if size > 64 * MEBIBYTE:
                    return int(size)
        await asyncio.sleep(0.1)
    return 0


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("p/exec?command=ls", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("p/exec?stdout=1", 400, "you must specify at least one command for the container"),
        ("p/exec?container=x&command=ls", 400, "container x is not valid for pod p"),
        ("absent/exec?command=ls", 404, 'pods "absent" not found'),
        ("unbound/exec?command=ls", 400, "pod unbound does not have a host assigned"),
        ("unbound/attach", 400, "pod unbound does not have a host assigned"),
        ("unbound/portforward?ports=80", 400, "pod unbound does not have a host assigned"),
        ("two/exec?command=ls", 400, "a container name must be specified for pod two, "
                                     "choose one of: [a b]"),
        ("waits/exec?command=ls&stdout=1", 500, 'container not found ("c")'),
        ("waits/portforward?ports=80", 500, 'pod not found ("waits")'),
        ("p/portforward", 400, 'query parameter "ports" is required'),
        ("p/portforward?ports=99999", 400, 'unable to parse "99999" as a port'),
    ],
)  # fmt: skip
async def test_what_cannot_be_streamed_is_refused(
    node: KubeletUnderTest, session: aiohttp.ClientSession, path: str, status: int, message: str
) -> None:
    if "waits" not in node.pods():
        node.create_pod("waits", container={"image": "absent:1"})
        node.create_pod("unbound", nodeName="")
        two = [{"name": name, "image": "absent:1"} for name in "ab"]
        node.create_pod("two", nodeName="", containers=two)
        await until(lambda: node.state("waits") == "ErrImageNeverPull")
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "v4.channel.k8s.io",
    }  # fmt: skip
    answered, text = await fetch(session, node, path, upgrade)
    assert (answered, text) == (status, message)


async def fetch(
    session: aiohttp.ClientSession, node: KubeletUnderTest, path: str, headers: dict[str, str]
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {node.layout.token_of(ADMIN)}"} | headers
    url = f"{api_url(node)}{PATH}/{path}"
    async with session.get(url, headers=headers, ssl=node.trust()) as answer:
        text = await answer.text()
        return answer.status, json.loads(text)["message"] if text.startswith("{") else text


async def test_a_plain_request_is_told_to_upgrade(
    node: KubeletUnderTest, session: aiohttp.ClientSession
) -> None:
    assert await fetch(session, node, "p/exec?command=ls&stdout=1", {}) == (
        400, "Upgrade request required",
    )  # fmt: skip


async def test_spdy_is_refused_in_words_that_kubectl_shows(
    node: KubeletUnderTest, session: aiohttp.ClientSession
) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    status, text = await fetch(session, node, "p/exec?command=ls&stdout=1", upgrade)
    assert status == 400
    assert text.startswith("this server speaks WebSocket and not SPDY/3.1; use kubectl 1.31")
    assert ": " not in text  # kubectl would take it for YAML, and show nothing


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, 403), ({"Authorization": "Bearer wrong"}, 401)],
    ids=["a web page", "no token"],
)
async def test_a_stranger_gets_no_stream(
    node: KubeletUnderTest, session: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(session, node, f"{PATH}/p/exec?stdout=1&command=ls", headers=headers)
    assert refused.value.status == status


async def test_attach_shows_what_is_printed_and_passes_input_on(node: KubeletUnderTest) -> None:
    node.create_pod("echoes", "python", "-uc", ECHO, container={"stdin": True, "stdinOnce": True},
                    restartPolicy="Never")  # fmt: skip
    await until(lambda: node.state("echoes") == "running")

    def converse() -> tuple[str | None, int]:
        with ending(connected(node, "attach", "echoes", stdin=True)) as talk:
            talk.write_stdin("hello\n")
            answer = talk.readline_stdout(timeout=10)
            talk.close_channel(0)
            talk.run_forever(timeout=10)
            return answer, talk.returncode

    assert await asyncio.to_thread(converse) == ("echo hello", 0)
    await until(lambda: node.pod("echoes")["status"]["phase"] == "Succeeded")
    assert (await node.ask("/containerLogs/default/echoes/c"))[1] == "echo hello\n"


async def test_a_container_with_a_terminal_is_logged_and_can_be_attached_to(
    node: KubeletUnderTest,
) -> None:
    code = "import sys; print(sys.stdout.isatty()); print('bye', input())"
    spec = {"stdin": True, "tty": True}
    node.create_pod("screen", "python", "-c", code, container=spec, restartPolicy="Never")
    await until(lambda: node.state("screen") == "running")
    await printed(node, "screen", "True\r\n")

    def converse() -> str:
        with ending(connected(node, "attach", "screen", stdin=True, tty=True)) as talk:
            talk.write_stdin("me\n")
            talk.run_forever(timeout=10)
            return talk.read_stdout()

    assert "bye me" in await asyncio.to_thread(converse)


async def printed(node: KubeletUnderTest, pod: str, text: str) -> None:
    """Wait until a pod has printed something."""
    log = next((node.layout.node(NODE) / "pods" / node.pod(pod)["metadata"]["uid"]).rglob("0.log"))
    await until(lambda: text.encode() in read_log(log, LogOptions()))


async def test_without_stdin_attaching_leaves_the_container_alone(node: KubeletUnderTest) -> None:
    def converse() -> None:
        with ending(connected(node, "attach", "p", stdin=True)) as talk:
            talk.write_stdin("nobody reads this\n")

    await asyncio.to_thread(converse)
    assert node.state("p") == "running"


async def test_the_official_client_says_why_there_is_no_exec(node: KubeletUnderTest) -> None:
    with pytest.raises(ApiException, match="container x is not valid for pod p"):
        await asyncio.to_thread(executing, node, "ls", container="x")
