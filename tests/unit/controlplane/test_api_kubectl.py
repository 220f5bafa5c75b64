"""kubectl, unchanged, against the API server. Skipped where there is no kubectl."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab_utils.controlplane.registry import Registry
from tests.unit.controlplane.apiserver import ApiServer

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ref, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: web:1
        env: [{name: A, value: "1"}]
        ports: [{containerPort: 8000}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: ref}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
"""


class Kubectl:
    """Runs kubectl with a home of its own."""

    def __init__(self, api: ApiServer, home: Path) -> None:
        self._environment = os.environ | {
            "HOME": str(home), "KUBECONFIG": str(api.kubeconfig), "NO_PROXY": "127.0.0.1",
        }  # fmt: skip

    def __call__(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        done = subprocess.run(
            [KUBECTL, "-n", "ref", *arguments], input=stdin, env=self._environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def kubectl(api: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Give kubectl with the manifest applied."""
    run = Kubectl(api, tmp_path_factory.mktemp("home"))
    assert run("apply", "-f", "-", stdin=MANIFEST).splitlines() == [
        "deployment.apps/web created",
        "service/web created",
    ]
    return run


def test_a_second_apply_changes_nothing(kubectl: Kubectl) -> None:
    again = kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert again.splitlines() == ["deployment.apps/web unchanged", "service/web unchanged"]


def test_apply_takes_away_what_the_manifest_no_longer_says(
    kubectl: Kubectl, api: ApiServer
) -> None:
    kubectl("apply", "-f", "-", stdin=MANIFEST.replace('env: [{name: A, value: "1"}]', ""))
    container = api.registry.get("Deployment", "ref", "web")["spec"]["template"]["spec"][
        "containers"
    ]
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert "env" not in container[0]


def test_an_apply_with_a_typo_is_refused_by_name(kubectl: Kubectl) -> None:
    wrong = MANIFEST.replace("replicas", "replcas")
    assert 'unknown field "spec.replcas"' in kubectl("apply", "-f", "-", stdin=wrong, fails=True)


def test_server_side_apply(kubectl: Kubectl) -> None:
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=MANIFEST)
    assert applied.splitlines()[0] == "deployment.apps/web serverside-applied"


def test_get_prints_the_servers_table(kubectl: Kubectl) -> None:
    head, line = kubectl("get", "deploy", "web", "-o", "wide").splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS",
                            "IMAGES", "SELECTOR"]  # fmt: skip
    assert line.split()[:2] == ["web", "0/2"]
    assert "80:30080/TCP" in kubectl("get", "all")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("scale", "deploy", "web", "--replicas=5"), "deployment.apps/web scaled"),
        (("label", "deploy", "web", "tier=a"), "deployment.apps/web labeled"),
        (("annotate", "deploy", "web", "note=b"), "deployment.apps/web annotated"),
        (("set", "image", "deploy/web", "c=web:2"), "deployment.apps/web image updated"),
        (("patch", "deploy", "web", "-p", '{"spec":{"paused":true}}'),
         "deployment.apps/web patched"),
        (("patch", "deploy", "web", "--type=json", "-p",
          '[{"op":"remove","path":"/spec/paused"}]'), "deployment.apps/web patched"),
        (("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p",
          '{"status":{"observedGeneration":1}}'), "deployment.apps/web patched"),
        (("rollout", "restart", "deploy/web"), "deployment.apps/web restarted"),
        (("create", "namespace", "two"), "namespace/two created"),
        (("create", "configmap", "cm", "--from-literal=a=b"), "configmap/cm created"),
        (("create", "secret", "generic", "s", "--from-literal=a=b"), "secret/s created"),
        (("create", "serviceaccount", "sa"), "serviceaccount/sa created"),
        (("create", "service", "clusterip", "s", "--tcp=80:8000"), "service/s created"),
        (("create", "deployment", "d", "--image=web:1", "--port=80"), "deployment.apps/d created"),
        (("create", "job", "j", "--image=web:1", "--", "true"), "job.batch/j created"),
        (("create", "pdb", "p", "--selector=app=web", "--min-available=1"),
         "poddisruptionbudget.policy/p created"),
        (("expose", "deploy", "d", "--port=80"), "service/d exposed"),
        (("autoscale", "deploy", "d", "--max=3", "--cpu-percent=50"),
         "horizontalpodautoscaler.autoscaling/d autoscaled"),
        (("auth", "can-i", "create", "pods"), "yes"),
        (("run", "one", "--image=web:1"), "pod/one created"),
        (("delete", "pod", "one"), 'pod "one" deleted'),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_kubectl_does(kubectl: Kubectl, arguments: tuple[str, ...], answer: str) -> None:
    assert kubectl(*arguments).strip().startswith(answer)


def test_rollout_status_waits_and_sees_the_end(kubectl: Kubectl, api: ApiServer) -> None:
    live = api.registry.get("Deployment", "ref", "web")
    replicas = live["spec"]["replicas"]
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas
    )
    status = counts | {"observedGeneration": live["metadata"]["generation"]}
    api.call(finish_rollout, api.registry, status)
    seen = kubectl("rollout", "status", "deploy/web", "--timeout=10s")
    assert 'deployment "web" successfully rolled out' in seen


def finish_rollout(registry: Registry, status: dict) -> None:
    merge = {"content_type": "application/merge-patch+json", "subresource": "status"}
    registry.patch("Deployment", "ref", "web", {"status": status}, **merge)


def test_describe_and_explain_find_their_way(kubectl: Kubectl) -> None:
    assert "StrategyType:           RollingUpdate" in kubectl("describe", "deploy", "web")
    assert "NodePort:                 <unset>  30080/TCP" in kubectl("describe", "svc", "web")
    assert "<DeploymentStrategy>" in kubectl("explain", "deployment.spec.strategy")
    assert "containerPort" in kubectl("explain", "pod.spec.containers.ports", "--recursive")


def test_api_resources_lists_the_served_kinds(kubectl: Kubectl) -> None:
    listed = kubectl("api-resources", "--no-headers").splitlines()
    assert [line.split()[0] for line in listed][:3] == ["configmaps", "endpoints", "events"]
    assert not any("statefulsets" in line for line in listed)


def test_diff_is_silent_when_there_is_none(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert kubectl("diff", "-f", "-", stdin=MANIFEST) == ""


def test_an_unknown_kind_is_unknown(kubectl: Kubectl) -> None:
    refused = kubectl("get", "statefulsets", fails=True)
    assert 'the server doesn\'t have a resource type "statefulsets"' in refused


def test_get_in_json_carries_the_kind_of_each_item(kubectl: Kubectl) -> None:
    items = json.loads(kubectl("get", "deploy", "-o", "json"))["items"]
    assert items[0]["kind"] == "Deployment"
