"""What Docker and Kind do wrong, and what the lab says: soon, in one sentence, with a way out.

The numbers are those of the project's list of faults.
"""

import socket
import time

import pytest

from lab_utils import preflight
from lab_utils.backends.base import Build
from lab_utils.backends.choose import choose
from lab_utils.backends.engine import connect, probe
from lab_utils.errors import BackendUnavailable, ClusterError, ImageError, LabError
from lab_utils.settings import load_settings
from tests.tools.kind_world import CREATE

SOON_S = 30.0

# What `kind create cluster` ends with, and what is to be done about it.
REASONS = {
    "19 limit": ("toomanyrequests: You have reached your pull rate limit", "docker login"),
    "19 offline": ("dial tcp: lookup registry-1.docker.io: no such host", "check the network"),
    "19 slow": ("net/http: Client.Timeout exceeded while awaiting headers", "check the network"),
    "19 proxy": ("invalid character '<' looking for beginning of value", "log in to the network"),
    "19 tls": ("x509: certificate signed by unknown authority", "ask who runs its proxy"),
    "18 platforms": ("content digest sha256:abc: not found", "docker pull --platform"),
    "21 port": ("Bind for 127.0.0.1:30080 failed: port is already allocated", "LAB_HTTP_PORT"),
    "space": ("write /var/lib: no space left on device", "docker system df"),
    "inotify": ("could not watch: too many open files", "max_user_instances"),
    "image": ("manifest for kindest/node:v0 not found: manifest unknown", "LAB_NODE_IMAGE"),
    "17 gone": ("Cannot connect to the Docker daemon at unix:///x", "start Docker"),
    "16 rights": ("permission denied while trying to connect to the daemon", "usermod -aG docker"),
}


@pytest.fixture(autouse=True)
def soon():
    started_s = time.monotonic()
    yield
    assert time.monotonic() - started_s < SOON_S


@pytest.mark.fault(16, 17, 18, 19, 21)
@pytest.mark.parametrize(("said", "remedy"), REASONS.values(), ids=REASONS)
def test_each_reason_of_a_failed_create_has_its_own_remedy_and_leaves_nothing(world, said, remedy):
    fails = f"if sys.argv[1] == 'create': print({'ERROR: ' + said!r}); sys.exit(1)"
    world.script("kind", f"{CREATE}\n{fails}")
    with pytest.raises(ClusterError) as caught:
        world.start()
    assert said[:40] in str(caught.value)
    assert remedy in str(caught.value)
    assert (world.left, world.engine.nodes) == ([], {})


def test_the_remedies_differ():
    assert len({remedy for _, remedy in REASONS.values()}) == len(REASONS) - 1  # offline, slow


@pytest.mark.fault(17)
def test_17_an_engine_that_dies_while_it_builds_is_said_and_the_build_may_be_repeated(world):
    dockerfile = world.folder / "Dockerfile"
    dockerfile.write_text("FROM base\n")
    wanted = Build(world.folder / "bin", dockerfile, "worker:1")
    with pytest.raises(LabError, match=r"in the middle of"):
        world.backend.build_image(wanted, world.said.append)
    assert world.said == ["Step 1/9 : FROM base"]


@pytest.mark.fault(17)
def test_17_an_engine_that_dies_while_an_image_is_loaded_is_said(world):
    world.engine.set(lab_control_plane="running")
    world.engine.image = {"Id": "x", "Architecture": "amd64", "RepoTags": ["worker:1"]}
    world.answer(lab_control_plane__images={"images": []})
    dies = (
        "print('Cannot connect to the Docker daemon at unix:///x.', file=sys.stderr); sys.exit(1)"
    )
    world.script("docker", "if sys.argv[1] == 'exec': print('{\"images\": []}')\nelse: " + dies)
    with pytest.raises(ImageError, match=r"Loading worker:1 .*Cannot connect.*start Docker"):
        world.backend.load_image("worker:1", world.said.append)


@pytest.mark.fault(17)
def test_17_an_engine_that_is_frozen_is_said_within_seconds(monkeypatch, tmp_path):
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(path))
        frozen.listen()
        assert "it does not answer. Restart Docker" in probe().problem
        with pytest.raises(BackendUnavailable, match="Restart Docker"), connect():
            raise AssertionError("nobody answered")


@pytest.mark.fault(17)
def test_17_an_engine_that_goes_mid_lab_is_said_by_every_verb(world):
    world.start()
    world.engine.shutdown()
    world.engine.server_close()
    (world.folder / "engine.sock").unlink()
    for verb in (world.backend.is_running, world.backend.describe, world.backend.stop):
        with pytest.raises(BackendUnavailable, match="no engine is running there"):
            verb()
    with pytest.raises(BackendUnavailable, match="no engine is running there"):
        world.backend.stop_node("lab-worker")


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("missing", "reason"),
    [("kind", "no `kind` on the PATH"), ("docker", "no `docker` on the PATH")],
)
def test_16_without_kind_or_docker_the_embedded_cluster_is_offered(world, missing, reason):
    (world.folder / "bin" / missing).unlink()
    settings = load_settings(backend="auto", state_dir=world.folder / "state")
    backend, why = choose(settings)
    assert (backend.name, reason in why) == ("embedded", True)
    with pytest.raises(BackendUnavailable, match=f"{reason}.*LAB_BACKEND=embedded"):
        choose(load_settings(backend="kind", state_dir=world.folder / "state"))


@pytest.mark.fault(16)
def test_16_windows_containers_are_a_finding(world):
    world.engine.info = {"OSType": "windows"}
    assert "Switch it to Linux containers" in probe().problem


@pytest.mark.fault(16)
def test_16_a_wrong_docker_host_is_a_finding(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    settings = load_settings(backend="kind", state_dir=tmp_path)
    tmp_path.chmod(0o700)
    found = {check.name: check for check in preflight.examine(settings)}
    assert found["Docker engine"].status == "fail"
    assert "docker context ls" in found["Docker engine"].found


def test_logs_are_exported_by_kind(world):
    world.start()
    world.backend.export_logs(world.folder / "logs", world.said.append)
    logs = str(world.folder / "logs")
    assert world.calls[-1] == ["kind", "export", "logs", logs, "--name", "lab"]
    world.script("kind", "print('ERROR: unknown cluster \"lab\"'); sys.exit(1)")
    with pytest.raises(ClusterError, match="could not export the logs: ERROR: unknown cluster"):
        world.backend.export_logs(world.folder / "logs", world.said.append)
