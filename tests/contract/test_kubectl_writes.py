"""kubectl's writing verbs: what it says, and what is then on the server."""

import json
from pathlib import Path

import pytest
import yaml

from tests.contract.cluster import Object, rolled_out
from tests.contract.kubectl import Kubectl
from tests.contract.manifests import IMAGE, config_map, deployment, pod, service

WEB = deployment("web", replicas=0)
MANIFEST = yaml.safe_dump_all([WEB, service("web"), config_map("cm", a="1", KEY="2")])


@pytest.fixture(scope="module", autouse=True)
def applied(kubectl: Kubectl) -> None:
    """Have a Deployment without pods, a Service and a ConfigMap, applied."""
    assert kubectl("apply", "-f", "-", stdin=MANIFEST).splitlines() == [
        "deployment.apps/web created",
        "service/web created",
        "configmap/cm created",
    ]


@pytest.fixture
def web(kubectl: Kubectl) -> Object:
    """Give a new Deployment without pods, and delete it."""
    return made(kubectl, deployment("own", replicas=0))


def made(kubectl: Kubectl, obj: Object) -> Object:
    kubectl("delete", obj["kind"], obj["metadata"]["name"], "--ignore-not-found")
    return kubectl.namespace.create(obj)


def read(kubectl: Kubectl, kind: str, name: str) -> Object:
    found = kubectl.namespace.read(kind, name)
    assert found is not None
    return found


def test_a_second_apply_changes_nothing(kubectl: Kubectl) -> None:
    again = kubectl("apply", "-f", "-", stdin=MANIFEST).splitlines()
    assert [line.split()[1] for line in again] == ["unchanged"] * 3


def test_apply_takes_away_what_the_manifest_no_longer_says(kubectl: Kubectl) -> None:
    without = yaml.safe_dump(config_map("cm", a="1"))
    assert kubectl("apply", "-f", "-", stdin=without) == "configmap/cm configured\n"
    assert read(kubectl, "ConfigMap", "cm")["data"] == {"a": "1"}
    kubectl("apply", "-f", "-", stdin=MANIFEST)


def test_apply_keeps_what_others_have_set(kubectl: Kubectl) -> None:
    kubectl.namespace.patch("ConfigMap", "cm", {"data": {"other": "3"}})
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert read(kubectl, "ConfigMap", "cm")["data"]["other"] == "3"


def test_apply_refuses_a_field_that_is_not_there(kubectl: Kubectl) -> None:
    wrong = MANIFEST.replace("replicas:", "replcas:")
    assert 'unknown field "spec.replcas"' in kubectl.refused("apply", "-f", "-", stdin=wrong)


def test_apply_on_the_server_says_what_conflicts(kubectl: Kubectl) -> None:
    mine = yaml.safe_dump(config_map("ssa", a="1"))
    assert kubectl("apply", "--server-side", "-f", "-", stdin=mine) == (
        "configmap/ssa serverside-applied\n"
    )
    theirs = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    other = yaml.safe_dump(config_map("ssa", a="2"))
    refused = kubectl.refused(*theirs, stdin=other)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in refused
    kubectl(*theirs, "--force-conflicts", stdin=other)
    assert read(kubectl, "ConfigMap", "ssa")["data"] == {"a": "2"}


def test_apply_on_the_server_takes_over_from_apply(kubectl: Kubectl) -> None:
    applied = kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST).splitlines()
    assert [line.split()[1] for line in applied] == ["serverside-applied"] * 3


def test_apply_prunes_what_left_the_manifests(kubectl: Kubectl) -> None:
    both = [config_map("kept", a="1"), config_map("pruned", a="1")]
    for obj in both:
        obj["metadata"]["labels"] = {"set": "pruning"}
    prune = ("apply", "--prune", "-l", "set=pruning", "--prune-allowlist=core/v1/ConfigMap")
    kubectl(*prune, "-f", "-", stdin=yaml.safe_dump_all(both))
    said = kubectl(*prune, "-f", "-", stdin=yaml.safe_dump(both[0]))
    assert said == "configmap/kept unchanged\nconfigmap/pruned pruned\n"


def test_diff_shows_lines_and_ends_with_1(kubectl: Kubectl) -> None:
    assert kubectl("diff", "-f", "-", stdin=MANIFEST) == ""
    changed = MANIFEST.replace("replicas: 0", "replicas: 1")
    done = kubectl.run("diff", "-f", "-", stdin=changed)
    assert done.returncode == 1
    assert {"-  replicas: 0", "+  replicas: 1"} <= set(done.stdout.splitlines())
    assert read(kubectl, "Deployment", "web")["spec"]["replicas"] == 0


def test_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    new = yaml.safe_dump(config_map("never"))
    said = kubectl("apply", "--dry-run=server", "-f", "-", stdin=new)
    assert said == "configmap/never created (server dry run)\n"
    shown = kubectl("create", "cm", "never", "--from-literal=a=1", "--dry-run=client", "-o", "yaml")
    assert yaml.safe_load(shown)["data"] == {"a": "1"}
    assert kubectl.namespace.read("ConfigMap", "never") is None


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
    assert "(AlreadyExists)" in said or "already exists" in kubectl.refused("create", *what.split())


def test_create_and_delete_a_namespace(kubectl: Kubectl) -> None:
    name = kubectl.namespace.name + "-own"
    assert kubectl("create", "namespace", name) == f"namespace/{name} created\n"
    said = kubectl("delete", "namespace", name, warns="cluster-scoped resources")
    assert said.startswith(f'namespace "{name}" deleted')


def test_create_from_files(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1\n")
    (tmp_path / "two.bin").write_bytes(b"\xff\x00")
    kubectl("create", "configmap", "files", f"--from-file={tmp_path}")
    made = read(kubectl, "ConfigMap", "files")
    assert (made["data"], made["binaryData"]) == ({"one.txt": "1\n"}, {"two.bin": "/wA="})


def test_replace_puts_a_whole_object(kubectl: Kubectl) -> None:
    made(kubectl, config_map("whole", a="1", b="2"))
    new = yaml.safe_dump(config_map("whole", c="3"))
    assert kubectl("replace", "-f", "-", stdin=new) == "configmap/whole replaced\n"
    assert read(kubectl, "ConfigMap", "whole")["data"] == {"c": "3"}


def test_edit_takes_what_the_editor_saved(kubectl: Kubectl, web: Object) -> None:
    editor = {"KUBE_EDITOR": "sed -i s/replicas:.0/replicas:\\ 2/"}
    assert kubectl("edit", "deploy", "own", **editor) == "deployment.apps/own edited\n"
    assert read(kubectl, "Deployment", "own")["spec"]["replicas"] == 2
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
    (container,) = read(kubectl, "Deployment", "own")["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}]


def test_patch_of_a_subresource(kubectl: Kubectl, web: Object) -> None:
    patch = '{"spec":{"replicas":1}}'
    said = kubectl("patch", "deploy", "own", "--subresource=scale", "--type=merge", "-p", patch)
    assert said == "scale.autoscaling/own patched\n"
    assert read(kubectl, "Deployment", "own")["spec"]["replicas"] == 1


def test_label_sets_overwrites_and_removes(kubectl: Kubectl) -> None:
    made(kubectl, config_map("labelled"))
    said = "configmap/labelled labeled\n"
    assert kubectl("label", "cm", "labelled", "tier=a") == said
    refused = kubectl.refused("label", "cm", "labelled", "tier=b")
    assert "'tier' already has a value (a), and --overwrite is false" in refused
    assert kubectl("label", "cm", "labelled", "tier=b", "--overwrite") == said
    assert kubectl("label", "cm", "labelled", "tier-") == "configmap/labelled unlabeled\n"
    assert "labels" not in read(kubectl, "ConfigMap", "labelled")["metadata"]


def test_annotate_sets_and_removes(kubectl: Kubectl) -> None:
    made(kubectl, config_map("noted"))
    for argument in ("note=hello there", "note-"):
        assert kubectl("annotate", "cm", "noted", argument) == "configmap/noted annotated\n"
    assert "annotations" not in read(kubectl, "ConfigMap", "noted")["metadata"]


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
    (container,) = read(kubectl, "Deployment", "own")["spec"]["template"]["spec"]["containers"]
    assert container[field] == value


def test_set_the_selector_and_the_service_account(kubectl: Kubectl, web: Object) -> None:
    made(kubectl, service("own"))
    assert kubectl("set", "selector", "svc", "own", "a=b") == "service/own selector updated\n"
    assert read(kubectl, "Service", "own")["spec"]["selector"] == {"a": "b"}
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
    spec = read(kubectl, "Service", "shown")["spec"]
    assert (spec["selector"], spec["ports"][0]["targetPort"]) == ({"app": "web"}, 8000)


def test_run_starts_a_pod_and_deletes_it_after(kubectl: Kubectl) -> None:
    run = ("run", "once", f"--image={IMAGE}", "--restart=Never", "--env=A=1")
    assert kubectl(*run, "--command", "--", "sleep", "600") == "pod/once created\n"
    spec = read(kubectl, "Pod", "once")["spec"]
    assert (spec["restartPolicy"], spec["containers"][0]["command"]) == ("Never", ["sleep", "600"])
    said = kubectl("delete", "pod", "once", "--now")
    assert said.startswith('pod "once" deleted')


def test_apply_a_kustomization(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(deployment("kust", replicas=0)))
    kustomization = {
        "resources": ["web.yaml"], "namePrefix": "my-",
        "images": [{"name": IMAGE.partition(":")[0], "newTag": "7"}],
        "configMapGenerator": [{"name": "gen", "literals": ["a=1"]}],
    }  # fmt: skip
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = list(yaml.safe_load_all(kubectl("kustomize", str(tmp_path))))
    names = sorted(obj["metadata"]["name"] for obj in built)
    assert names[0].startswith("my-gen-")
    said = kubectl("apply", "-k", str(tmp_path)).splitlines()
    assert [line.split()[1] for line in said] == ["created", "created"]
    assert "deployment.apps/my-kust unchanged" in kubectl("apply", "-k", str(tmp_path))
    container = read(kubectl, "Deployment", "my-kust")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE.partition(":")[0] + ":7"
    kubectl("delete", "-k", str(tmp_path))


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
