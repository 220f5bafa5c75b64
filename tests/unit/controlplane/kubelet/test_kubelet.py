"""The kubelet process against a real API server: pods become processes, and back."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import pytest

from lab_utils.controlplane.config import NODE_MARK
from lab_utils.controlplane.processes import marked, signal_marked
from lab_utils.controlplane.store import Change
from tests.unit.controlplane.kubelet.conftest import NODE, KubeletUnderTest, until

TERMINATED = "signal.signal(15, lambda *_: sys.exit(143))"
RECORDED = Path(__file__).parents[3] / "reference" / "stats"
SLEEP = ("python", "-c", f"import signal, sys, time; {TERMINATED}; time.sleep(600)")


async def test_a_node_registers_itself_and_renews_its_lease(node: KubeletUnderTest) -> None:
    await until(lambda: node.registry.list("Lease", "kube-node-lease"))
    (registered,) = node.registry.list("Node")
    conditions = {c["type"]: c["status"] for c in registered["status"]["conditions"]}
    assert registered["metadata"]["name"] == NODE
    assert conditions["Ready"] == "True"
    assert registered["status"]["images"][0]["names"] == ["docker.io/library/tools:1"]


async def test_a_pod_runs_and_says_so(node: KubeletUnderTest) -> None:
    node.create_pod("runs", *SLEEP)
    await until(lambda: node.state("runs") == "running")
    status = node.pod("runs")["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == f"127.{node.octet}.2.2"
    assert node.container("runs")["ready"]
    await until(lambda: {"Pulled", "Created", "Started"} <= node.events("runs").keys())


async def test_a_pod_that_runs_once_succeeds_and_its_log_stays(node: KubeletUnderTest) -> None:
    code = "import os; print(open('hello.txt').read(), os.environ['FROM_IMAGE'], flush=True)"
    node.create_pod("once", "python", "-c", code, restartPolicy="Never")
    await until(lambda: node.pod("once").get("status", {}).get("phase") == "Succeeded")
    code_, text = await node.ask("/containerLogs/default/once/c")
    assert (code_, text) == (200, "hello from the image\n yes\n")


async def test_a_deleted_pod_passes_through_its_final_state(node: KubeletUnderTest) -> None:
    phases = _phases(node)
    graceful = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); signal.pause()"
    node.create_pod("ends", "python", "-uc", f"print(1); {graceful}")
    await until(lambda: node.state("ends") == "running")
    await until(lambda: _log_of(node, "ends"))
    node.registry.delete("Pod", "default", "ends")
    await until(lambda: "ends" not in node.pods())
    assert phases[-1] == "Succeeded"
    assert node.events("ends")["Killing"] == "Stopping container c"


@pytest.mark.fault(27)
async def test_a_crash_restarts_at_once_then_backs_off(node: KubeletUnderTest) -> None:
    node.create_pod("crash", "python", "-c", "raise SystemExit(3)")
    await until(lambda: node.state("crash") == "CrashLoopBackOff")
    status = node.container("crash")
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed")


async def test_killing_the_process_is_a_restart(node: KubeletUnderTest) -> None:
    node.create_pod("killed", *SLEEP)
    await until(lambda: node.state("killed") == "running")
    status, _ = await node.ask("/lab/signal/default/killed/c?signal=KILL", "POST")
    await until(lambda: node.container("killed")["restartCount"] == 1)
    last = node.container("killed")["lastState"]["terminated"]
    assert (status, last["exitCode"], last["reason"]) == (200, 137, "Error")


async def test_a_container_over_its_memory_limit_is_oom_killed(node: KubeletUnderTest) -> None:
    leak = "import time; kept = bytearray(64 << 20); time.sleep(600)"
    limits = {"resources": {"limits": {"memory": "32Mi"}}}
    node.create_pod("leaks", "python", "-c", leak, restartPolicy="Never", container=limits)
    await until(lambda: node.state("leaks") == "OOMKilled")
    assert node.container("leaks")["state"]["terminated"]["exitCode"] == 137


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        pytest.param(
            {"image": "absent:1"}, "ErrImageNeverPull",
            'Container image "absent:1" is not present with pull policy of Never', id="no image",
        ),
        pytest.param(
            {"image": "absent:1", "imagePullPolicy": "IfNotPresent"}, "ImagePullBackOff",
            'Back-off pulling image "absent:1": ErrImagePull: failed to pull and unpack', id="pull",
        ),
        pytest.param(
            {"command": ["/nonexistent"]}, "CrashLoopBackOff", "back-off 10s", id="no command",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "c"}}}]},
            "CreateContainerConfigError", 'configmap "b" not found', id="no ConfigMap",
        ),
        pytest.param(
            {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}},
            "CreateContainerConfigError",
            "container's runAsUser breaks non-root policy", id="root",
        ),
    ],
)  # fmt: skip
async def test_what_keeps_a_container_from_starting_is_said(
    node: KubeletUnderTest, changes: dict[str, object], reason: str, message: str
) -> None:
    node.create_pod("stuck", container=changes)
    await until(lambda: node.state("stuck") == reason)
    assert node.container("stuck")["state"]["waiting"]["message"].startswith(message)


async def test_pods_of_an_earlier_boot_are_lost_and_restarted(node: KubeletUnderTest) -> None:
    node.create_pod("survives", *SLEEP)
    await until(lambda: node.state("survives") == "running")
    node.power_off()
    node.start()
    await until(lambda: node.container("survives").get("restartCount") == 1)
    last = node.container("survives")["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (255, "Unknown")
    await until(lambda: "SandboxChanged" in node.events("survives"))


async def test_sigterm_ends_the_kubelet_and_its_containers(node: KubeletUnderTest) -> None:
    node.create_pod(
        "child", "python", "-uc", "import os, time; print(os.getpid()); time.sleep(600)"
    )
    await until(lambda: _log_of(node, "child"))
    pid = int(_log_of(node, "child").split()[-1])
    assert node.process is not None
    node.process.terminate()
    assert await asyncio.to_thread(node.process.wait, 10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_only_the_api_server_may_ask(node: KubeletUnderTest) -> None:
    await until(lambda: node.registry.list("Node"))
    assert (await node.ask("/healthz")) == (200, "ok")
    node.layout.tokens.write_text(json.dumps({"wrong": "kube-apiserver"}))
    assert (await node.ask("/healthz"))[0] == 401


async def test_a_failed_liveness_probe_restarts_the_container(node: KubeletUnderTest) -> None:
    probe = {"exec": {"command": ["python", "-c", "raise SystemExit('sick')"]}}
    probe |= {"periodSeconds": 1, "failureThreshold": 1}
    node.create_pod(
        "sick", *SLEEP, terminationGracePeriodSeconds=1, container={"livenessProbe": probe}
    )
    await until(lambda: node.container("sick").get("restartCount") == 1)
    events = node.events("sick")
    assert events["Unhealthy"] == "Liveness probe failed: sick\n"
    assert events["Killing"] == "Container c failed liveness probe, will be restarted"


async def test_a_pod_deleted_during_a_restart_runs_its_hook_once(node: KubeletUnderTest) -> None:
    ran = next(node.layout.images.iterdir()) / "rootfs" / "app" / "hooks"
    hook = ["python", "-c", "import time; open('hooks', 'a').write('x'); time.sleep(1)"]
    sick = {"exec": {"command": ["python", "-c", "raise SystemExit(1)"]}, "periodSeconds": 1}
    container = {
        "livenessProbe": sick | {"failureThreshold": 1},
        "lifecycle": {"preStop": {"exec": {"command": hook}}},
    }
    node.create_pod("restarts", *SLEEP, terminationGracePeriodSeconds=10, container=container)
    await until(ran.exists)
    node.registry.delete("Pod", "default", "restarts")
    await until(lambda: "restarts" not in node.pods())
    assert ran.read_text() == "x"


async def test_readiness_waits_for_the_startup_probe(node: KubeletUnderTest) -> None:
    probes = {
        "startupProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "readinessProbe": {"httpGet": {"port": 8000}, "periodSeconds": 1},
    }
    command = ("python", "-m", "http.server", "-b", "$(IP)", "8000")
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    node.create_pod("web", *command, container={**probes, "env": env})
    await until(lambda: node.state("web") == "running")
    assert not node.container("web")["started"]
    await until(lambda: node.container("web")["ready"])
    assert node.container("web")["started"]


async def test_init_containers_run_before_the_others(node: KubeletUnderTest) -> None:
    volume = {"volumes": [{"name": "shared", "emptyDir": {}}]}
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    write = ["python", "-c", "import sys; open(sys.argv[1], 'w').write('made before')", "/shared/x"]
    read = ["python", "-c", "import sys; print(open(sys.argv[1]).read())", "/shared/x"]
    first = {"name": "i", "image": "tools:1", "imagePullPolicy": "Never", "command": write}
    node.create_pod(
        "staged",
        container={"command": read, "volumeMounts": mounts},
        initContainers=[first | {"volumeMounts": mounts}],
        restartPolicy="Never",
        **volume,
    )
    await until(lambda: node.pod("staged").get("status", {}).get("phase") == "Succeeded")
    assert "made before" in _log_of(node, "staged")
    (init,) = node.pod("staged")["status"]["initContainerStatuses"]
    assert init["ready"]


@pytest.mark.fault(27)
async def test_a_container_that_ignores_sigterm_is_killed(node: KubeletUnderTest) -> None:
    phases = _phases(node)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)"
    node.create_pod("deaf", "python", "-uc", code, terminationGracePeriodSeconds=1)
    await until(lambda: node.pod("deaf") and _log_of(node, "deaf"))
    node.registry.delete("Pod", "default", "deaf")
    await until(lambda: "deaf" not in node.pods())
    assert phases[-1] == "Failed"


async def test_a_pod_deleted_by_force_is_killed_without_a_word(node: KubeletUnderTest) -> None:
    code = "import os, time; print(os.getpid()); time.sleep(600)"
    node.create_pod("forced", "python", "-uc", code)
    await until(lambda: _log_of(node, "forced"))
    pid = int(_log_of(node, "forced").split()[-1])
    node.registry.delete("Pod", "default", "forced", grace_s=0)
    await until(lambda: not _is_alive(pid))


async def test_an_active_deadline_fails_the_pod(node: KubeletUnderTest) -> None:
    node.create_pod(
        "late", *SLEEP, activeDeadlineSeconds=1, terminationGracePeriodSeconds=1,
        restartPolicy="Never",
    )  # fmt: skip
    await until(lambda: node.pod("late").get("status", {}).get("phase") == "Failed")
    assert node.pod("late")["status"]["reason"] == "DeadlineExceeded"


async def test_addresses_are_not_used_again_at_once(node: KubeletUnderTest) -> None:
    for name in ("one", "two"):
        node.create_pod(name, *SLEEP, terminationGracePeriodSeconds=0)
        await until(lambda name=name: node.state(name) == "running")
    node.registry.delete("Pod", "default", "one")
    await until(lambda: "one" not in node.pods())
    node.create_pod("three", *SLEEP)
    await until(lambda: node.state("three") == "running")
    assert node.pod("three")["status"]["podIP"] == f"127.{node.octet}.2.4"


async def test_statistics_have_the_names_of_a_real_kubelet(node: KubeletUnderTest) -> None:
    limits = {"resources": {"limits": {"cpu": "100m", "memory": "64Mi"}}}
    probe = {"exec": {"command": ["python", "-c", "pass"]}, "periodSeconds": 1}
    node.create_pod("seen", *SLEEP, container=limits | {"readinessProbe": probe})
    await until(lambda: node.container("seen").get("ready"))
    deadline = asyncio.get_running_loop().time() + 15
    summary: dict[str, list[dict[str, object]]] = {"pods": []}
    while not summary["pods"]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.5)
        summary = json.loads((await node.ask("/stats/summary"))[1])
    (pod,) = summary["pods"]
    assert pod["containers"][0]["memory"]["workingSetBytes"] > 0  # type: ignore[index]
    for name in ("cadvisor", "resource", "probes"):
        text = (await node.ask(f"/metrics/{name}"))[1]
        recorded = (RECORDED / f"lab-worker.{name}.txt").read_text()
        real, ours = _families(recorded), _families(text)
        assert ours
        assert {family: real.get(family) for family in ours} == ours


async def test_logs_of_a_pod_that_has_none_say_why(node: KubeletUnderTest) -> None:
    node.create_pod("stuck", container={"image": "absent:1"})
    await until(lambda: node.state("stuck") == "ErrImageNeverPull")
    status, text = await node.ask("/containerLogs/default/stuck/c")
    message = 'container "c" in pod "stuck" is waiting to start: ErrImageNeverPull'
    assert (status, json.loads(text)["message"]) == (400, message)


def _families(text: str) -> dict[str, tuple[str, list[str]]]:
    """Give the type of each metric, and the labels of its first line."""
    found = {}
    for block in text.split("# HELP ")[1:]:
        _, kind, *samples = block.splitlines()
        _, _, name, what = kind.split()
        found[name] = (what, re.findall(r'(\w+)="', samples[0] if samples else ""))
    return found


def _log_of(node: KubeletUnderTest, name: str) -> str:
    uid = node.pod(name)["metadata"]["uid"]
    path = node.layout.node(NODE) / "pods" / uid / "containers" / "c" / "0.log"
    return path.read_text() if path.exists() else ""


def _phases(node: KubeletUnderTest) -> list[str]:
    """Collect the phases that pods go through from now on."""
    phases: list[str] = []

    def note(change: Change) -> None:
        if change.kind == "Pod":
            phases.append(change.object.get("status", {}).get("phase", ""))

    node.registry.store.subscribe(note)
    return phases


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", "rb") as stream:
        return stream.read().rpartition(b")")[2].split()[0] == b"T"


async def test_a_held_container_stays_so_when_its_node_is_thawed(node: KubeletUnderTest) -> None:
    assert node.process is not None
    pids = {}
    for name in ("held", "free"):
        node.create_pod(name, *SLEEP)
        await until(lambda name=name: node.state(name) == "running")
        own = set(marked(NODE_MARK, f"{node.config.run_id}/{NODE}")) - {node.process.pid}
        (pids[name],) = own - set(pids.values())
    await node.ask("/lab/signal/default/held/c?signal=STOP", "POST")
    node.process.send_signal(signal.SIGSTOP)
    signal_marked(NODE_MARK, f"{node.config.run_id}/{NODE}", signal.SIGSTOP)
    await until(lambda: all(map(_is_stopped, pids.values())))
    node.process.send_signal(signal.SIGCONT)
    await until(lambda: not _is_stopped(pids["free"]))
    assert _is_stopped(pids["held"])
