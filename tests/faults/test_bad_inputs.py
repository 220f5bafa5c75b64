"""A hundred bad inputs, through every door: a clear sentence, no traceback, no partial effect.

The doors are the API, the CLI, the settings, the manifests, the worker and the facade. What each
says in detail is tested beside its module; here it is that nothing gets through, in any of them.
"""

import json
import re
import sys

import pytest

from lab_utils import cli
from lab_utils.errors import InvalidInput, LabError
from lab_utils.settings import load_settings
from tests.contract.cluster import JSON, MERGE, Cluster
from tests.tools.workers import BODY, INFER, running

PODS, RESTRICTED = (f"/api/v1/namespaces/{name}/pods" for name in ("default", "lab"))
PRIMARY = "/apis/apps/v1/namespaces/lab/deployments/inference-primary"
# The day's business of controllers, and namespaces of earlier tests on their way out.
CHANGING = ("/events/", "/leases/", "/pods/", "/namespaces/contract-")
SENTENCE = re.compile(r"[^\n]{12,}")


def pod(**spec):
    containers = [{"name": "c", "image": "i"}]
    return {"metadata": {"name": "bad"}, "spec": {"containers": containers} | spec}


def container(**more):
    return pod(containers=[{"name": "c", "image": "i"} | more])


def limits(**quantities):
    return container(resources={"limits": quantities})


def named(name):
    return pod() | {"metadata": {"name": name}}


API = [
    ("no JSON", "POST", PODS, "{", 400, "unexpected"),
    ("an array", "POST", PODS, "[]", 400, "object"),
    ("too deep", "POST", PODS, "[" * 100_000, 400, ""),
    ("a name in capitals", "POST", PODS, named("BAD_Name"), 422, "metadata.name"),
    ("a name with dots", "POST", PODS, named("../../etc"), 422, "metadata.name"),
    ("a name too long", "POST", PODS, named("x" * 254), 422, "metadata.name"),
    ("a NUL in a name", "POST", PODS, named("a\0b"), 422, "metadata.name"),
    ("no containers", "POST", PODS, pod(containers=[]), 422, "spec.containers"),
    ("megabytes", "POST", PODS, limits(memory="64MB"), 400, "quantit"),
    ("no number", "POST", PODS, limits(cpu="NaN"), 400, "quantit"),
    ("a negative limit", "POST", PODS, limits(memory="-1"), 422, "must be greater than or equal"),
    ("a port too high", "POST", PODS, container(ports=[{"containerPort": 65536}]), 422, "Port"),
    ("text for a number", "POST", PODS, pod(activeDeadlineSeconds="soon"), 400, "activeDeadline"),
    ("a privileged pod", "POST", RESTRICTED, container(securityContext={"privileged": True}), 403,
     "restricted"),
    ("a host path", "POST", RESTRICTED, pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
     403, "hostPath"),
    ("fewer than no replicas", "PATCH", PRIMARY, {"spec": {"replicas": -1}}, 422, "spec.replicas"),
    ("another selector", "PATCH", PRIMARY, {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
     422, "immutable"),
    ("a stale version", "PATCH", PRIMARY, {"metadata": {"resourceVersion": "1"}}, 409, "modified"),
    ("an unknown kind", "POST", "/apis/apps/v1/namespaces/lab/wishes", pod(), 404, "not find"),
    ("an unknown namespace", "POST", "/api/v1/namespaces/nowhere/pods", pod(), 404, "nowhere"),
]  # fmt: skip
CLI = [
    (["fly"], 2, "No such command 'fly'"),
    ([], 2, "Usage"),
    (["up", "--backend", "docker"], 1, "LAB_BACKEND is 'docker'"),
    (["up", "--backend"], 2, "requires an argument"),
    (["up", "--name", "My Lab"], 1, "LAB_CLUSTER is 'My Lab'"),
    (["down", "--name", "../lab"], 1, "LAB_CLUSTER is '../lab'"),
    (["down", "everything"], 2, "unexpected extra argument"),
    (["status", "--json", "--yaml"], 2, "No such option"),
    (["url", "nowhere"], 1, "nowhere"),
    (["url", "a;rm -rf ~"], 1, "rm -rf"),
    (["kubeconfig", "--name", "not-there"], 1, "is not running"),
    (["export-logs", "/proc/nowhere"], 1, "cannot be written to /proc/nowhere"),
    (["run", "99"], 1, "99"),
    (["run", "--profile", "slow"], 1, "LAB_PROFILE is 'slow'"),
    (["bundle", "--load", "/nowhere.tar"], 1, "/nowhere.tar"),
    (["class", "collect", "/nowhere"], 1, "/nowhere"),
]
SETTINGS = [
    ("LAB_BACKEND", "kubernetes"),
    ("LAB_BACKEND", "context:two words"),
    ("LAB_CLUSTER", "-lab"),
    ("LAB_CLUSTER", "x" * 41),
    ("LAB_CLUSTER", "lab\n"),
    ("LAB_CLUSTER", "$(reboot)"),
    ("LAB_HTTP_PORT", "65534"),
    ("LAB_HTTP_PORT", "80.5"),
    ("LAB_PROFILE", "FULL!"),
    ("LAB_SEED", "1e400"),
    ("LAB_SEED", str(2**63)),
    ("LAB_BASE_IMAGE", "`id`"),
    ("LAB_BASE_IMAGE", "--privileged"),
    ("LAB_NODE_IMAGE", "a b"),
    ("LAB_REGISTRY", "https://example.com"),
    ("LAB_REGISTRY", "ghcr.io/../me"),
]
GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad-inputs}\n---\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"
MANIFESTS = {
    "a tab": "a:\n\tb: 1\n",
    "no YAML": "a: b: c\n",
    "a list that does not end": "[" * 50_000,
    "a bomb": "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip(
        "abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz", strict=True)) * 1,
    "Python": "a: !!python/object/apply:os.system [id]\n",
    "a NUL": MAP + "data: {a: \0}\n",
    "a key twice": MAP + "kind: Secret\n",
    "no kind": "apiVersion: v1\nmetadata: {name: a}\n",
    "no name": "apiVersion: v1\nkind: ConfigMap\n",
    "an unknown kind": "apiVersion: v1\nkind: Wish\nmetadata: {name: a}\n",
    "an unknown field": MAP + "dada: {a: b}\n",
    "a wrong type": MAP + "data: [a]\n",
    "a bad name": MAP.replace("other", "Other_One"),
    "a bad label": MAP.replace("other", "other, labels: {a: 'b c'}"),
    "a number for text": MAP + "data: {a: 1}\n",
    "another's namespace": MAP.replace("other", "other, namespace: nowhere"),
}  # fmt: skip
TENSOR = BODY["inputs"][0]
WORKER = [
    ("no body", "POST", INFER, b"", 400, "JSON"),
    ("no JSON", "POST", INFER, b"{", 400, "JSON"),
    ("not UTF-8", "POST", INFER, b"\xff", 400, "JSON"),
    ("too deep", "POST", INFER, b"[" * 60_000, 400, "deep"),
    ("too large", "POST", INFER, b" " * 20_000_000, 413, "at most"),
    ("an array", "POST", INFER, b"[]", 400, "object"),
    ("no inputs", "POST", INFER, {}, 400, "inputs"),
    ("another tensor", "POST", INFER, {"inputs": [TENSOR | {"name": "x"}]}, 400, "name"),
    ("another type", "POST", INFER, {"inputs": [TENSOR | {"datatype": "X"}]}, 400, "datatype"),
    ("another shape", "POST", INFER, {"inputs": [TENSOR | {"shape": [2]}]}, 400, "shape"),
    ("text for a number", "POST", INFER, BODY | {"parameters": {"service_ms": "1"}}, 400,
     "service_ms"),
    ("a negative time", "POST", INFER, BODY | {"parameters": {"service_ms": -1}}, 400,
     "service_ms"),
    ("an hour", "POST", INFER, BODY | {"parameters": {"service_ms": 3.6e6}}, 400, "service_ms"),
    ("an unknown model", "POST", "/v2/models/none/infer", BODY, 404, "none"),
    ("an unknown route", "GET", "/v2/secrets", None, 404, ""),
    ("a wrong verb", "DELETE", INFER, None, 405, ""),
]  # fmt: skip
FACADE = {
    "scale to -1": lambda lab: lab.scale("inference-primary", -1),
    "scale to text": lambda lab: lab.scale("inference-primary", "2"),
    "scale nobody": lambda lab: lab.scale("nobody", 2),
    "get an unknown kind": lambda lab: lab.get("wishes"),
    "get a bad selector": lambda lab: lab.get("pods", selector="a=b=c"),
    "the log of nobody": lambda lab: lab.logs("nobody"),
    "delete an unknown kind": lambda lab: lab.delete("wishes", "x"),
    "patch a wrong type": lambda lab: lab.patch(
        "deployment", "inference-primary", {"spec": {"replicas": "two"}}
    ),
    "an experiment that is none": lambda lab: lab.ensure("../../etc"),
    "apply nothing": lambda lab: lab.apply("/nowhere.yaml"),
    "build without a tag": lambda lab: lab.build_image("worker"),
    "build the latest": lambda lab: lab.build_image("worker:latest"),
    "load what is not built": lambda lab: lab.load_image("nobody:1"),
    "an unknown Service": lambda lab: lab.url("nobody"),
    "no rate": lambda lab: lab.fire(rate_rps=0, duration_s=1),
    "a rate of NaN": lambda lab: lab.fire(rate_rps=float("nan"), duration_s=1),
    "no end": lambda lab: lab.fire(rate_rps=1, duration_s=float("inf")),
    "a seed below 0": lambda lab: lab.fire(rate_rps=1, duration_s=1, seed=-1),
    "no requests": lambda lab: lab.fire_closed(count=0),
    "a fault of nobody": lambda lab: lab.faults.kill("nobody").inject(),
}


def require_sentence(text, words=""):
    """Check that a refusal can be read: no traceback, and it names what is wrong."""
    assert "Traceback" not in text
    assert SENTENCE.match(text), text
    assert words in text


@pytest.fixture(scope="module")
def running_lab(lab):
    """Give the lab, deployed once."""
    lab.ensure()
    return lab


@pytest.fixture
def untouched(running_lab):
    """Compare all that is in the cluster before and after, but what changes by itself."""

    def look():
        api = running_lab.cluster.api
        paths = [path for path in api.find("") if not any(part in path for part in CHANGING)]
        specs = api.list("deployments", "lab") + api.list("services", "lab")
        return paths, [obj["spec"] for obj in specs]

    before = look()
    yield running_lab
    assert look() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "words"),
    [pytest.param(*row[1:], id=row[0]) for row in API],
)
def test_the_api_refuses(untouched, method, path, body, code, words):
    cluster = Cluster(untouched.kubeconfig())
    media = MERGE if method == "PATCH" else JSON
    answer = cluster.request(method, path, body, content_type=media)
    assert answer.code == code, answer.text
    require_sentence(answer.text, words)


@pytest.mark.parametrize(
    ("arguments", "code", "words"), CLI, ids=[" ".join(row[0]) or "nothing" for row in CLI]
)
def test_the_cli_refuses(untouched, monkeypatch, capsys, arguments, code, words):
    monkeypatch.setenv("LAB_CLUSTER", untouched.settings.cluster)
    monkeypatch.setattr(sys, "argv", ["lab", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = "".join(capsys.readouterr())
    assert ended.value.code == code, said
    require_sentence(said.strip(), words)


@pytest.mark.parametrize(("variable", "value"), SETTINGS)
def test_the_settings_refuse(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput) as refused:
        load_settings()
    require_sentence(str(refused.value), variable)


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_are_refused_and_what_is_right_beside_them_is_not_applied(
    untouched, tmp_path, text
):
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + text)
    with pytest.raises(LabError) as refused:
        untouched.apply(path)
    require_sentence(str(refused.value), "bad.yaml")


@pytest.fixture(scope="module")
def worker():
    with running() as started:
        yield started


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "words"),
    [pytest.param(*row[1:], id=row[0]) for row in WORKER],
)
def test_the_worker_refuses(worker, method, path, body, code, words):
    before = worker.get("/v2/models/clock/stats")
    answer = worker.ask(method, path, body)
    assert answer.status == code, answer.body
    require_sentence(json.dumps(answer.json()), words)
    assert worker.get("/v2/models/clock/stats") == before
    worker.infer(service_ms=1)


@pytest.mark.parametrize("call", FACADE.values(), ids=FACADE)
def test_the_facade_refuses(untouched, call):
    with pytest.raises(LabError) as refused:
        call(untouched)
    require_sentence(str(refused.value))


def test_there_are_a_hundred():
    assert sum(map(len, (API, CLI, SETTINGS, MANIFESTS, WORKER, FACADE))) >= 100
