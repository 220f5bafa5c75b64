"""The lab as a guest on a cluster that it did not start: the embedded one, by its kubeconfig."""

import json
import os
import subprocess
import sys

import pytest

from lab_utils.api import Api
from lab_utils.backends.adaptation import OWNER_LABEL
from lab_utils.backends.reach import ServiceProxy
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.errors import ClusterError, ClusterNotRunning, ImageError
from lab_utils.service import ask
from lab_utils.session import Lab
from lab_utils.settings import load_settings
from tests.tools.guest import host_cluster


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with host_cluster(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def guest(host, monkeypatch, tmp_path):
    """Give a guest whose namespace is `mine`; it has nothing of the host but its kubeconfig."""
    monkeypatch.setenv("KUBECONFIG", str(host.kubeconfig()))
    lab = visitor(tmp_path)
    yield lab
    lab.down()


def visitor(folder):
    folder.chmod(0o700)
    return Lab(load_settings(backend="context:embedded-host", cluster="mine", state_dir=folder))


def everything(host):
    """Name every object of the cluster that is not the day's business of its controllers."""
    api = Api(host.kubeconfig())
    return {path for path in api.find("") if "/events/" not in path and "/leases/" not in path}


def test_a_guest_deploys_serves_and_leaves_the_cluster_as_it_was(host, guest):
    before = everything(host)
    status = guest.ensure()
    assert set(status["pods"].values()) == {"Running"}
    assert guest.infer()["parameters"]["role"] in ("primary", "backup")
    (owner,) = {
        ns["metadata"]["labels"][OWNER_LABEL]
        for ns in guest.cluster.api.list("namespaces")
        if ns["metadata"]["name"] == "mine"
    }
    found = set(guest.cluster.api.find(f"{OWNER_LABEL}={owner}"))
    deployments = "/apis/apps/v1/namespaces/mine/deployments"
    assert {"/api/v1/namespaces/mine", f"{deployments}/inference-backup"} <= found
    assert all("/namespaces/mine" in path for path in found)
    assert guest.down()
    assert everything(host) == before
    assert not guest.down()
    with pytest.raises(ClusterNotRunning, match=r"lab\.up\(\)"):
        guest.pods()


def test_a_namespace_that_somebody_else_made_is_not_touched(host, guest, tmp_path):
    api = Api(host.kubeconfig())
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}
    api.request("Making", "POST", "/api/v1/namespaces", body=body)
    try:
        with pytest.raises(ClusterError, match=r"somebody else made it.*LAB_CLUSTER"):
            guest.up()
        assert not guest.down()
        assert api.read("namespace", None, "mine")
    finally:
        Cluster(api, "mine").delete("namespace", "mine")


def test_another_learners_namespace_is_not_touched(guest, tmp_path):
    guest.up()
    guest.apply()
    folder = tmp_path / "other"
    folder.mkdir()
    with pytest.raises(ClusterError, match="another lab made it"):
        visitor(folder).up()
    assert guest.cluster.api.read("namespace", None, "mine")


@pytest.mark.fault(21)
def test_the_context_stays_the_one_of_the_first_day(guest, monkeypatch, tmp_path):
    guest.up()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "moved-away"))
    assert guest.status()["running"]


def test_what_is_on_no_node_has_to_come_from_a_registry(guest):
    guest.up()
    with pytest.raises(ImageError, match="no node has it, and LAB_REGISTRY is not set"):
        guest.load_image("nobody:1")


def test_where_no_node_can_be_reached_the_api_server_stands_in(guest):
    guest.ensure()
    service = guest.cluster.api.read("service", "mine", "inference")
    proxy = ServiceProxy(guest.kubeconfig(), service)
    answer = ask(f"{proxy.url}/v2/models/clock/infer", {"service_ms": 1})
    assert answer["parameters"]["pod"] in {pod["metadata"]["name"] for pod in guest.pods()}


def test_only_what_the_lab_cordoned_is_uncordoned(host, guest):
    guest.ensure()
    admin = Cluster(Api(host.kubeconfig()), "admin")
    admin.cordon("host-worker2")
    try:
        guest.faults.drain("primary").inject()
        guest.ensure()
        assert all(map(is_ready, guest.pods()))
        assert admin.nodes_cordoned() == ["host-worker2"]
        assert guest.cluster.nodes_cordoned() == []
        guest.down()
        assert admin.nodes_cordoned() == ["host-worker2"]
    finally:
        admin.uncordon("host-worker2")


def test_a_node_that_somebody_else_has_cordoned_stays_theirs_when_it_is_drained(host, guest):
    guest.ensure()
    node = guest.pods("role=primary")[0]["spec"]["nodeName"]
    admin = Cluster(Api(host.kubeconfig()), "admin")
    assert admin.cordon(node)
    try:
        with guest.faults.drain("primary"):
            assert admin.nodes_cordoned() == [node]
        assert admin.nodes_cordoned() == [node]
    finally:
        admin.uncordon(node)


def test_at_a_terminal_a_person_is_asked_first(host, guest):
    ours, theirs = os.openpty()
    settings = {"LAB_BACKEND": guest.backend.name, "LAB_CLUSTER": "mine"}
    settings |= {"LAB_STATE_DIR": str(guest.settings.state_dir)}
    command = [sys.executable, "-m", "lab_utils.cli", "up"]
    try:
        os.write(ours, b"n\n")
        done = subprocess.run(
            command,
            env=os.environ | settings,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "namespace mine with two Deployments" in done.stderr
    assert (done.returncode, guest.backend.is_running()) == (1, False)


def test_the_lab_says_what_it_makes_and_where(guest):
    said = guest.backend.intent()
    assert "context embedded-host" in said
    assert "namespace mine" in said
    assert json.dumps(guest.backend.describe())
