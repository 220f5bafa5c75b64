"""kubectl apply in all its ways: what it says, and what is then on the server."""

from pathlib import Path

import pytest
import yaml

from tests.contract.kubectl import Kubectl
from tests.contract.manifests import IMAGE, config_map, deployment, service

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


def test_a_second_apply_changes_nothing(kubectl: Kubectl) -> None:
    again = kubectl("apply", "-f", "-", stdin=MANIFEST).splitlines()
    assert [line.split()[1] for line in again] == ["unchanged"] * 3


def test_apply_takes_away_what_the_manifest_no_longer_says(kubectl: Kubectl) -> None:
    without = yaml.safe_dump(config_map("cm", a="1"))
    assert kubectl("apply", "-f", "-", stdin=without) == "configmap/cm configured\n"
    assert kubectl.read("ConfigMap", "cm")["data"] == {"a": "1"}
    kubectl("apply", "-f", "-", stdin=MANIFEST)


def test_apply_keeps_what_others_have_set(kubectl: Kubectl) -> None:
    kubectl.namespace.patch("ConfigMap", "cm", {"data": {"other": "3"}})
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert kubectl.read("ConfigMap", "cm")["data"]["other"] == "3"


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
    assert kubectl.read("ConfigMap", "ssa")["data"] == {"a": "2"}


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
    assert kubectl.read("Deployment", "web")["spec"]["replicas"] == 0


def test_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    new = yaml.safe_dump(config_map("never"))
    said = kubectl("apply", "--dry-run=server", "-f", "-", stdin=new)
    assert said == "configmap/never created (server dry run)\n"
    shown = kubectl("create", "cm", "never", "--from-literal=a=1", "--dry-run=client", "-o", "yaml")
    assert yaml.safe_load(shown)["data"] == {"a": "1"}
    assert kubectl.namespace.read("ConfigMap", "never") is None


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
    container = kubectl.read("Deployment", "my-kust")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE.partition(":")[0] + ":7"
    kubectl("delete", "-k", str(tmp_path))
