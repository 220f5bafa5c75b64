"""kubectl's reading verbs: what it prints about a small running workload."""

import json
import re
import urllib.request

import pytest
import yaml

from tests.contract.cluster import rolled_out
from tests.contract.kubectl import Kubectl
from tests.contract.manifests import config_map, deployment, pod, server, service

KINDS = {
    "configmaps": "cm", "deployments": "deploy", "endpoints": "ep", "endpointslices": "",
    "events": "ev", "horizontalpodautoscalers": "hpa", "jobs": "", "leases": "",
    "namespaces": "ns", "networkpolicies": "netpol", "nodes": "no", "poddisruptionbudgets": "pdb",
    "pods": "po", "replicasets": "rs", "secrets": "", "serviceaccounts": "sa", "services": "svc",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def workload(kubectl: Kubectl) -> None:
    """Have a Deployment of one ready pod behind a NodePort Service, and a ConfigMap."""
    kubectl.namespace.create(
        deployment("web", server()), service("web", type="NodePort"), config_map("cm", a="1")
    )
    kubectl.namespace.until("Deployment", "web", rolled_out)


def test_api_resources_lists_kinds_with_their_short_names(kubectl: Kubectl) -> None:
    listed = [line.split() for line in kubectl("api-resources", "--no-headers").splitlines()]
    short = {row[0]: row[1] if len(row) == 5 else "" for row in reversed(listed)}  # core first
    assert {name: short.get(name) for name in KINDS} == KINDS


def test_api_resources_can_be_asked_by_group_and_verb(kubectl: Kubectl) -> None:
    listed = kubectl("api-resources", "--api-group=apps", "--verbs=patch", "-o", "name")
    assert {"deployments.apps", "replicasets.apps"} <= set(listed.split())


def test_api_versions_names_every_group(kubectl: Kubectl) -> None:
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1"} <= set(versions)


def test_version_knows_the_servers(kubectl: Kubectl) -> None:
    done = kubectl.run("version")
    assert re.search(r"^Server Version: v1\.3\d\.\d+", done.stdout, re.MULTILINE)


def test_cluster_info_shows_the_control_plane(kubectl: Kubectl) -> None:
    assert "Kubernetes control plane is running at https://" in plain(kubectl("cluster-info"))


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("deployment.spec.strategy", ["KIND:       Deployment", "VERSION:    v1",
                                      "rollingUpdate\t<RollingUpdateDeployment>"]),
        ("pod.spec.containers.ports", ["containerPort\t<integer> -required-"]),
        ("svc.spec.type", ["FIELD: type <string>"]),
        ("job.spec", ["backoffLimit\t<integer>"]),
        ("hpa.spec", ["maxReplicas\t<integer> -required-"]),
    ],
)  # fmt: skip
def test_explain_shows_fields_with_their_types(
    kubectl: Kubectl, path: str, words: list[str]
) -> None:
    explained = kubectl("explain", path)
    assert [word for word in words if word not in explained] == []


def test_explain_says_what_a_field_is_for(kubectl: Kubectl) -> None:
    explained = kubectl("explain", "deployment.spec.replicas")
    assert "Number of desired pods" in explained


def test_explain_goes_down_the_whole_tree(kubectl: Kubectl) -> None:
    assert "periodSeconds" in kubectl("explain", "deployment", "--recursive")


def test_explain_refuses_a_field_that_is_not_there(kubectl: Kubectl) -> None:
    assert 'field "nothing" does not exist' in kubectl.refused("explain", "pod.spec.nothing")


def test_get_prints_the_servers_columns(kubectl: Kubectl) -> None:
    head, line = kubectl("get", "deployments").splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert line.split()[:4] == ["web", "1/1", "1", "1"]


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("pods", "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES"),
        ("deploy", "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR"),
        ("rs", "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR"),
        ("svc", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR"),
        ("nodes", "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION"),
    ],
)
def test_get_wide_prints_more_columns(kubectl: Kubectl, kind: str, columns: str) -> None:
    head = kubectl("get", kind, "-o", "wide").splitlines()[0]
    assert " ".join(head.split()).startswith(columns)


def test_get_all_shows_the_workload_by_kind(kubectl: Kubectl) -> None:
    names = re.findall(r"^(\S+/web)", kubectl("get", "all"), re.MULTILINE)
    assert names == ["pod/web", "service/web", "deployment.apps/web", "replicaset.apps/web"]


def test_get_as_yaml_can_be_applied_again(kubectl: Kubectl) -> None:
    shown = kubectl("get", "cm", "cm", "-o", "yaml")
    assert yaml.safe_load(shown)["data"] == {"a": "1"}
    assert "managedFields" not in shown
    assert "managedFields" in kubectl("get", "cm", "cm", "-o", "yaml", "--show-managed-fields")


def test_get_as_json_is_a_list_of_whole_objects(kubectl: Kubectl) -> None:
    shown = json.loads(kubectl("get", "deploy,svc", "-o", "json"))
    assert shown["kind"] == "List"
    assert [item["kind"] for item in shown["items"]] == ["Deployment", "Service"]


def test_get_by_jsonpath(kubectl: Kubectl) -> None:
    path = "jsonpath={.items[*].spec.containers[0].name}"
    assert kubectl("get", "pods", "-l", "app=web", "-o", path) == "c"


def test_get_with_columns_of_ones_own(kubectl: Kubectl) -> None:
    columns = "custom-columns=WHO:.metadata.name,KEPT:.spec.revisionHistoryLimit"
    shown = kubectl("get", "deploy", "web", "-o", columns).splitlines()
    assert [line.split() for line in shown] == [["WHO", "KEPT"], ["web", "10"]]


def test_get_by_name_sorted_and_without_heads(kubectl: Kubectl) -> None:
    shown = kubectl("get", "svc,deploy", "--no-headers", "--sort-by=.kind", "-o", "name")
    assert sorted(shown.split()) == ["deployment.apps/web", "service/web"]


def test_get_across_namespaces_has_a_namespace_column(kubectl: Kubectl) -> None:
    head, *lines = kubectl("get", "pods", "-A", "-l", "app=web").splitlines()
    assert head.split()[0] == "NAMESPACE"
    assert kubectl.namespace.name in {line.split()[0] for line in lines}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-l", "app=web"], 1),
        (["-l", "app in (web,db),tier notin (x)"], 1),
        (["-l", "app!=web"], 0),
        (["--field-selector", "status.phase=Running"], 1),
        (["--field-selector", "status.phase!=Running"], 0),
    ],
)
def test_get_by_selectors(kubectl: Kubectl, arguments: list[str], found: int) -> None:
    done = kubectl.run("get", "pods", "-o", "name", *arguments)
    assert len(done.stdout.split()) == found


def test_get_with_labels_shown(kubectl: Kubectl) -> None:
    assert kubectl("get", "pods", "-L", "app").splitlines()[1].split()[-1] == "web"
    assert "pod-template-hash=" in kubectl("get", "pods", "--show-labels")


def test_get_watches_until_it_is_ended(kubectl: Kubectl) -> None:
    with kubectl.running("get", "cm", "-w", "--output-watch-events") as watch:
        assert watch.stdout.readline().split() == ["EVENT", "NAME", "DATA", "AGE"]
        assert watch.stdout.readline().split()[0] == "ADDED"
        kubectl.namespace.create(config_map("late", b="2"))
        line = ""
        while "late" not in line:
            line = watch.stdout.readline()
    assert line.split()[:3] == ["ADDED", "late", "1"]
    kubectl.namespace.delete("ConfigMap", "late")


def test_what_is_not_there_is_said_so(kubectl: Kubectl) -> None:
    refused = kubectl.refused("get", "pod", "nothing")
    assert refused == 'Error from server (NotFound): pods "nothing" not found\n'
    refused = kubectl.refused("get", "nothing")
    assert refused == 'error: the server doesn\'t have a resource type "nothing"\n'
    nothing = kubectl.run("get", "pods", "-l", "a=b")
    assert nothing.stderr == f"No resources found in {kubectl.namespace.name} namespace.\n"
    assert kubectl("get", "pod", "nothing", "--ignore-not-found") == ""


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("deploy/web", ["StrategyType:           RollingUpdate", "NewReplicaSet:   web-",
                        "Replicas:               1 desired | 1 updated | 1 total | 1 available",
                        "Scaled up replica set web-", "NewReplicaSetAvailable",
                        "MinimumReplicasAvailable"]),
        ("rs", ["Controlled By:  Deployment/web", "Created pod: web-",
                "Pods Status:    1 Running / 0 Waiting / 0 Succeeded / 0 Failed"]),
        ("pods", ["Controlled By:  ReplicaSet/web-", "Ready:          True",
                  "http-get http://:8000/ delay=0s timeout=1s period=1s #success=1 #failure=3",
                  "POD_IP:   (v1:status.podIP)", "QoS Class:", "PodReadyToStartContainers",
                  "Successfully assigned", "Container started"]),
        ("svc/web", ["Type:                     NodePort", "TargetPort:               8000/TCP",
                     "Endpoints:                1", "External Traffic Policy:  Cluster"]),
        ("endpointslices", ["AddressType:  IPv4", "TargetRef:  Pod/web-", "Ready:    true"]),
        ("cm/cm", ["Data\n====\na:\n----\n1\n"]),
    ],
)  # fmt: skip
def test_describe_tells_the_whole_story(kubectl: Kubectl, what: str, words: list[str]) -> None:
    described = kubectl("describe", *what.split("/"))
    assert [word for word in words if word not in described] == []


def test_describe_a_node_with_its_pods_and_their_requests(kubectl: Kubectl) -> None:
    node = kubectl.namespace.cluster.nodes()[0]
    described = kubectl("describe", "node", node)
    for words in (f"kubernetes.io/hostname={node}", "Non-terminated Pods:", "KubeletReady",
                  "Allocated resources:", "RenewTime:"):  # fmt: skip
        assert words in described


def test_describe_the_namespace(kubectl: Kubectl) -> None:
    assert "Status:       Active" in kubectl("describe", "ns", kubectl.namespace.name)


def test_events_tell_a_pods_start_in_order(kubectl: Kubectl) -> None:
    kubectl.namespace.create(pod("told"))
    kubectl.namespace.until("Pod", "told", lambda one: one["status"]["phase"] == "Running")
    wanted = ["Scheduled", "Pulled", "Created", "Started"]
    shown = kubectl("events", "--for", "pod/told", "--no-headers")
    assert sorted(line.split()[2] for line in shown.splitlines()) == sorted(wanted)
    assert "Normal" in kubectl("get", "events", "--field-selector", "involvedObject.name=told")
    assert kubectl("events", "--types=Normal", "--for", "pod/told").startswith("LAST SEEN")
    kubectl.namespace.delete("Pod", "told")


def test_auth_says_what_one_may(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert kubectl("auth", "can-i", "delete", "nodes", warns="not namespace scoped") == "yes\n"
    assert re.search(r"\*\.\*\s+\[\]\s+\[\]\s+\[\*\]", kubectl("auth", "can-i", "--list"))
    assert "system:authenticated" in kubectl("auth", "whoami")


def test_raw_paths_answer(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/healthz") == "ok"
    assert "readyz check passed" in kubectl("get", "--raw", "/readyz?verbose")


def test_proxy_hands_the_api_to_a_browser(kubectl: Kubectl) -> None:
    with kubectl.running("proxy", "--port=0") as proxy:
        address = proxy.stdout.readline().rpartition(" ")[2].strip()
        path = f"/api/v1/namespaces/{kubectl.namespace.name}/services/web:80/proxy/"
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            assert answer.status == 200
