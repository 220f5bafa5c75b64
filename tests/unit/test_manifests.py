"""What the manifests promise: sizes, probes, places, guards, and a reason for each number."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_utils import manifests
from lab_utils.backends.topology import NODE_PORTS, node_specs, read_cluster_file
from lab_utils.controlplane import podsecurity, schema
from worker.settings import Settings

FOLDER = Path(__file__).parents[2] / "manifests"
OBJECTS = {(m.kind, m.name): m.object for m in manifests.read(FOLDER)}
ROLES = ["primary", "backup"]
OTHER = dict(zip(ROLES, reversed(ROLES), strict=True))


def pod_of(role: str) -> dict[str, Any]:
    return OBJECTS["Deployment", f"inference-{role}"]["spec"]["template"]


def container_of(role: str) -> dict[str, Any]:
    (container,) = pod_of(role)["spec"]["containers"]
    return container


def test_the_kustomization_leaves_no_file_out():
    files = {path.name for path in (FOLDER / "base").glob("*.yaml")} - {"kustomization.yaml"}
    listed = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    assert files == set(listed)
    assert len(OBJECTS) == len(files), "one object a file"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kubectl_and_the_lab_read_the_same_objects():
    command = ["kubectl", "kustomize", str(FOLDER)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(text)} == OBJECTS


@pytest.mark.parametrize("key", OBJECTS, ids="/".join)
def test_no_manifest_has_a_field_that_kubernetes_does_not_know(key):
    assert schema.check(key[0], OBJECTS[key]) == []


EXPERIMENTS = sorted(
    path.parent.name
    for path in FOLDER.glob("experiments/*/kustomization.yaml")
    if path.parent.name != "metrics-server"  # it has kinds that the embedded cluster does without
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_one_that_a_real_server_would_take(name):
    for manifest in manifests.read(FOLDER / "experiments" / name):
        assert schema.check(manifest.kind, manifest.object) == [], manifest.where
        if pod := manifest.object.get("spec", {}).get("template"):
            found = podsecurity.violations("restricted", pod["metadata"], pod["spec"])
            assert found == [], manifest.where


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_has_exactly_the_labs_requests_and_limits(role):
    assert container_of(role)["resources"] == {
        "requests": {"cpu": "50m", "memory": "32Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("probe", "route", "period_s", "failures"),
    [
        ("startupProbe", "/v2/health/live", 1, 60),
        ("readinessProbe", "/v2/health/ready", 2, 2),
        ("livenessProbe", "/v2/health/live", 5, 3),
    ],
)
def test_probes_ask_the_route_that_means_what_they_decide(role, probe, route, period_s, failures):
    found = container_of(role)[probe]
    assert found["httpGet"] == {"path": route, "port": "http"}
    assert (found["periodSeconds"], found["failureThreshold"]) == (period_s, failures)
    assert found["timeoutSeconds"] == 1


@pytest.mark.parametrize("role", ROLES)
def test_pods_are_what_pod_security_calls_restricted(role):
    namespace = OBJECTS["Namespace", "lab"]["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = pod_of(role)
    assert podsecurity.violations("restricted", pod["metadata"], pod["spec"]) == []
    assert container_of(role)["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("role", ROLES)
def test_the_worker_knows_every_variable_it_is_given(role):
    known = {field.validation_alias for field in Settings.model_fields.values()}
    assert {variable["name"] for variable in container_of(role)["env"]} <= known


@pytest.mark.parametrize(("role", "node"), [("primary", "lab-worker"), ("backup", "lab-worker2")])
def test_each_role_prefers_a_node_of_its_own_and_away_from_the_other(role, node):
    affinity = pod_of(role)["spec"]["affinity"]
    (wish,) = affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["preference"]["matchExpressions"][0]["values"] == [node]
    (wish,) = affinity["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = wish["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert labels == pod_of(OTHER[role])["metadata"]["labels"]


def test_the_two_deployments_differ_in_role_and_place_only():
    primary, backup = ((FOLDER / "base" / f"deployment-{role}.yaml").read_text() for role in ROLES)
    swapped = {"primary": "backup", "backup": "primary", "lab-worker": "lab-worker2"}
    assert re.sub(r"primary|backup|lab-worker\b", lambda m: swapped[m[0]], primary) == backup


@pytest.mark.parametrize(
    ("service", "roles"),
    [("inference", ROLES), ("inference-primary", ["primary"]), ("inference-backup", ["backup"])],
)
def test_a_service_selects_the_pods_of_its_roles(service, roles):
    selector = OBJECTS["Service", service]["spec"]["selector"].items()
    assert [r for r in ROLES if selector <= pod_of(r)["metadata"]["labels"].items()] == roles


def test_the_guards_select_both_roles():
    budget = OBJECTS["PodDisruptionBudget", "inference"]["spec"]
    policy = OBJECTS["NetworkPolicy", "inference"]["spec"]
    assert budget == {"minAvailable": 1, "selector": {"matchLabels": {"app": "inference"}}}
    assert policy["podSelector"] == {"matchLabels": {"app": "inference"}}
    ports = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert ports == [port["containerPort"] for port in container_of("primary")["ports"]]


def test_kind_publishes_every_nodeport_on_loopback_only():
    cluster = read_cluster_file(FOLDER / "kind-cluster.yaml")
    services = [obj for (kind, _), obj in OBJECTS.items() if kind == "Service"]
    node_ports = {port["nodePort"] for obj in services for port in obj["spec"]["ports"]}
    assert node_ports == set(NODE_PORTS)
    assert cluster["nodes"][0]["extraPortMappings"] == [
        {
            "containerPort": node_port,
            "hostPort": node_port,
            "listenAddress": "127.0.0.1",
            "protocol": "TCP",
        }
        for node_port in NODE_PORTS
    ]


def test_kind_makes_the_nodes_that_the_deployments_ask_for():
    cluster = read_cluster_file(FOLDER / "kind-cluster.yaml")
    nodes = [(node.name, node.control_plane) for node in node_specs(cluster, cluster["name"])]
    assert nodes == [("lab-control-plane", True), ("lab-worker", False), ("lab-worker2", False)]


NUMBERS = re.compile(r"^ *(\w*(Seconds|Threshold|Unavailable|Surge|minAvailable)|requests|limits):")
FILES = ["deployment-primary", "deployment-backup", "poddisruptionbudget"]


@pytest.mark.parametrize("name", FILES)
def test_every_probe_grace_period_and_limit_says_why_it_has_this_value(name):
    lines = (FOLDER / "base" / f"{name}.yaml").read_text().splitlines()
    silent = [line for i, line in enumerate(lines) if NUMBERS.match(line) and not _reason(lines, i)]
    assert silent == []


def _reason(lines: list[str], index: int) -> bool:
    """Tell whether a comment is on the line, or right above it or the probe it belongs to."""
    if "#" in lines[index] or lines[index - 1].lstrip().startswith("#"):
        return True
    above = next(i for i in range(index, -1, -1) if _indent(lines[i]) < _indent(lines[index]))
    return "Probe" in lines[above] and lines[above - 1].lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
