"""Init containers, sidecars, hooks, volumes and refusals of pods on a real kubelet."""

import copy
from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.kubelet.events import Recorder
from lab_utils.controlplane.kubelet.images import ImageStore
from lab_utils.controlplane.kubelet.node import Addresses, capacity
from lab_utils.controlplane.kubelet.runtime import Runtime
from lab_utils.controlplane.kubelet.starting import NodeServices
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.processes import marked
from tests.unit.controlplane.kubelet.conftest import IMAGE, NODE, KubeletUnderTest, until

TERMINATED = "signal.signal(15, lambda *_: sys.exit(143))"
SLEEP = ["python", "-c", f"import signal, sys, time; {TERMINATED}; time.sleep(600)"]
Json = dict[str, Any]


def container(name: str, command: list[str], **spec: Any) -> Json:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": command,
        **spec,
    }


def noting(diary: Path, text: str, *, at_the_end: str = "") -> list[str]:
    """Give a command that writes into a diary at its start and, on SIGTERM, at its end."""
    code = f"""
import signal, sys, time
def note(text): open({str(diary)!r}, "a").write(text + "\\n")
def end(*_): time.sleep(0.3); note({at_the_end!r}); sys.exit(0)
signal.signal(signal.SIGTERM, end)
note({text!r})
time.sleep(600)
"""
    return ["python", "-c", code]


def status_of(node: KubeletUnderTest, pod: str, name: str) -> Json:
    status = node.pod(pod).get("status", {})
    statuses = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    return next((one for one in statuses if one["name"] == name), {})


def has_file(path: Path) -> Json:
    return {"exec": {"command": ["python", "-c", f"open({str(path)!r})"]}, "periodSeconds": 1}


async def test_a_sidecar_starts_up_first_and_ends_last(
    node: KubeletUnderTest, tmp_path: Path
) -> None:
    diary, is_up = tmp_path / "diary", tmp_path / "up"
    sidecar = container("side", noting(diary, "side begins", at_the_end="side ends"))
    sidecar |= {"restartPolicy": "Always", "startupProbe": has_file(is_up)}
    main = container("c", noting(diary, "main begins", at_the_end="main ends"))
    node.create_pod("served", initContainers=[sidecar], containers=[main])
    await until(lambda: "running" in status_of(node, "served", "side").get("state", {}))
    assert node.pod("served")["status"]["phase"] == "Pending"
    is_up.touch()
    await until(lambda: node.state("served") == "running")
    side = status_of(node, "served", "side")
    assert (side["ready"], side["started"]) == (True, True)
    await until(lambda: diary.read_text().count("begins") == 2)
    node.registry.delete("Pod", "default", "served")
    await until(lambda: "served" not in node.pods())
    order = ["side begins", "main begins", "main ends", "side ends"]
    assert diary.read_text().splitlines() == order


async def test_a_pod_is_done_when_all_but_its_sidecars_are(node: KubeletUnderTest) -> None:
    sidecar = container("side", SLEEP, restartPolicy="Always")
    main = container("c", ["python", "-c", "pass"])
    node.create_pod(
        "job",
        initContainers=[sidecar],
        containers=[main],
        restartPolicy="Never",
        terminationGracePeriodSeconds=1,
    )
    await until(lambda: node.pod("job").get("status", {}).get("phase") == "Succeeded")
    assert status_of(node, "job", "side")["state"]["terminated"]["exitCode"] == 143


async def test_a_sidecar_that_ends_is_started_again(node: KubeletUnderTest) -> None:
    sidecar = container("side", ["python", "-c", "import time; time.sleep(0.5)"])
    main = container("c", SLEEP)
    node.create_pod(
        "again",
        initContainers=[sidecar | {"restartPolicy": "Always"}],
        containers=[main],
        restartPolicy="Never",
    )
    await until(lambda: status_of(node, "again", "side").get("restartCount", 0) >= 1)
    assert node.state("again") == "running"


async def test_a_container_counts_as_started_after_its_post_start_hook(
    node: KubeletUnderTest, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    hook = {"postStart": {"exec": {"command": ["python", "-c", wait]}}}
    node.create_pod("hooked", *SLEEP, container={"lifecycle": hook})
    await until(lambda: "Started" in node.events("hooked"))
    assert node.state("hooked") == "ContainerCreating"
    go.touch()
    await until(lambda: node.state("hooked") == "running")


async def test_a_failed_post_start_hook_stops_the_container(node: KubeletUnderTest) -> None:
    hook = {
        "postStart": {"exec": {"command": ["python", "-c", "print('no'); raise SystemExit(1)"]}}
    }
    node.create_pod("unhooked", *SLEEP, container={"lifecycle": hook})
    await until(lambda: "FailedPostStartHook" in node.events("unhooked"))
    await until(lambda: node.state("unhooked") in ("PostStartHookError", "CrashLoopBackOff"))
    await until(lambda: node.container("unhooked")["restartCount"] >= 1)
    assert node.events("unhooked")["Killing"] == "FailedPostStartHook"
    assert node.container("unhooked")["lastState"]["terminated"]["exitCode"] == 143


async def test_a_pod_can_be_deleted_while_a_post_start_hook_runs(node: KubeletUnderTest) -> None:
    hook = {"postStart": {"exec": {"command": SLEEP}}}
    spec = {"container": {"lifecycle": hook}, "terminationGracePeriodSeconds": 2}
    node.create_pod("stuck", *SLEEP, **spec)
    await until(lambda: "Started" in node.events("stuck"))
    node.registry.delete("Pod", "default", "stuck")
    await until(lambda: "stuck" not in node.pods())


async def test_a_probe_may_have_a_shorter_grace_period(node: KubeletUnderTest) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    probe = {"exec": {"command": ["python", "-c", "raise SystemExit(1)"]}, "periodSeconds": 1}
    probe |= {"failureThreshold": 1, "terminationGracePeriodSeconds": 1}
    spec = {"livenessProbe": probe}
    node.create_pod("deaf", "python", "-c", deaf, container=spec, terminationGracePeriodSeconds=600)
    await until(lambda: node.container("deaf").get("restartCount", 0) >= 1)
    assert node.container("deaf")["lastState"]["terminated"]["exitCode"] == 137


async def test_a_changed_label_reaches_the_volume_that_shows_it(node: KubeletUnderTest) -> None:
    show = """
import time
while True:
    print(open("/etc/pod/labels").read(), open("/etc/pod/cpu").read(), flush=True)
    time.sleep(0.1)
"""
    cpu = {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": cpu},
    ]
    main = container("c", ["python", "-c", show], resources={"limits": {"cpu": "250m"}})
    main["volumeMounts"] = [{"name": "pod", "mountPath": "/etc/pod"}]
    volumes = [{"name": "pod", "downwardAPI": {"items": items}}]
    node.create_pod("shown", containers=[main], volumes=volumes)
    await until(lambda: node.state("shown") == "running")
    pod = copy.deepcopy(node.pod("shown"))
    pod["metadata"]["labels"] = {"role": "backup"}
    node.registry.update("Pod", pod)

    (log,) = node.layout.node(NODE).glob("pods/*/containers/c/0.log")
    await until(lambda: 'role="backup" 250' in log.read_text())


async def test_a_pod_that_names_its_node_is_refused_without_room(node: KubeletUnderTest) -> None:
    limits = {"resources": {"limits": {"cpu": "5000"}}}
    node.create_pod("huge", *SLEEP, container=limits)
    await until(lambda: node.pod("huge").get("status", {}).get("phase") == "Failed")
    status = node.pod("huge")["status"]
    wanted = "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000000, used: 0"
    assert status["reason"] == "OutOfcpu"
    assert status["message"].startswith(wanted)
    assert "containerStatuses" not in status


def test_addresses_that_are_all_taken_are_refused_as_a_network_plugin_does() -> None:
    addresses = Addresses(64, 2)
    taken = [addresses.take() for _ in range(253)]
    with pytest.raises(LookupError, match="no IP addresses available in range set"):
        addresses.take()
    addresses.give_back(taken[7])
    assert addresses.take() == taken[7]


class FailingRecorder(Recorder):
    """Breaks the worker after it has started a process."""

    def emit(self, pod: Json, kind: str, reason: str, message: str, field_path: str = "") -> None:
        if reason == "Started":
            raise RuntimeError("broken")


async def test_a_worker_that_fails_leaves_no_process(
    node: KubeletUnderTest, tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.power_off()
    monkeypatch.setenv("LAB_CLUSTER_RUN", "worker-that-fails")
    endpoint = Endpoint.read(node.layout)
    assert endpoint is not None
    client = ApiClient.of_node(node.layout, endpoint.port, NODE)
    services = NodeServices(
        client=client,
        recorder=FailingRecorder(client, NODE),
        runtime=runtime,
        images=ImageStore(node.layout, NODE),
        addresses=Addresses(64, 2),
        folder=tmp_path / "pods",
        services=tmp_path / "services.json",
        capacity=capacity() | {"pods": "110"},
    )
    node.create_pod("breaks", *SLEEP)
    with pytest.raises(RuntimeError, match="broken"):
        await PodWorker(node.pod("breaks"), services).run()
    await client.close()
    assert not list(marked("LAB_CLUSTER_RUN", "worker-that-fails"))
