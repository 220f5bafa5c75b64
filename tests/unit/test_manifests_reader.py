from pathlib import Path

import pytest

from lab_utils import manifests
from lab_utils.errors import ManifestError

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "web:1", env: [{name: A, value: "1"}]}
      - {name: side, image: "side:1"}
"""
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: old}\n"


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def names(found):
    return [f"{manifest.kind}/{manifest.name}" for manifest in found]


def test_objects_know_their_file_and_line(write):
    path = write("a.yaml", "# first\n---\n" + CONFIG_MAP % "a" + "---\n---\n" + CONFIG_MAP % "b")
    found = manifests.read(path)
    assert [(m.name, m.line) for m in found] == [("a", 3), ("b", 8)]
    assert found[1].where == f"{path}:8"


def test_a_list_is_its_items(write):
    item = "- apiVersion: v1\n  kind: Secret\n  metadata: {name: %s}\n"
    path = write("l.yaml", "apiVersion: v1\nkind: List\nitems:\n" + item % "a" + item % "b")
    assert [(m.kind, m.line) for m in manifests.read(path)] == [("Secret", 4), ("Secret", 7)]


def test_byte_order_mark_windows_lines_and_dates_are_read_as_kubernetes_reads_them(write):
    text = CONFIG_MAP % "a" + "data: {day: 2026-01-02, on: off}\n"
    (found,) = manifests.read(
        write("w.yaml", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    )
    assert found.object["data"] == {"day": "2026-01-02", True: False}


def test_a_folder_is_read_by_name_with_namespaces_first(write, tmp_path):
    write("a.yaml", CONFIG_MAP % "a")
    write("b.yml", NAMESPACE)
    write("notes.txt", "not yaml: [")
    assert names(manifests.read(tmp_path)) == ["Namespace/old", "ConfigMap/a"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a: 1\n\tb: 2\n", "m.yaml:2: indented with a tab: YAML wants spaces."),
        ("a: b: c\n", "m.yaml:1: mapping values are not allowed here: quote a value"),
        ("a: 1\nb\nc: 2\n", "could not find expected ':': a key needs a colon"),
        ("a:\n  b: 1\n c: 2\n", "m.yaml:3: expected <block end>"),
        ("a: 1\nb: 2\na: 3\n", "m.yaml:3: the key 'a' is there twice, first in line 1"),
        ("a: !!python/object:os.system {}\n", "only plain values are read"),
        ("a: *b\n", "define the anchor"),
        ("a: \0\n", "m.yaml:1: the character #x0000 is not allowed"),
        (b"a: 1\nb: \xff\n", "m.yaml:2: not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("&a [*a]", "aliases make it larger than"),
        ("a: 1\n" * 700_000, "want at most 3145728"),
        ("hello", "m.yaml:1: found 'hello', want an object with apiVersion, kind and metadata"),
        ("- 1", "m.yaml:1: found [1], want an object"),
        ("kind: Pod\nmetadata: {name: a}\n", "m.yaml:1: apiVersion is None"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "kind is None"),
        ("apiVersion: v1\nkind: Pod\n", "Pod has no metadata"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 7}\n", "metadata.name is 7, want a text"),
        ("---\n---\n", "want at least one manifest"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(write, content, error):
    with pytest.raises(ManifestError) as caught:
        manifests.read(write("m.yaml", content))
    assert error in str(caught.value)


def test_an_alias_bomb_is_refused_without_expanding_it(write):
    rows = ["a0: &a0 [x, x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)
    ]
    with pytest.raises(ManifestError, match="aliases"):
        manifests.read(write("bomb.yaml", "\n".join(rows)))


def test_a_missing_file_is_one_sentence():
    with pytest.raises(ManifestError, match=r"Cannot read the manifest .*nope.yaml: No such file"):
        manifests.read("/nowhere/nope.yaml")


def test_check_collects_one_sentence_a_file(write, tmp_path):
    write("good.yaml", CONFIG_MAP % "a")
    write("kind.yaml", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: []\n")
    write("deep/bad.yaml", "kind: Pod\n")
    write("deep/worse.yaml", "a: [\n")
    first, second = manifests.check(tmp_path)
    assert "deep/bad.yaml:1: apiVersion is None" in first
    assert "deep/worse.yaml" in second


def test_a_kustomization_sets_namespace_and_labels_and_follows_folders(write, tmp_path):
    write("base/kustomization.yaml", "resources: [ns.yaml, web.yaml]\n")
    write("base/ns.yaml", NAMESPACE)
    write("base/web.yaml", DEPLOYMENT)
    overlay = "resources: [../base]\nnamespace: new\nlabels:\n- pairs: {team: a}\n"
    write("over/kustomization.yaml", overlay + "  includeTemplates: true\n")
    namespace, web = (manifest.object for manifest in manifests.read(tmp_path / "over"))
    assert namespace["metadata"] == {"name": "new", "labels": {"team": "a"}}
    assert web["metadata"]["namespace"] == "new"
    assert web["spec"]["template"]["metadata"]["labels"] == {"app": "web", "team": "a"}


def test_a_strategic_patch_merges_containers_by_name(write, tmp_path):
    write("web.yaml", DEPLOYMENT)
    write(
        "kustomization.yaml",
        "resources: [web.yaml]\npatches: [{path: patch.yaml}]\n",
    )
    write(
        "patch.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: "
        '{containers: [{name: main, image: "web:2"}]}}}\n',
    )
    (web,) = manifests.read(tmp_path)
    containers = {c["name"]: c for c in web.object["spec"]["template"]["spec"]["containers"]}
    assert (containers["main"]["image"], containers["side"]["image"]) == ("web:2", "side:1")
    assert containers["main"]["env"] == [{"name": "A", "value": "1"}]


def test_a_json_patch_is_for_what_its_target_selects(write, tmp_path):
    write("web.yaml", DEPLOYMENT + "---\n" + CONFIG_MAP % "web")
    write(
        "kustomization.yaml",
        "resources: [web.yaml]\npatches:\n- target: {kind: Deployment, name: we.}\n"
        "  patch: |\n    - {op: add, path: /spec/replicas, value: 3}\n",
    )
    web, config = (manifest.object for manifest in manifests.read(tmp_path))
    assert web["spec"]["replicas"] == 3
    assert "spec" not in config


@pytest.mark.parametrize(
    ("kustomization", "error"),
    [
        ("configMapGenerator: []", "does not know kustomize's 'configMapGenerator'"),
        ("labels: [{pairs: {a: b}, includeSelectors: true}]", "'includeSelectors'"),
        ("resources: ['https://x.example/a.yaml']", "is on the net"),
        ("resources: [nope.yaml]", "nope.yaml: No such file"),
        ("resources: [.]", "includes itself"),
        ("resources: web.yaml", "resources is 'web.yaml', want a list"),
        ("[]", "want a mapping"),
        ("resources: [web.yaml]\npatches: [{}]", "either `path` or `patch`"),
        ("resources: [web.yaml]\npatches: [{patch: 'kind: Pod'}]", "is for none of the resources"),
        (
            "resources: [web.yaml]\npatches: [{target: {kind: Deployment},"
            " patch: '[{op: remove, path: /x}]'}]",
            "cannot patch Deployment web",
        ),
    ],
)
def test_what_a_kustomization_cannot_have_is_refused_by_name(write, tmp_path, kustomization, error):
    write("web.yaml", DEPLOYMENT)
    write("kustomization.yaml", kustomization)
    with pytest.raises(ManifestError) as caught:
        manifests.read(tmp_path)
    assert error in str(caught.value)
