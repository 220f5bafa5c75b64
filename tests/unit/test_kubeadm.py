"""One Kind configuration sets the pace of both clusters."""

import pytest

from lab_utils.backends.kubeadm import read_knobs
from lab_utils.backends.topology import (
    NODE_PORTS,
    node_specs,
    published_port,
    read_cluster_file,
    with_host_ports,
)
from lab_utils.controlplane.config import NOT_READY, UNREACHABLE, ClusterConfig
from lab_utils.errors import ManifestError
from lab_utils.settings import project_root
from lab_utils.theory import NodePace

DEFAULTS = ClusterConfig(name="c", run_id="r", nodes=(), host_ports={})
LIST = """
kind: ClusterConfiguration
apiVersion: kubeadm.k8s.io/v1beta4
controllerManager:
  extraArgs:
  - {name: node-monitor-grace-period, value: 1m30s}
"""
MAP = """
kind: ClusterConfiguration
apiVersion: kubeadm.k8s.io/v1beta3
controllerManager:
  extraArgs: {node-monitor-grace-period: 90s}
"""


def knobs(*patches, role="control-plane"):
    return read_knobs({"nodes": [{"role": role, "kubeadmConfigPatches": list(patches)}]}, "f.yaml")


def argument(component, name, value):
    return f'kind: ClusterConfiguration\n{component}: {{extraArgs: {{{name}: "{value}"}}}}'


@pytest.mark.parametrize("patch", [LIST, MAP], ids=["v1beta4", "v1beta3"])
def test_both_forms_of_arguments_are_read(patch):
    assert knobs(patch).apply_to(DEFAULTS).node_monitor_grace_period_s == 90


def test_patches_of_the_whole_cluster_are_read():
    content = {"kubeadmConfigPatches": [LIST, "kind: KubeletConfiguration\nmaxPods: 7"]}
    config = read_knobs(content, "f.yaml").apply_to(DEFAULTS)
    assert (config.node_monitor_grace_period_s, config.max_pods) == (90, 7)


def test_a_toleration_is_changed_alone():
    patch = argument("apiServer", "default-unreachable-toleration-seconds", "30")
    config = knobs(patch).apply_to(DEFAULTS)
    assert config.default_tolerations_s == {NOT_READY: 300, UNREACHABLE: 30}


@pytest.mark.parametrize(
    ("flag", "value", "field", "seen"),
    [
        ("sync-period", "5s", "hpa_sync_period_s", 5),
        ("downscale-stabilization", "1m", "hpa_downscale_stabilization_s", 60),
        ("cpu-initialization-period", "30s", "hpa_cpu_initialization_s", 30),
        ("initial-readiness-delay", "10s", "hpa_initial_readiness_s", 10),
        ("tolerance", "0.05", "hpa_tolerance", 0.05),
    ],
)
def test_autoscaling_has_its_pace_too(flag, value, field, seen):
    patch = argument("controllerManager", f"horizontal-pod-autoscaler-{flag}", value)
    assert getattr(knobs(patch).apply_to(DEFAULTS), field) == seen


def test_a_kubelet_renews_its_lease_four_times_in_its_duration():
    patch = "kind: KubeletConfiguration\nnodeLeaseDurationSeconds: 12"
    assert knobs(patch).apply_to(DEFAULTS).node_lease_renew_s == 3


@pytest.mark.parametrize(
    ("patch", "name"),
    [
        (argument("apiServer", "v", "4"), "apiServer.v (not known here)"),
        ("kind: KubeletConfiguration\nserializeImagePulls: true", "serializeImagePulls (not kn"),
        ("kind: InitConfiguration\nskipPhases: []", "InitConfiguration.skipPhases (not known"),
        ("kind: ClusterConfiguration\ncertificatesDir: /pki", "certificatesDir"),
    ],
    ids=["argument", "kubelet", "other kind", "not an argument"],
)
def test_what_is_not_known_is_named(patch, name):
    found = knobs(patch)
    assert found.apply_to(DEFAULTS) == DEFAULTS
    assert name in found.ignored[0]


def test_what_a_worker_alone_is_told_counts_for_nothing_as_with_kubeadm():
    found = knobs("kind: KubeletConfiguration\nmaxPods: 7", role="worker")
    assert found.apply_to(DEFAULTS) == DEFAULTS
    assert found.ignored == ("maxPods (a worker takes it from the cluster)",)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (argument("controllerManager", "node-monitor-period", "5"), "want a duration such as 50s"),
        (argument("controllerManager", "node-monitor-period", "0s"), "more than nothing"),
        (argument("apiServer", "default-not-ready-toleration-seconds", "1m"), "whole seconds"),
        (argument("controllerManager", "horizontal-pod-autoscaler-tolerance", "10%"), "0.1"),
        (LIST.replace("1m30s", "90"), r'takes text only: write "90"'),
        ("kind: ClusterConfiguration\napiServer: {extraArgs: [v]}", "want `- name: ...`"),
        ('kind: KubeletConfiguration\nmaxPods: "7"', "without quotes"),
        ("kind: [", "kubeadmConfigPatches"),
        ("- kind: ClusterConfiguration", "no mapping"),
    ],
    ids=[
        "no unit",
        "nothing",
        "not seconds",
        "no share",
        "number",
        "no pair",
        "text",
        "no YAML",
        "a list",
    ],
)
def test_what_kubeadm_would_refuse_is_refused(patch, message):
    with pytest.raises(ManifestError, match=message):
        knobs(patch)


def test_the_fast_cluster_is_the_other_one_at_another_pace_and_beside_it():
    folder = project_root() / "manifests"
    fast, usual = (read_cluster_file(folder / f"kind-cluster{n}.yaml") for n in ("-fast", ""))
    assert node_specs(fast, "lab") == node_specs(usual, "lab")
    found = read_knobs(fast, "fast")
    assert found.ignored == ()
    assert found.node_pace() == NodePace(grace_s=8, monitor_s=1, renew_s=2, toleration_s=15)
    assert read_knobs(usual, "usual").apply_to(DEFAULTS) == DEFAULTS
    assert read_knobs(usual, "usual").node_pace() == NodePace()
    for node in fast["nodes"]:
        node.pop("kubeadmConfigPatches", None)
    assert {published_port(fast, port) for port in NODE_PORTS}.isdisjoint(NODE_PORTS)
    assert with_host_ports(fast, 31000) == with_host_ports(usual, 31000)
