"""The Kind backend against a `kind` that replays and a Docker engine that remembers."""

import io
import json
import socket
import tarfile
from pathlib import Path

import pytest
import yaml

from lab_utils.backends.docker_build import follow_build
from lab_utils.backends.kind import Made, judge
from lab_utils.backends.kind_cli import CommandFailed, run
from lab_utils.backends.kind_images import config_digest, save_command
from lab_utils.backends.kind_nodes import container_id, full_reference
from lab_utils.backends.remedies import explain
from lab_utils.errors import (
    BackendUnavailable,
    ClusterError,
    ImageError,
    InvalidInput,
    NotFound,
    PortBusy,
)
from tests.tools.kind_world import FAILS, HANGS
from tests.tools.services import node_port_service


def test_create_calls_kind_once_with_our_own_files(world):
    world.start()
    state = world.folder / "state/kind/lab"
    expected = ["kind", "create", "cluster", "--name", "lab", "--config"]
    expected += [f"{state}/kind-cluster.yaml", "--kubeconfig", f"{state}/kubeconfig"]
    assert world.calls == [[*expected, "--image", "kindest/node:v1.36.2"]]
    assert world.said == ['Creating cluster "lab"', "Preparing nodes"]
    config = yaml.safe_load((state / "kind-cluster.yaml").read_text())
    assert config["nodes"][0]["extraPortMappings"][0]["hostPort"] == world.settings.http_port
    assert (
        world.backend.service_url(node_port_service(30080))
        == f"http://127.0.0.1:{world.settings.http_port}"
    )
    assert world.backend.is_running()


@pytest.mark.fault(20)
def test_a_second_start_attaches_and_names_nodes_that_are_off(world):
    world.start()
    world.backend.stop_node("lab-worker")
    world.start()
    assert [call[1] for call in world.calls] == ["create"]
    assert world.said[-1] == "Node lab-worker is exited: lab.ensure() starts it"


def test_stop_deletes_the_cluster_and_its_files_and_may_be_called_twice(world):
    world.start()
    world.backend.stop()
    world.backend.stop()
    assert [call[1] for call in world.calls] == ["create", "delete"]
    assert (world.left, world.backend.is_running()) == ([], False)
    world.start()
    assert world.backend.is_running()


@pytest.mark.fault(20)
def test_a_cluster_the_lab_did_not_make_is_never_touched(world):
    world.engine.set(lab_control_plane="running")
    for call in (world.start, world.backend.stop):
        with pytest.raises(ClusterError, match=r"the lab did not make.*LAB_CLUSTER"):
            call()
    assert world.calls == []
    assert not world.backend.is_running()


def test_a_failed_create_gives_kinds_reason_and_leaves_nothing(world):
    world.script("kind", FAILS)
    with pytest.raises(ClusterError, match=r"no space left on device. Next step: free some disk"):
        world.start()
    assert [call[1] for call in world.calls] == ["create", "delete"]
    assert (world.left, world.engine.nodes) == ([], {})


def test_an_interrupted_create_leaves_nothing(world):
    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    world.script("kind", HANGS)
    with pytest.raises(KeyboardInterrupt):
        world.backend.start(interrupt)
    assert [call[1] for call in world.calls] == ["create", "delete"]
    assert (world.left, world.engine.nodes) == ([], {})


@pytest.mark.fault(20)
def test_a_half_made_cluster_is_said_to_be_and_may_be_removed(world):
    world.engine.set(lab_control_plane="running")
    Made().save(world.folder / "state/kind/lab/made.json")
    with pytest.raises(ClusterError, match=r"half made.*lab.down\(\)"):
        world.start()
    world.backend.stop()
    assert world.engine.nodes == {}


@pytest.mark.fault(21)
def test_a_busy_port_is_found_before_kind_is_called(world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", world.settings.http_port))
        taken.listen()
        with pytest.raises(PortBusy, match="set LAB_HTTP_PORT"):
            world.start()
    assert (world.calls, world.left) == ([], [])


@pytest.mark.parametrize(
    ("ids", "made", "verdict"),
    [
        (set(), None, "create"),
        (set(), Made(("a",)), "create"),
        ({"a"}, None, "foreign"),
        ({"a"}, Made(), "half-made"),
        ({"a", "b"}, Made(("a", "b")), "attach"),
        ({"a"}, Made(("a", "b")), "attach"),
        ({"c"}, Made(("a", "b")), "foreign"),
    ],
)
def test_a_name_is_judged_by_the_ids_of_its_containers(ids, made, verdict):
    assert judge(ids, made) == verdict


def test_nodes_are_switched_and_each_switch_may_be_repeated(world):
    world.engine.set(lab_control_plane="running", lab_worker="running")
    steps = [
        ("pause_node", "paused"),
        ("unpause_node", "running"),
        ("stop_node", "exited"),
        ("start_node", "running"),
        ("pause_node", "paused"),
        ("start_node", "running"),
    ]
    for verb, state in steps:
        for _ in range(2):
            getattr(world.backend, verb)("lab-worker")
            assert world.engine.nodes["lab-worker"][1] == state
    with pytest.raises(NotFound, match="no node 'nope': it has lab-control-plane, lab-worker"):
        world.backend.stop_node("nope")


def test_a_signal_goes_to_the_container_on_the_node_that_has_it(world):
    world.engine.set(lab_control_plane="running", lab_worker="running", lab_worker2="exited")
    labels = {
        "io.kubernetes.pod.namespace": "lab",
        "io.kubernetes.pod.name": "p",
        "io.kubernetes.container.name": "worker",
    }
    there = {"containers": [{"id": "c1", "labels": labels}]}
    world.answer(
        lab_control_plane__ps={"containers": []},
        lab_worker__ps=there,
        lab_worker__inspect={"info": {"pid": 4711}},
    )
    world.backend.signal_container("lab", "p", "worker", "KILL")
    assert world.calls[-1] == ["docker", "exec", "lab-worker", "kill", "-s", "KILL", "4711"]
    with pytest.raises(NotFound, match="no running container 'other'"):
        world.backend.signal_container("lab", "p", "other", "KILL")
    with pytest.raises(InvalidInput, match="want one of"):
        world.backend.signal_container("lab", "p", "worker", "TERM")


def image(identity: str) -> dict:
    return {
        "Id": identity,
        "Architecture": "amd64",
        "RepoTags": ["worker:1-abc", "worker:1", "elsewhere.example/worker:1"],
    }


def crictl_images(image_id: str, *names: str) -> dict:
    tags = [f"docker.io/library/{name}" for name in names or ("worker:1", "worker:1-abc")]
    return {"images": [{"id": image_id, "repoTags": tags}, {"id": "x", "repoTags": None}]}


@pytest.mark.fault(18)
def test_an_image_is_carried_as_an_archive_and_seen_on_every_node(world):
    world.engine.set(lab_control_plane="running", lab_worker="running")
    world.engine.image = image("sha256:engine")
    here, old = crictl_images("sha256:abc"), crictl_images("sha256:old")
    world.answer(lab_control_plane__images=here, lab_worker__images=old)
    with pytest.raises(ImageError, match="after `kind load` it is still not on lab-worker"):
        world.backend.load_image("worker:1", world.said.append)
    save, load = (call for call in world.calls if call[1] != "exec")
    assert save[:3] == ["docker", "save", "--output"]
    assert save[4:] == ["worker:1", "worker:1-abc"]
    assert load[:3] == ["kind", "load", "image-archive"]
    assert load[-2:] == ["--name", "lab"]
    world.answer(lab_control_plane__images=here, lab_worker__images=here)
    world.backend.load_image("worker:1", world.said.append)
    assert [call[1] for call in world.calls if call[1] != "exec"] == ["save", "load", "save"]


def test_an_image_that_every_node_has_is_not_even_saved(world):
    world.engine.set(lab_control_plane="running")
    world.engine.image = image("sha256:abc")
    world.answer(lab_control_plane__images=crictl_images("sha256:abc"))
    world.backend.load_image("worker:1", world.said.append)
    assert [call[1] for call in world.calls] == ["exec"]


def test_an_image_that_lacks_one_of_its_names_on_a_node_is_carried_there(world):
    world.engine.set(lab_control_plane="running")
    world.engine.image = image("sha256:abc")
    world.answer(lab_control_plane__images=crictl_images("sha256:abc", "worker:1"))
    with pytest.raises(ImageError, match="still not on lab-control-plane"):
        world.backend.load_image("worker:1", world.said.append)


def test_an_image_cannot_be_loaded_into_a_node_that_is_off(world):
    world.engine.set(lab_control_plane="running", lab_worker="exited")
    world.engine.image = image("sha256:abc")
    world.answer(lab_control_plane__images=crictl_images("sha256:abc"))
    with pytest.raises(ClusterError, match="Node lab-worker is exited: start it first"):
        world.backend.load_image("worker:1", world.said.append)


def test_loading_an_image_that_is_not_built_says_so(world):
    with pytest.raises(ImageError, match=r"Build it first: lab.build_image\('worker:1'\)"):
        world.backend.load_image("worker:1", print)


@pytest.mark.parametrize(
    ("version", "platform"), [("1.41", []), ("1.48", ["--platform", "linux/arm64"])]
)
def test_save_names_the_platform_where_the_engine_knows_the_option(version, platform):
    command = save_command(version, "arm64", ["worker:1"], Path("a.tar"))
    assert command == ["docker", "save", *platform, "--output", "a.tar", "worker:1"]


@pytest.mark.parametrize("name", ["abc.json", "blobs/sha256/abc"])
def test_the_image_id_is_read_from_both_kinds_of_archive(tmp_path, name):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        text = json.dumps([{"Config": name}]).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    assert config_digest(tmp_path / "a.tar") == "sha256:abc"
    (tmp_path / "b.tar").write_text("no archive")
    with pytest.raises(ImageError, match="no image archive"):
        config_digest(tmp_path / "b.tar")


def test_a_build_log_is_told_and_its_error_raised():
    said: list[str] = []
    log = [{"stream": "Step 1\n"}, {"stream": "\n"}, {"aux": {"ID": "sha256:abc"}}]
    assert follow_build(log, "worker:1", said.append) == "sha256:abc"
    assert said == ["Step 1"]
    error = {"error": "toomanyrequests: You have reached your unauthenticated pull rate limit."}
    with pytest.raises(ImageError, match=r"Building worker:1 failed: error: toomany.*docker login"):
        follow_build([error], "worker:1", said.append)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("all fine\nlast words\n", "last words"),
        ("ERROR: failed to create cluster: x\nStack\n", "ERROR: failed to create cluster: x"),
        ("ERROR: f\nCommand Output: dial tcp: i/o timeout", "Next step: this machine does not"),
        ("", ""),
    ],
)
def test_a_command_is_explained_by_its_own_words(output, reason):
    assert reason in explain(output)


def test_a_command_that_is_not_there_and_one_that_fails(world):
    with pytest.raises(BackendUnavailable, match="Cannot run `nope`"):
        run(["nope"], print)
    world.script("kind", "sys.exit(3)")
    with pytest.raises(CommandFailed, match="kind exited with 3"):
        run(["kind", "version"], print)


@pytest.mark.parametrize(
    ("tag", "full"),
    [
        ("worker:1", "docker.io/library/worker:1"),
        ("me/worker:1", "docker.io/me/worker:1"),
        ("ghcr.io/me/worker:1", "ghcr.io/me/worker:1"),
        ("localhost/worker:1", "localhost/worker:1"),
        ("host:5000/worker:1", "host:5000/worker:1"),
    ],
)
def test_names_are_written_as_containerd_knows_them(tag, full):
    assert full_reference(tag) == full


def test_a_container_is_found_by_all_of_its_labels():
    assert (
        container_id({"containers": [{"id": "a", "labels": {}}, {"id": "b"}]}, "n", "p", "c")
        is None
    )
