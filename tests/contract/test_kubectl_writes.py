"""kubectl's writing verbs: what it says, and what is then on the server."""

import json
from pathlib import Path

import pytest
import yaml

from tests.contract.cluster import Object, rolled_out
from tests.contract.kubectl import Kubectl
from tests.contract.manifests import IMAGE, config_map, deployment, pod, service


@pytest.fixture(scope="module", autouse=True)
def objects(kubectl: Kubectl) -> None:
    """Have a Deployment without pods, and a ConfigMap."""
    kubectl.namespace.create(deployment("web", replicas=0), config_map("cm", KEY="2"))


@pytest.fixture
def web(kubectl: Kubectl) -> Object:
    """Give a new Deployment without pods, and delete it."""
    return made(kubectl, deployment("own", replicas=0))


def made(kubectl: Kubectl, obj: Object) -> Object:
    kubectl("delete", obj["kind"], obj["metadata"]["name"], "--ignore-not-found")
    return kubectl.namespace.create(obj)


CREATED = [
    ("configmap made --from-literal=a=1", "configmap/made created"),
    ("secret generic made --from-literal=key=value", "secret/made created"),
    ("serviceaccount made", "serviceaccount/made created"),
    (f"deployment made --image={IMAGE} --replicas=0 --port=8000", "deployment.apps/made created"),
    ("service clusterip made --tcp=80:8000", "service/made created"),
    ("service nodeport made-np --tcp=80:8000", "service/made-np created"),
    (f"job made --image={IMAGE} -- python -c print(1)", "job.batch/made created"),
    ("poddisruptionbudget made --selector=app=made --min-available=1",
     "poddisruptionbudget.policy/made created"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "said"), CREATED, ids=[what.split()[0] for what, _ in CREATED])
def test_create_makes(kubectl: Kubectl, what: str, said: str) -> None:
    assert kubectl("create", *what.split()).strip() == said
    assert "already exists" in kubectl.refused("create", *what.split())


def test_create_and_delete_a_namespace(kubectl: Kubectl) -> None:
    name = kubectl.namespace.name + "-own"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    said = kubectl("delete", "namespace", name, warns="cluster-scoped resources")
    assert said.startswith(f'namespace "{name}" deleted')


def test_create_from_files(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1\n")
    (tmp_path / "two.bin").write_bytes(b"\xff\x00")
    kubectl("create", "configmap", "files", f"--from-file={tmp_path}")
    made = kubectl.read("ConfigMap", "files")
    assert (made["data"], made["binaryData"]) == ({"one.txt": "1\n"}, {"two.bin": "/wA="})


def test_replace_puts_a_whole_object(kubectl: Kubectl) -> None:
    made(kubectl, config_map("whole", a="1", b="2"))
    new = yaml.safe_dump(config_map("whole", c="3"))
    assert kubectl("replace", "-f", "-", stdin=new) == "configmap/whole replaced\n"
    assert kubectl.read("ConfigMap", "whole")["data"] == {"c": "3"}


def test_edit_takes_what_the_editor_saved(kubectl: Kubectl, web: Object) -> None:
    editor = {"KUBE_EDITOR": "sed -i s/replicas:.0/replicas:\\ 2/"}
    assert kubectl("edit", "deploy", "own", **editor) == "deployment.apps/own edited\n"
    assert kubectl.read("Deployment", "own")["spec"]["replicas"] == 2
    untouched = kubectl.run("edit", "deploy", "own", KUBE_EDITOR="true")
    assert untouched.stderr == "Edit cancelled, no changes made.\n"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [
            {"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}),
        ("merge", {"spec": {"template": {"spec": {"containers": [
            {"name": "c", "image": IMAGE, "env": [{"name": "A", "value": "1"}]}]}}}}),
        ("json", [{"op": "add", "path": "/spec/template/spec/containers/0/env",
                   "value": [{"name": "A", "value": "1"}]}]),
    ],
)  # fmt: skip
def test_patch_in_three_ways(kubectl: Kubectl, web: Object, kind: str, patch: object) -> None:
    said = kubectl("patch", "deploy", "own", "--type", kind, "-p", json.dumps(patch))
    assert said == "deployment.apps/own patched\n"
    (container,) = kubectl.read("Deployment", "own")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}]


def test_patch_of_a_subresource(kubectl: Kubectl, web: Object) -> None:
    patch = '{"spec":{"replicas":1}}'
    said = kubectl("patch", "deploy", "own", "--subresource=scale", "--type=merge", "-p", patch)
    assert said == "scale.autoscaling/own patched\n"
    assert kubectl.read("Deployment", "own")["spec"]["replicas"] == 1


def test_label_sets_overwrites_and_removes(kubectl: Kubectl) -> None:
    made(kubectl, config_map("labelled"))
    said = "configmap/labelled labeled\n"
    assert kubectl("label", "cm", "labelled", "tier=a") == said
    refused = kubectl.refused("label", "cm", "labelled", "tier=b")
    assert "'tier' already has a value (a), and --overwrite is false" in refused
    assert kubectl("label", "cm", "labelled", "tier=b", "--overwrite") == said
    assert kubectl("label", "cm", "labelled", "tier-") == "configmap/labelled unlabeled\n"
    assert "labels" not in kubectl.read("ConfigMap", "labelled")["metadata"]


def test_annotate_sets_and_removes(kubectl: Kubectl) -> None:
    made(kubectl, config_map("noted"))
    for argument in ("note=hello there", "note-"):
        assert kubectl("annotate", "cm", "noted", argument) == "configmap/noted annotated\n"
    assert "annotations" not in kubectl.read("ConfigMap", "noted")["metadata"]


@pytest.mark.parametrize(
    ("arguments", "said", "field", "value"),
    [
        ("image deploy/own c=other:2", "image updated", "image", "other:2"),
        ("env deploy/own A=1 B=2", "env updated", "env",
         [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        ("env deploy/own --from=configmap/cm --keys=KEY", "env updated", "env",
         [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "KEY"}}}]),
        ("resources deploy/own --limits=cpu=100m,memory=64Mi --requests=cpu=50m",
         "resource requirements updated", "resources",
         {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "50m"}}),
    ],
)  # fmt: skip
def test_set_changes_the_template(
    kubectl: Kubectl, web: Object, arguments: str, said: str, field: str, value: object
) -> None:
    assert kubectl("set", *arguments.split()) == f"deployment.apps/own {said}\n"
    (container,) = kubectl.read("Deployment", "own")["spec"]["template"]["spec"]["containers"]
    assert container[field] == value


def test_set_the_selector_and_the_service_account(kubectl: Kubectl, web: Object) -> None:
    made(kubectl, service("own"))
    assert kubectl("set", "selector", "svc", "own", "a=b") == "service/own selector updated\n"
    assert kubectl.read("Service", "own")["spec"]["selector"] == {"a": "b"}
    said = kubectl("set", "serviceaccount", "deploy/own", "default")
    assert said == "deployment.apps/own serviceaccount updated\n"


def test_scale_with_and_without_a_precondition(kubectl: Kubectl, web: Object) -> None:
    scaled = "deployment.apps/own scaled\n"
    assert kubectl("scale", "deploy", "own", "--replicas=1") == scaled
    refused = kubectl.refused("scale", "deploy/own", "--replicas=0", "--current-replicas=7")
    assert "Expected replicas to be 7, was 1" in refused
    assert kubectl("scale", "deploy/own", "--replicas=0", "--current-replicas=1") == scaled


def test_autoscale_makes_an_autoscaler(kubectl: Kubectl, web: Object) -> None:
    done = kubectl.run("autoscale", "deploy", "own", "--min=1", "--max=3", "--cpu-percent=50")
    assert done.stdout == "horizontalpodautoscaler.autoscaling/own autoscaled\n"
    head, line = kubectl("get", "hpa").splitlines()
    assert " ".join(head.split()) == "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE"
    assert "Deployment/own" in line
    assert "Min replicas:" in kubectl("describe", "hpa", "own")
    kubectl("delete", "hpa", "own")


def test_expose_makes_a_service_from_a_deployment(kubectl: Kubectl) -> None:
    expose = ("expose", "deploy", "web", "--name=shown", "--port=80", "--target-port=8000")
    assert kubectl(*expose, "--type=NodePort") == "service/shown exposed\n"
    spec = kubectl.read("Service", "shown")["spec"]
    assert (spec["selector"], spec["ports"][0]["targetPort"]) == ({"app": "web"}, 8000)


def test_run_starts_a_pod_and_deletes_it_after(kubectl: Kubectl) -> None:
    run = ("run", "once", f"--image={IMAGE}", "--restart=Never", "--env=A=1")
    assert kubectl(*run, "--command", "--", "sleep", "600") == "pod/once created\n"
    spec = kubectl.read("Pod", "once")["spec"]
    assert (spec["restartPolicy"], spec["containers"][0]["command"]) == ("Never", ["sleep", "600"])
    said = kubectl("delete", "pod", "once", "--now")
    assert said.startswith('pod "once" deleted')


def test_delete_by_selector_by_file_and_all(kubectl: Kubectl) -> None:
    for name in ("one", "two", "three"):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"n": name}
        made(kubectl, obj)
    assert kubectl("delete", "cm", "-l", "n in (one)").startswith('configmap "one" deleted')
    assert kubectl("delete", "-f", "-", stdin=yaml.safe_dump(config_map("two"))).startswith(
        'configmap "two" deleted'
    )
    assert "(NotFound)" in kubectl.refused("delete", "cm", "two")
    assert 'configmap "three" deleted' in kubectl("delete", "cm", "--all")


def test_delete_gracefully_and_by_force(kubectl: Kubectl) -> None:
    for name in ("calm", "forced"):
        kubectl.namespace.create(pod(name))
        kubectl.namespace.until("Pod", name, lambda one: one["status"]["phase"] == "Running")
    assert kubectl("delete", "pod", "calm", "--grace-period=1").startswith('pod "calm" deleted')
    force = ("delete", "pod", "forced", "--force", "--grace-period=0")
    said = kubectl(*force, warns="Immediate deletion does not wait for confirmation")
    assert said.startswith('pod "forced" force deleted')
    assert kubectl.namespace.read("Pod", "forced") is None


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_with_or_without_what_it_owns(kubectl: Kubectl, cascade: str) -> None:
    name = f"owner-{cascade}"
    made(kubectl, deployment(name, replicas=0))
    kubectl.namespace.until("Deployment", name, rolled_out)
    kubectl("delete", "deploy", name, f"--cascade={cascade}", "--timeout=60s")
    (replica_set,) = kubectl.namespace.objects("ReplicaSet", labelSelector=f"app={name}") or [None]
    if cascade == "orphan":
        assert "ownerReferences" not in replica_set["metadata"]
    elif replica_set:
        kubectl.namespace.until_gone("ReplicaSet", replica_set["metadata"]["name"])
