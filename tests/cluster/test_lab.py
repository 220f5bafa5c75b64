"""The facade on a running cluster: what each verb does, twice, and what it says when it cannot."""

import json
import os
import socket
import subprocess
import sys

import pytest
import yaml

from lab_utils.conditions import is_ready
from lab_utils.errors import (
    ClusterError,
    ClusterNotRunning,
    ImageError,
    InvalidInput,
    ManifestError,
    NotFound,
    NotReady,
)
from lab_utils.service import serves_metrics
from lab_utils.session import Lab
from lab_utils.settings import load_settings, project_root
from lab_utils.waiting import wait_for

DEPLOYMENT = project_root() / "manifests" / "base" / "deployment-primary.yaml"


def changed(tmp_path, edit):
    """Write the primary's Deployment under another name, edited."""
    manifest = yaml.safe_load(DEPLOYMENT.read_text())
    manifest["metadata"]["name"] = "other"
    edit(manifest["spec"]["template"]["spec"]["containers"][0])
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


@pytest.fixture
def without_other(deployed):
    yield deployed
    deployed.delete("deployment", "other")


def test_the_known_state_is_two_ready_pods_on_two_nodes(deployed):
    pods = deployed.pods()
    assert sorted(pod["metadata"]["labels"]["role"] for pod in pods) == ["backup", "primary"]
    assert all(map(is_ready, pods))
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_applying_twice_changes_nothing(deployed):
    assert {item.outcome for item in deployed.apply()} == {"unchanged"}


def test_ensure_twice_keeps_the_pods(deployed):
    before = {pod["metadata"]["uid"] for pod in deployed.pods()}
    deployed.ensure()
    assert {pod["metadata"]["uid"] for pod in deployed.pods()} == before


def test_get_shows_what_kubectl_shows(deployed):
    table = deployed.get("pods")
    assert list(table.columns) == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert list(table["Status"]) == ["Running", "Running"]
    assert len(deployed.get("po", selector="role=primary")) == 1


def test_an_answer_says_who_gave_it(deployed):
    parameters = deployed.infer()["parameters"]
    pods = {pod["metadata"]["name"]: pod for pod in deployed.pods()}
    pod = pods[parameters["pod"]]
    assert parameters["node"] == pod["spec"]["nodeName"]
    assert parameters["role"] == pod["metadata"]["labels"]["role"]
    assert parameters["service_s"] == pytest.approx(0.1, abs=0.005)


def test_each_role_has_a_service_of_its_own(deployed):
    for role in ("primary", "backup"):
        assert deployed.infer(f"inference-{role}")["parameters"]["role"] == role


def test_scale_and_ensure_back(deployed):
    deployed.scale("inference-backup", 2)
    deployed.wait()
    assert len(deployed.pods("role=backup")) == 2
    deployed.ensure()
    assert len(deployed.pods("role=backup")) == 1


def test_logs_are_what_the_worker_has_written(deployed):
    name = deployed.pods("role=primary")[0]["metadata"]["name"]
    assert "8000" in deployed.logs(name)
    assert len(deployed.logs(name, tail=1).splitlines()) == 1


def test_ensure_removes_what_the_lab_did_not_make(without_other, tmp_path):
    without_other.apply(changed(tmp_path, lambda container: None))
    without_other.ensure()
    names = {d["metadata"]["name"] for d in without_other.cluster.api.list("deployments", "lab")}
    assert names == {"inference-primary", "inference-backup"}


@pytest.mark.machines
def test_ensure_takes_back_what_was_patched(deployed):
    extra = {"name": "worker", "env": [{"name": "WORKER_SEED", "value": "5"}]}
    template = {"template": {"spec": {"containers": [extra]}}}
    deployed.patch("deployment", "inference-backup", {"spec": template})
    deployed.patch("pdb", "inference", {"spec": {"minAvailable": 2}})
    deployed.ensure()
    (pod,) = deployed.pods("role=backup")
    names = {variable["name"] for variable in pod["spec"]["containers"][0]["env"]}
    budget = deployed.cluster.api.read("pdb", deployed.cluster.namespace, "inference")
    assert ("WORKER_SEED" in names, budget["spec"]["minAvailable"]) == (False, 1)


def test_ensure_replaces_a_pod_that_has_crashed(deployed):
    pod = deployed.pods("role=primary")[0]["metadata"]["name"]
    with deployed.faults.kill("primary"):
        wait_for(
            lambda: True if deployed.get("pods", pod)["Restarts"][0] != "0" else None,
            timeout_s=10,
            late=lambda: AssertionError("not restarted"),
        )
    deployed.ensure()
    assert pod not in {one["metadata"]["name"] for one in deployed.pods()}


def test_reset_brings_everything_back_after_the_namespace_was_deleted_by_hand(deployed):
    deployed.delete("namespace", "lab")
    deployed.reset()
    assert all(map(is_ready, deployed.pods()))


def test_a_typo_in_a_manifest_names_the_file_and_the_field(without_other, tmp_path):
    path = changed(tmp_path, lambda container: container.update(imagee="x"))
    with pytest.raises(ManifestError, match=r"other\.yaml:1.*imagee") as caught:
        without_other.apply(path)
    assert "Correct the manifest and apply it again." in str(caught.value)
    assert "other" not in {item["metadata"]["name"] for item in without_other.pods()}


def test_an_image_that_was_not_loaded_is_said_at_once(without_other, tmp_path):
    without_other.apply(changed(tmp_path, lambda container: container.update(image="nobody:1")))
    with pytest.raises(NotReady, match=r"ErrImageNeverPull \(image nobody:1\)\. Load the image"):
        without_other.wait(timeout_s=30)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda lab: lab.load_image("nobody:1"), ImageError, "lab.build_image"),
        (lambda lab: lab.build_image("worker:latest"), InvalidInput, "latest"),
        (lambda lab: lab.apply("nowhere.yaml"), ManifestError, "nowhere.yaml"),
        (lambda lab: lab.get("unicorns"), InvalidInput, "serves no kind 'unicorns'"),
        (lambda lab: lab.logs("nobody"), NotFound, 'pods "nobody" not found'),
        (lambda lab: lab.scale("inference-primary", -1), InvalidInput, "replicas is -1"),
        (lambda lab: lab.scale("nobody", 1), NotFound, "not found"),
        (lambda lab: lab.url("nobody"), NotFound, "not found"),
        (lambda lab: lab.infer("kubernetes"), ClusterError, "not found"),
        (lambda lab: lab.fire(rate_rps=0, duration_s=1), InvalidInput, "rate_rps is 0"),
        (
            lambda lab: lab.fire(rate_rps=float("nan"), duration_s=1),
            InvalidInput,
            "rate_rps is nan",
        ),
        (lambda lab: lab.fire(rate_rps=20, duration_s=-1), InvalidInput, "duration_s is -1"),
        (lambda lab: lab.faults.kill("nobody").inject(), NotReady, "role=nobody"),
        (lambda lab: lab.faults.kill("primary", at_s=-1), InvalidInput, "at_s is -1"),
    ],
)
def test_bad_input_is_one_sentence(deployed, call, error, words):
    with pytest.raises(error, match=r"\S") as caught:
        call(deployed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_cluster_every_verb_says_how_to_start_one():
    lab = Lab(load_settings(backend="embedded", cluster="never-started"))
    for call in (lab.apply, lab.wait, lab.url, lab.pods, lambda: lab.get("pods")):
        with pytest.raises(ClusterNotRunning, match=r"Start it: lab\.up\(\)"):
            call()
    assert not lab.down()
    assert lab.status()["running"] is False


def test_a_busy_port_is_said_with_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = Lab(load_settings(backend="embedded", cluster="busy-port", http_port=port))
        try:
            with pytest.raises(ClusterError, match=rf"Port {port} .* LAB_HTTP_PORT"):
                lab.ensure()
        finally:
            lab.down()


def lab_command(lab, *arguments):
    env = os.environ | {"LAB_BACKEND": lab.backend.name, "LAB_CLUSTER": lab.settings.cluster}
    command = [sys.executable, "-m", "lab_utils.cli", *arguments]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_command_line_speaks_json(deployed):
    status = json.loads(lab_command(deployed, "status", "--json").stdout)
    assert status["running"]
    assert set(status["nodes"].values()) == {"Ready"}
    assert json.loads(lab_command(deployed, "doctor", "--json").stdout)


def test_the_command_line_prints_what_other_programs_need(deployed):
    assert lab_command(deployed, "url").stdout.strip() == deployed.url()
    assert lab_command(deployed, "kubeconfig").stdout.strip() == str(deployed.kubeconfig())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "99"], "There is no notebook '99': want one of 00_preflight"),
        (["url", "nobody"], "not found"),
        (["status", "--backend", "docker"], "LAB_BACKEND is 'docker'"),
        (["up", "--name", "Not_A_Name"], "LAB_CLUSTER is 'Not_A_Name'"),
    ],
)
def test_the_command_line_fails_with_one_sentence(deployed, arguments, words):
    done = lab_command(deployed, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_ensure_waits_for_the_pod_that_replaces_a_deleted_one(deployed):
    name = deployed.pods("role=primary")[0]["metadata"]["name"]
    deployed.cluster.delete("pod", name, grace_s=0)
    deployed.wait()
    assert deployed.infer("inference-primary")["parameters"]["pod"] != name


def test_the_cluster_measures_its_nodes(deployed):
    deployed.ensure_metrics()
    assert serves_metrics(deployed.cluster)


def test_logs_are_exported(deployed, tmp_path):
    assert any(deployed.export_logs(tmp_path / "logs").rglob("*.log"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"cannot be written to .*Name another folder"):
        deployed.export_logs(tmp_path / "file")
