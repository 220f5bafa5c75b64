"""What people type: exec, cp, run, attach and logs with kubectl, and what a lost node answers."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import aiohttp
import pytest

from lab_utils.controlplane import forward
from tests.unit.controlplane.kubelet.conftest import NODE, KubeletUnderTest, until

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
TICKS = ("python", "-uc", "import time\nfor i in range(10**6): print('tick', i); time.sleep(0.05)")
HERE = {"spec": {"nodeName": NODE, "automountServiceAccountToken": False}}


async def kubectl(
    node: KubeletUnderTest, *arguments: str, stdin: bytes = b"", wanted_code: int = 0
) -> tuple[str, str]:
    """Run kubectl to its end; give what it printed."""
    assert KUBECTL is not None
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", str(node.layout.kubeconfig), *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"NO_PROXY": "127.0.0.1", "HOME": str(node.layout.root)},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin), 40)
    assert process.returncode == wanted_code, err
    return out.decode(), err.decode()


async def test_kubectl_works_in_a_running_pod(node: KubeletUnderTest, tmp_path: Path) -> None:
    node.create_pod("p", *TICKS)
    await until(lambda: node.state("p") == "running")
    out, err = await kubectl(
        node, "exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 7", wanted_code=7
    )
    assert (out, err) == ("out\n", "err\ncommand terminated with exit code 7\n")
    sent = os.urandom(2**20)
    assert await kubectl(node, "exec", "-i", "p", "--", "wc", "-c", stdin=sent) == ("1048576\n", "")
    (tmp_path / "sent").write_bytes(sent)
    await kubectl(node, "cp", str(tmp_path / "sent"), f"p:{tmp_path}/arrived")
    assert (tmp_path / "arrived").read_bytes() == sent
    await kubectl(node, "cp", "p:/app/hello.txt", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello from the image\n"
    _, err = await kubectl(node, "exec", "p", "-c", "x", "--", "ls", wanted_code=1)
    assert "container x is not valid for pod p" in err
    _, err = await kubectl(node, "debug", "p", "--image=tools:1", wanted_code=1)
    assert "ephemeral containers are disabled for this cluster" in err


async def test_kubectl_follows_the_end_of_a_log(node: KubeletUnderTest) -> None:
    code = "import time\nfor i in range(6): print('tick', i, flush=True); time.sleep(0.1)"
    node.create_pod("p", "python", "-c", code, restartPolicy="Never")
    await until(lambda: node.state("p") == "running")
    out, _ = await kubectl(node, "logs", "-f", "p")
    assert out == "".join(f"tick {i}\n" for i in range(6))
    out, _ = await kubectl(node, "logs", "p", "--tail=2", "--timestamps", "--since=1m")
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["tick 4", "tick 5"]


async def test_kubectl_run_talks_to_its_pod_and_removes_it(node: KubeletUnderTest) -> None:
    code = "import sys; print(len(sys.stdin.read())); sys.exit(3)"
    out, _ = await kubectl(
        node, "run", "once", "-i", "--rm", "--restart=Never", "--image=tools:1",
        "--image-pull-policy=Never", f"--overrides={json.dumps(HERE)}",
        "--command", "--", "python", "-c", code, stdin=b"x" * 100_000, wanted_code=3,
    )  # fmt: skip
    assert out.startswith("100000\n")
    await until(lambda: not node.pods())


async def test_a_lost_node_is_named(
    node: KubeletUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_TIMEOUT", aiohttp.ClientTimeout(total=None, sock_connect=0.5))
    node.create_pod("p", *TICKS)
    await until(lambda: node.state("p") == "running")
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    _, err = await kubectl(node, "exec", "p", "--", "ls", wanted_code=1)
    assert "error dialing backend: net/http: TLS handshake timeout" in err
    node.process.send_signal(signal.SIGCONT)
    node.power_off()
    address = f"127.{node.octet}.2.1:10250"
    refused = f"dial tcp {address}: connect: connection refused"
    _, err = await kubectl(node, "port-forward", "p", ":80", wanted_code=1)
    assert f"error dialing backend: {refused}" in err
    _, err = await kubectl(node, "logs", "p", wanted_code=1)
    assert f'Get "https://{address}/containerLogs/default/p/c": {refused}' in err
