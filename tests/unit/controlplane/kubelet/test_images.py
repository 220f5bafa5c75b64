"""Images of a node, and the launch of a container from one."""

from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.config import Layout
from lab_utils.controlplane.kubelet.env import ConfigError, Sources
from lab_utils.controlplane.kubelet.images import ImageStore, ImageUnavailable, full_name
from lab_utils.controlplane.kubelet.launch import make_launch
from lab_utils.controlplane.kubelet.volumes import VolumeError, write_volumes
from tests.unit.controlplane.kubelet.conftest import NODE, write_image

Json = dict[str, Any]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.node(NODE).mkdir(parents=True)
    write_image(layout, "worker:1", Entrypoint=["python", "/app/hello.txt"], Cmd=["$(A)"])
    return layout


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("worker", "docker.io/library/worker:latest"),
        ("worker:1", "docker.io/library/worker:1"),
        ("me/worker:1", "docker.io/me/worker:1"),
        ("localhost:5000/worker", "localhost:5000/worker:latest"),
        ("registry.invalid/a/b:1", "registry.invalid/a/b:1"),
    ],
)
def test_names_are_spelt_out(reference: str, name: str) -> None:
    assert full_name(reference) == name


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        ("absent:1", "Never", "ErrImageNeverPull"),
        ("absent:1", "IfNotPresent", "ErrImagePull"),
        ("worker:1", "Always", "ErrImagePull"),
    ],
)
def test_an_image_that_was_not_loaded(layout: Layout, image: str, policy: str, reason: str) -> None:
    with pytest.raises(ImageUnavailable) as caught:
        ImageStore(layout, NODE).require(image, policy)
    assert caught.value.reason == reason


def test_a_pull_fails_in_the_words_of_a_real_cluster(layout: Layout) -> None:
    with pytest.raises(ImageUnavailable) as caught:
        ImageStore(layout, NODE).require("absent-image:9", "IfNotPresent")
    assert caught.value.message == (
        'failed to pull and unpack image "docker.io/library/absent-image:9": failed to resolve '
        'reference "docker.io/library/absent-image:9": failed to do request: Head '
        '"https://registry-1.docker.io/v2/library/absent-image/manifests/9": dial tcp: lookup '
        "registry-1.docker.io: no such host"
    )


def launch_of(layout: Layout, tmp_path: Path, pod_spec: Json, **container: Any) -> Any:
    pod = {"metadata": {"name": "p", "namespace": "lab", "uid": "u"}, "spec": pod_spec}
    image = ImageStore(layout, NODE).require("worker:1", "Never")
    return make_launch(pod, {"name": "c", **container}, image, Sources(), tmp_path / "pod", 0)


def test_command_and_args_replace_entrypoint_and_cmd(layout: Layout, tmp_path: Path) -> None:
    env = [{"name": "A", "value": "x y"}]
    launch = launch_of(layout, tmp_path, {}, env=env)
    rootfs = ImageStore(layout, NODE).require("worker:1", "Never").rootfs
    assert launch.argv == ("python", str(rootfs / "app/hello.txt"), "x y")
    assert launch_of(layout, tmp_path, {}, args=["z"]).argv[2:] == ("z",)
    assert launch_of(layout, tmp_path, {}, command=["a"]).argv == ("a",)
    assert launch.cwd == rootfs / "app"


def test_nothing_of_the_host_reaches_a_container(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    env = launch_of(layout, tmp_path, {}).env
    assert env["HOSTNAME"] == "p"
    assert env["FROM_IMAGE"] == "yes"
    assert "SECRET_OF_THE_HOST" not in env


@pytest.mark.parametrize(
    ("context", "user", "message"),
    [
        ({"runAsNonRoot": True}, "0", "image will run as root"),
        ({"runAsNonRoot": True}, "", "image will run as root"),
        ({"runAsNonRoot": True}, "web", "image has non-numeric user (web)"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "1", "runAsUser breaks non-root policy"),
    ],
)
def test_run_as_non_root(tmp_path: Path, context: Json, user: str, message: str) -> None:
    layout = Layout(tmp_path)
    layout.node(NODE).mkdir(parents=True)
    write_image(layout, "worker:1", User=user, Cmd=["x"])
    with pytest.raises(ConfigError) as caught:
        launch_of(layout, tmp_path, {"securityContext": context})
    assert message in str(caught.value)
    assert str(caught.value).endswith('(pod: "p_lab(u)", container: c)')


def test_paths_below_a_mount_are_the_volume(layout: Layout, tmp_path: Path) -> None:
    mounts = [{"name": "config", "mountPath": "/etc/app"}]
    launch = launch_of(layout, tmp_path, {}, command=["cat", "/etc/app/x"], volumeMounts=mounts)
    assert launch.argv[1] == str(tmp_path / "pod/volumes/config/x")


def test_volumes_are_folders(tmp_path: Path) -> None:
    volumes = [{"name": "v", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {}}]
    pod: Json = {"metadata": {}, "spec": {"volumes": volumes}}
    write_volumes(tmp_path, pod, Sources({("ConfigMap", "m"): {"k": "text"}}))
    assert (tmp_path / "v/k").read_text() == "text"
    assert (tmp_path / "e").is_dir()
    with pytest.raises(VolumeError, match='for volume "v" : configmap "m" not found'):
        write_volumes(tmp_path, pod, Sources())
