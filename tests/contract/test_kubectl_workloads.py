"""kubectl on running pods: rollouts, waiting, logs, top and nodes."""

import re
from collections.abc import Iterator

import pytest

from lab_utils.waiting import wait_for
from tests.contract.cluster import Object, has_phase, holds, rolled_out
from tests.contract.kubectl import Kubectl
from tests.contract.manifests import budget, container, deployment, pod, server

TALK = "import sys, time\nfor i in range(3): print('line', i, flush=True)\ntime.sleep(600)"


@pytest.fixture(scope="module", autouse=True)
def web(kubectl: Kubectl) -> None:
    """Have a Deployment of one ready pod, and a pod that has written three lines."""
    kubectl.namespace.create(
        deployment("web", server()), pod("talker", container("python", "-c", TALK))
    )
    kubectl.namespace.until("Deployment", "web", rolled_out)
    wait_for(
        lambda: "line 2" in kubectl.namespace.logs("talker") or None,
        timeout_s=60,
        late=lambda: AssertionError("nothing written"),
    )


def test_a_rollout_is_followed_to_its_end_and_undone(kubectl: Kubectl) -> None:
    kubectl("set", "env", "deploy/web", "VERSION=2")
    followed = kubectl("rollout", "status", "deploy/web", "--timeout=60s").splitlines()
    assert followed[-1] == 'deployment "web" successfully rolled out'
    assert all(line.startswith('Waiting for deployment "web"') for line in followed[:-1])
    kubectl("annotate", "deploy", "web", "kubernetes.io/change-cause=second")
    history = [line.split() for line in history_of(kubectl)]
    assert history == [["1", "<none>"], ["2", "second"]]
    assert "VERSION:\t2" in kubectl("rollout", "history", "deploy/web", "--revision=2")
    said = kubectl("rollout", "undo", "deploy/web")
    assert said == "deployment.apps/web rolled back\n"
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert [line.split()[0] for line in history_of(kubectl)] == ["2", "3"]
    kubectl("rollout", "undo", "deploy/web", "--to-revision=2")
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    refused = kubectl.refused("rollout", "undo", "deploy/web", "--to-revision=9")
    assert "unable to find specified revision 9 in history" in refused


def history_of(kubectl: Kubectl) -> list[str]:
    title, head, *lines = kubectl("rollout", "history", "deploy/web").strip().splitlines()
    assert (title.strip(), head.split()) == ("deployment.apps/web", ["REVISION", "CHANGE-CAUSE"])
    return lines


def test_a_stuck_rollout_is_followed_to_its_deadline(kubectl: Kubectl) -> None:
    absent = container(image="registry.invalid/absent:1")
    kubectl.namespace.create(deployment("stuck", absent, progressDeadlineSeconds=2))
    refused = kubectl.refused("rollout", "status", "deploy/stuck", "--timeout=60s")
    assert refused == 'error: deployment "stuck" exceeded its progress deadline\n'
    shown = kubectl("get", "pods", "-l", "app=stuck", "--no-headers")
    assert shown.split()[2] in ("ErrImagePull", "ImagePullBackOff")


def test_a_rollout_is_paused_changed_and_resumed(kubectl: Kubectl) -> None:
    assert kubectl("rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    assert "already paused" in kubectl.refused("rollout", "pause", "deploy/web")
    kubectl("set", "env", "deploy/web", "VERSION=3")
    assert kubectl("rollout", "resume", "deploy/web") == "deployment.apps/web resumed\n"
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert kubectl("set", "env", "deploy/web", "--list") == (
        "# Deployment web, container c\n# POD_IP from field path status.podIP\nVERSION=3\n"
    )


def test_a_restart_replaces_the_pods(kubectl: Kubectl) -> None:
    before = kubectl("get", "pods", "-l", "app=web", "-o", "name")
    assert kubectl("rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    after = kubectl(
        "get", "pods", "-l", "app=web", "--field-selector=status.phase=Running", "-oname"
    )
    assert set(after.split()) - set(before.split())


def test_wait_for_a_condition_a_field_and_an_end(kubectl: Kubectl) -> None:
    kubectl.namespace.create(pod("waited"))
    said = "pod/waited condition met\n"
    assert kubectl("wait", "--for=condition=Ready", "pod/waited", "--timeout=30s") == said
    assert kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/waited") == said
    refused = kubectl.refused("wait", "--for=condition=Nothing", "pod/waited", "--timeout=1s")
    assert refused == "error: timed out waiting for the condition on pods/waited\n"
    kubectl.namespace.delete("Pod", "waited")
    assert kubectl("wait", "--for=delete", "pod/waited", "--timeout=30s") in (said, "")


def test_logs_whole_and_in_part(kubectl: Kubectl) -> None:
    assert kubectl("logs", "talker") == "line 0\nline 1\nline 2\n"
    assert kubectl("logs", "talker", "--tail=1") == "line 2\n"
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z line 0\n", kubectl("logs", "talker", "--timestamps"))
    assert kubectl("logs", "talker", "--since=1h", "--limit-bytes=6") == "line 0"
    assert kubectl("logs", "-l", "app=talker", "--tail=1") == "line 2\n"
    assert kubectl("logs", "-l", "app=talker", "--prefix", "--tail=1") == (
        "[pod/talker/c] line 2\n"
    )


def test_logs_are_followed_to_the_end_of_the_pod(kubectl: Kubectl) -> None:
    code = "import time\nprint('first', flush=True)\ntime.sleep(2)\nprint('last', flush=True)"
    kubectl.namespace.create(pod("short", container("python", "-c", code), restartPolicy="Never"))
    kubectl.namespace.until("Pod", "short", has_phase("Running"))
    assert kubectl("logs", "-f", "short") == "first\nlast\n"
    assert kubectl("logs", "-f", "-l", "app=short", "--tail=1") == "last\n"


def has_restarted(one: Object) -> bool:
    return any(c["restartCount"] for c in one["status"].get("containerStatuses", []))


def test_logs_of_the_run_before_and_of_no_run(kubectl: Kubectl) -> None:
    kubectl.namespace.create(pod("again", container("python", "-c", "print('once')")))
    kubectl.namespace.until("Pod", "again", has_restarted)
    assert kubectl("logs", "again", "--previous") == "once\n"
    refused = kubectl.refused("logs", "talker", "--previous")
    assert 'previous terminated container "c" in pod "talker" not found' in refused
    assert 'pods "nothing" not found' in kubectl.refused("logs", "nothing")


def test_top_shows_nodes_and_pods(kubectl: Kubectl) -> None:
    if "metrics.k8s.io/v1beta1" not in kubectl("api-versions").split():
        pytest.skip("no metrics-server in this cluster")

    def shown() -> list[str] | None:
        done = kubectl.run("top", "pods", "--no-headers")
        return done.stdout.splitlines() if "talker" in done.stdout else None

    lines = wait_for(shown, timeout_s=60, late=lambda: AssertionError("no metrics of the pod"))
    (row,) = (line.split() for line in lines if line.startswith("talker"))
    assert re.fullmatch(r"\d+m", row[1])
    assert re.fullmatch(r"\d+Mi", row[2])
    head, *nodes = kubectl("top", "nodes").splitlines()
    assert head.split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert set(kubectl.namespace.cluster.nodes()) <= {line.split()[0] for line in nodes}


@pytest.fixture
def node(kubectl: Kubectl) -> Iterator[str]:
    """Give the name of a node, and take back what the test does to it."""
    name = kubectl.namespace.cluster.nodes()[0]
    yield name
    kubectl.run("uncordon", name)
    kubectl.run("taint", "node", name, "contract-")


def test_cordon_and_uncordon_a_node(kubectl: Kubectl, node: str) -> None:
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert kubectl("cordon", node) == f"node/{node} already cordoned\n"
    assert "Ready,SchedulingDisabled" in kubectl("get", "node", node)
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"


def test_taint_and_untaint_a_node(kubectl: Kubectl, node: str) -> None:
    assert kubectl("taint", "node", node, "contract=x:NoSchedule") == f"node/{node} tainted\n"
    assert "contract=x:NoSchedule" in kubectl("describe", "node", node)
    refused = kubectl.refused("taint", "node", node, "contract=x:NoSchedule")
    assert "already has contract taint(s) with same effect(s)" in refused
    assert kubectl("taint", "node", node, "contract-") == f"node/{node} untainted\n"


def test_drain_evicts_and_refuses_bare_pods(kubectl: Kubectl, node: str) -> None:
    bare = pod(
        "bare", nodeSelector={"kubernetes.io/hostname": node}, terminationGracePeriodSeconds=1
    )
    moving = deployment(
        "moving", replicas=2,
        template={"terminationGracePeriodSeconds": 1},
    )  # fmt: skip
    kubectl.namespace.create(bare, moving)
    kubectl.namespace.until("Pod", "bare", holds("Ready"))
    kubectl.namespace.until("Deployment", "moving", rolled_out)
    drain = ("drain", node, "--ignore-daemonsets", "--pod-selector=app in (bare,moving)")
    refused = kubectl.refused(*drain)
    assert "cannot delete" in refused
    assert "bare" in refused
    done = kubectl.run(*drain, "--force", "--timeout=60s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"node/{node} drained"
    assert "pod/bare evicted" in done.stdout
    kubectl.namespace.until("Deployment", "moving", rolled_out)
    nodes = kubectl("get", "pods", "-l", "app=moving", "-o", "jsonpath={.items[*].spec.nodeName}")
    assert node not in nodes.split()


def test_drain_waits_for_a_disruption_budget(kubectl: Kubectl, node: str) -> None:
    template = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
    }
    kubectl.namespace.create(deployment("kept", template=template), budget("kept", minAvailable=1))
    kubectl.namespace.until("Deployment", "kept", rolled_out)
    drain = ("drain", node, "--ignore-daemonsets", "--pod-selector=app=kept")
    refused = kubectl.refused(*drain, "--timeout=1s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert f'unable to drain node "{node}"' in refused
    kubectl("patch", "pdb", "kept", "--type=merge", "-p", '{"spec":{"minAvailable":0}}')
    done = kubectl.run(*drain, "--timeout=60s")
    assert done.stdout.splitlines()[-1] == f"node/{node} drained"
