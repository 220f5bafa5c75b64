"""The lab as a guest: what it takes from a kubeconfig, what it makes of the manifests."""

import json
import socket

import pytest
import yaml

from lab_utils import manifests
from lab_utils.backends.adaptation import MANAGED_BY, OWNER_LABEL, adapt
from lab_utils.backends.context import ContextBackend
from lab_utils.backends.reach import find_address
from lab_utils.backends.user_config import take_context
from lab_utils.errors import BackendUnavailable, InvalidInput
from lab_utils.settings import load_settings, project_root
from tests.tools.services import node_port_service

PULLED = {"inference-worker:1": "registry.example/me/inference-worker:1@sha256:abc"}


def write_config(path, *names, **user):
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
        "clusters": [
            {"name": n, "cluster": {"server": f"https://{n}:6443", "certificate-authority": "ca"}}
            for n in names
        ],
        "users": [{"name": n, "user": user or {"token": n}} for n in names],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_context_is_taken_alone_and_its_paths_made_absolute(monkeypatch, tmp_path):
    first = write_config(tmp_path / "a.yaml", "prod", "staging")
    second = write_config(tmp_path / "b.yaml", "prod", "mine")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path}/absent.yaml:{second}")
    taken = take_context("mine")
    assert taken["current-context"] == "mine"
    assert [entry["name"] for entry in taken["contexts"]] == ["mine"]
    assert taken["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca")
    assert taken["users"] == [{"name": "mine", "user": {"token": "mine"}}]


def test_of_two_files_the_first_to_name_a_context_wins(monkeypatch, tmp_path):
    first = write_config(tmp_path / "a.yaml", "prod", token="first")
    second = write_config(tmp_path / "b.yaml", "prod", token="second")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    assert take_context("prod")["users"][0]["user"] == {"token": "first"}


def test_an_unknown_context_is_refused_with_those_there_are(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(write_config(tmp_path / "a.yaml", "prod", "staging")))
    with pytest.raises(BackendUnavailable, match=r"no context of that name.*prod, staging"):
        take_context("nope")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent.yaml"))
    with pytest.raises(BackendUnavailable, match="They have none"):
        take_context("nope")


def test_a_broken_kubeconfig_and_a_dangling_context_are_explained(monkeypatch, tmp_path):
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))
    path.write_text("a: [")
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        take_context("prod")
    config = yaml.safe_load(write_config(path, "prod").read_text())
    path.write_text(yaml.safe_dump(config | {"users": []}))
    with pytest.raises(BackendUnavailable, match="names the user 'prod', which is in none"):
        take_context("prod")


@pytest.fixture
def adapted():
    found = manifests.read(project_root() / "manifests")
    return [adapt(m.object, namespace="mine", owner="me", images=PULLED) for m in found]


def test_every_object_is_labelled_and_in_the_labs_own_namespace(adapted):
    for obj in adapted:
        meta = obj["metadata"]
        assert (MANAGED_BY | {OWNER_LABEL: "me"}).items() <= meta["labels"].items()
        assert (meta["name"] if obj["kind"] == "Namespace" else meta["namespace"]) == "mine"


def test_no_node_port_is_claimed_and_images_are_pulled(adapted):
    ports = [p for obj in adapted if obj["kind"] == "Service" for p in obj["spec"]["ports"]]
    assert ports
    assert not any("nodePort" in port for port in ports)
    pods = [o["spec"]["template"] for o in adapted if o["kind"] == "Deployment"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == set(PULLED.values())
    assert {pod["spec"]["containers"][0]["imagePullPolicy"] for pod in pods} == {"IfNotPresent"}
    assert not any(OWNER_LABEL in pod["metadata"]["labels"] for pod in pods)


def test_what_is_adapted_is_a_copy_and_foreign_namespaces_stay():
    obj = {"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "kube-system"}}
    before = json.dumps(obj)
    assert adapt(obj, namespace="mine", owner="me", images={})["metadata"]["namespace"] == (
        "kube-system"
    )
    assert json.dumps(obj) == before


def node(address, *, ready="True", kind="InternalIP"):
    conditions = [{"type": "Ready", "status": ready}]
    return {"status": {"addresses": [{"type": kind, "address": address}], "conditions": conditions}}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_service_is_reached_on_a_ready_node_that_answers(listener):
    service = node_port_service(listener)
    nodes = [node("127.0.0.2"), node("127.0.0.1", ready="Unknown"), node("127.0.0.1")]
    assert find_address(service, nodes) == f"127.0.0.1:{listener}"
    assert find_address(service, [node("127.0.0.1", ready="Unknown")]) is None


def test_a_node_that_refuses_is_a_way_too_while_no_pod_is_ready(listener):
    assert find_address(node_port_service(1), [node("127.0.0.1")]) == "127.0.0.1:1"


def test_a_load_balancer_goes_before_the_nodes(listener):
    service = node_port_service(1, type="LoadBalancer", ports=[{"port": listener, "nodePort": 1}])
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}
    assert find_address(service, [node("127.0.0.1")]) == f"127.0.0.1:{listener}"


def test_a_service_for_the_inside_only_is_refused():
    service = node_port_service(1, type="ClusterIP", ports=[{"port": 80}])
    with pytest.raises(InvalidInput, match=r"Service lab/inference is of type ClusterIP"):
        find_address(service, [])


@pytest.mark.parametrize("verb", ["stop_node", "pause_node", "unpause_node", "start_node"])
def test_machines_of_others_are_not_switched(tmp_path, verb):
    backend = ContextBackend(load_settings(backend="context:prod", state_dir=tmp_path))
    with pytest.raises(BackendUnavailable, match=r"guest.*context prod.*lab\.faults\.drain"):
        getattr(backend, verb)("node-1")
    with pytest.raises(BackendUnavailable, match=r"Sending KILL to lab/pod: the lab is a guest"):
        backend.signal_container("lab", "pod", "worker", "KILL")
