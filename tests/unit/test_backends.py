import pytest

from lab_utils.backends import topology
from lab_utils.backends.choose import choose, decide
from lab_utils.backends.embedded import EmbeddedBackend
from lab_utils.backends.engine import Engine, probe
from lab_utils.backends.kind_needs import Check, judge_all
from lab_utils.errors import BackendUnavailable, ClusterNotRunning, InvalidInput, ManifestError
from lab_utils.settings import load_settings, project_root
from tests.tools.services import node_port_service

DOWN = Engine(problem="The Docker engine is down. Start it.")
UP = Engine("28.2", about={"Architecture": "x86_64", "NCPU": 4, "MemTotal": 8 * 2**30})
SMALL = Engine("28.2", about={"Architecture": "x86_64", "NCPU": 4, "MemTotal": 2**30})
FOUND = "/bin/true"


def never() -> list[Check]:
    raise AssertionError("the machine need not be looked at")


@pytest.mark.parametrize(
    ("wanted", "look", "name", "reason"),
    [
        ("auto", lambda: judge_all(UP, FOUND, FOUND), "kind", "auto: Docker 28.2 and /bin/true"),
        ("auto", lambda: judge_all(DOWN, FOUND, FOUND), "embedded", "The Docker engine is down."),
        ("auto", lambda: judge_all(DOWN, None, FOUND), "embedded", "There is no `kind` on the"),
        ("auto", lambda: judge_all(UP, FOUND, None), "embedded", "There is no `docker` on the"),
        ("auto", lambda: judge_all(SMALL, FOUND, FOUND), "embedded", "4 CPUs, 1024.0 MiB"),
        ("kind", lambda: judge_all(UP, FOUND, FOUND), "kind", "asks for it: Docker 28.2"),
        ("embedded", never, "embedded", "LAB_BACKEND asks for it"),
        ("context:prod", never, "context:prod", "LAB_BACKEND asks for it"),
    ],
)
def test_the_choice_always_says_why(wanted, look, name, reason):
    chosen, why = decide(wanted, look)
    assert chosen == name
    assert reason in why


@pytest.mark.parametrize(
    ("kind", "engine", "error"),
    [
        (None, UP, r"There is no `kind` on the PATH\. Install it.*LAB_BACKEND=embedded"),
        (FOUND, DOWN, r"The Docker engine is down\. Start it.*LAB_BACKEND=embedded"),
    ],
)
def test_a_backend_that_cannot_be_used_is_refused_with_the_way_out(kind, engine, error):
    with pytest.raises(BackendUnavailable, match=error):
        decide("kind", lambda: judge_all(engine, kind, FOUND))


def test_choose_gives_a_backend_that_is_not_started(tmp_path):
    settings = load_settings(backend="embedded", state_dir=tmp_path)
    backend, reason = choose(settings)
    assert (backend.name, backend.is_running()) == ("embedded", False)
    assert reason


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda path: None, "no engine is running there. Start Docker"),
        (lambda path: path.write_text(""), "nothing listens there. Start Docker"),
        (lambda path: (path.write_text(""), path.unlink(), path.mkdir()), "nothing listens there"),
    ],
    ids=["no socket", "a file", "a folder"],
)
def test_an_engine_that_is_not_there_is_explained(monkeypatch, tmp_path, prepare, problem):
    path = tmp_path / "docker.sock"
    prepare(path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    found = probe()
    assert found.version == ""
    assert str(path) in found.problem
    assert problem in found.problem


def test_an_engine_that_says_nonsense_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert "Look with `docker info`" in probe().problem


def test_both_backends_have_the_nodes_of_the_cluster_file():
    content = topology.read_cluster_file(project_root() / "manifests/kind-cluster.yaml")
    specs = topology.node_specs(content, "mine")
    assert [spec.name for spec in specs] == ["mine-control-plane", "mine-worker", "mine-worker2"]
    assert [spec.control_plane for spec in specs] == [True, False, False]


def test_the_port_is_published_on_loopback_in_a_copy():
    content = {"kind": "Cluster", "nodes": [{"role": "control-plane"}, {"role": "worker"}]}
    changed = topology.with_host_ports(content, 31234)
    mapping = {"containerPort": 30080, "hostPort": 31234, "protocol": "TCP"}
    assert mapping | {"listenAddress": "127.0.0.1"} in changed["nodes"][0]["extraPortMappings"]
    assert topology.published_port(changed, 30080) == 31234
    assert topology.published_port(changed, 30082) == 31236
    assert topology.published_port(changed, 30083) is None
    assert content["nodes"][0] == {"role": "control-plane"}
    again = topology.with_host_ports(changed, 31235)
    assert topology.published_port(again, 30080) == 31235
    assert len(again["nodes"][0]["extraPortMappings"]) == 3


def test_a_file_that_is_no_kind_configuration_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="Cannot read"):
        topology.read_cluster_file(tmp_path / "nope.yaml")
    (tmp_path / "pod.yaml").write_text("kind: Pod\n")
    with pytest.raises(ManifestError, match="want `kind: Cluster`"):
        topology.read_cluster_file(tmp_path / "pod.yaml")


@pytest.mark.parametrize(
    "call",
    [
        lambda backend: backend.service_url(node_port_service(30080)),
        lambda backend: backend.stop_node("lab-worker"),
        lambda backend: backend.start_node("lab-worker"),
        lambda backend: backend.signal_container("lab", "pod", "worker", "KILL"),
    ],
    ids=["url", "stop", "start", "signal"],
)
def test_without_an_embedded_cluster_each_call_says_how_to_start_one(tmp_path, call):
    backend = EmbeddedBackend(load_settings(state_dir=tmp_path))
    with pytest.raises(ClusterNotRunning, match=r"lab\.up\(\)"):
        call(backend)
    backend.stop()


def test_an_unknown_signal_is_refused(tmp_path):
    backend = EmbeddedBackend(load_settings(state_dir=tmp_path))
    with pytest.raises(InvalidInput, match="want one of KILL, STOP, CONT"):
        backend.signal_container("lab", "pod", "worker", "HUP")


def test_fidelity_names_each_aspect_once(tmp_path):
    aspects = [row.aspect for row in EmbeddedBackend(load_settings(state_dir=tmp_path)).fidelity()]
    assert len(aspects) == len(set(aspects))
    assert {"CPU limit", "containers", "NetworkPolicy"} <= set(aspects)


def test_an_embedded_cluster_takes_any_port_unless_one_is_demanded(tmp_path):
    free = EmbeddedBackend(load_settings(state_dir=tmp_path))._config()[0]
    fixed = EmbeddedBackend(load_settings(state_dir=tmp_path, http_port=31000))._config()[0]
    assert (free.host_ports, fixed.host_ports) == ({}, {30080: 31000, 30081: 31001, 30082: 31002})
