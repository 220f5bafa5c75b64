"""kubectl's streams into a running pod: exec, attach, port-forward."""

import re
import urllib.request

import pytest

from tests.contract.cluster import holds, rolled_out
from tests.contract.kubectl import Kubectl
from tests.contract.manifests import container, deployment, pod, server


@pytest.fixture(scope="module", autouse=True)
def web(kubectl: Kubectl) -> None:
    """Have a Deployment that serves, and a pod that only sleeps."""
    kubectl.namespace.create(deployment("web", server()), pod("sleeper"))
    kubectl.namespace.until("Deployment", "web", rolled_out)
    kubectl.namespace.until("Pod", "sleeper", holds("Ready"))


def test_exec_runs_a_command_in_the_pod(kubectl: Kubectl) -> None:
    assert kubectl("exec", "sleeper", "--", "python", "-c", "print(6 * 7)") == "42\n"
    assert kubectl("exec", "deploy/web", "--", "python", "-c", "print(1)") == "1\n"


def test_exec_passes_stdin_stderr_and_the_exit_code(kubectl: Kubectl) -> None:
    assert kubectl("exec", "-i", "sleeper", "--", "cat", stdin="hello\n") == "hello\n"
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = kubectl.run("exec", "sleeper", "--", "python", "-c", code)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert done.stderr == "err\ncommand terminated with exit code 3\n"


def test_exec_on_a_terminal(kubectl: Kubectl) -> None:
    asked = "import os, sys; print(sys.stdin.isatty(), *os.get_terminal_size())"
    shown = kubectl.on_terminal((50, 132), "exec", "-it", "sleeper", "--", "python", "-c", asked)
    assert "True 132 50" in shown


def test_exec_refuses_what_it_cannot_run(kubectl: Kubectl) -> None:
    assert "not found" in kubectl.refused("exec", "nothing", "--", "ls")
    refused = kubectl.run("exec", "sleeper", "--", "/nonexistent")
    assert refused.returncode != 0
    assert "no such file or directory" in refused.stderr
    assert "container nobody" in kubectl.refused("exec", "sleeper", "-c", "nobody", "--", "ls")


@pytest.mark.parametrize("target", ["deploy/web", "pod"])
def test_port_forward_carries_many_requests(kubectl: Kubectl, target: str) -> None:
    if target == "pod":
        running = ("--field-selector=status.phase=Running", "-l", "app=web", "-o", "name")
        target = kubectl("get", "pods", *running).split()[0]
    with kubectl.running("port-forward", target, ":8000") as forward:
        line = forward.stdout.readline()
        port = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8000\n", line)[1]
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.status == 200


def test_attach_follows_what_is_written(kubectl: Kubectl) -> None:
    code = "import time\nwhile True: print('tick', flush=True); time.sleep(0.2)"
    kubectl.namespace.create(pod("ticker", container("python", "-c", code)))
    kubectl.namespace.until("Pod", "ticker", holds("Ready"))
    with kubectl.running("attach", "ticker") as attached:
        assert attached.stdout.readline() == "tick\n"
    kubectl.namespace.delete("Pod", "ticker")
