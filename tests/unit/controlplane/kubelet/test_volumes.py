"""The files of volumes: what they hold, how they change, what is refused."""

import os
from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.kubelet.env import Sources
from lab_utils.controlplane.kubelet.volumes import VolumeError, local_path, write_volumes

Json = dict[str, Any]


def pod(*volumes: Json) -> Json:
    metadata = {"name": "p", "namespace": "lab", "uid": "u", "labels": {"say": 'a "b"'}}
    return {"metadata": metadata, "spec": {"containers": [], "volumes": list(volumes)}}


def config(**source: Any) -> Json:
    return {"name": "v", "configMap": {"name": "m", **source}}


def sources(**data: str | bytes) -> Sources:
    return Sources({("ConfigMap", "m"): data})


def test_files_change_all_at_once(tmp_path: Path) -> None:
    write_volumes(tmp_path, pod(config()), sources(a="1", b="2"))
    folder = tmp_path / "v"
    first = os.readlink(folder / "..data")
    with (folder / "a").open() as opened:
        write_volumes(tmp_path, pod(config()), sources(a="3", c=b"\xff"))
        assert opened.read() == "1"
    assert os.readlink(folder / "a") == "..data/a"
    assert (folder / "a").read_text() == "3"
    assert (folder / "c").read_bytes() == b"\xff"
    assert not (folder / "b").exists()
    assert not (folder / first).exists()
    assert sorted(name for name in os.listdir(folder) if not name.startswith("..")) == ["a", "c"]


def test_files_that_say_the_same_are_left_alone(tmp_path: Path) -> None:
    for _ in range(2):
        write_volumes(tmp_path, pod(config()), sources(a="1"))
    assert len([name for name in os.listdir(tmp_path / "v") if name.startswith("..2")]) <= 1
    assert len(os.listdir(tmp_path / "v")) == 3


def test_items_choose_keys_and_paths(tmp_path: Path) -> None:
    items = [{"key": "a", "path": "sub/x"}]
    write_volumes(tmp_path, pod(config(items=items)), sources(a="1", b="2"))
    assert (tmp_path / "v" / "sub" / "x").read_text() == "1"
    assert not (tmp_path / "v" / "b").exists()


def test_what_an_empty_dir_holds_stays(tmp_path: Path) -> None:
    volume = {"name": "v", "emptyDir": {}}
    write_volumes(tmp_path, pod(volume), Sources())
    (tmp_path / "v" / "own").touch()
    write_volumes(tmp_path, pod(volume), Sources())
    assert (tmp_path / "v" / "own").exists()


def test_a_projected_volume_joins_its_sources(tmp_path: Path) -> None:
    fields = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    parts = [{"configMap": {"name": "m"}}, {"downwardAPI": {"items": fields}}]
    write_volumes(tmp_path, pod({"name": "v", "projected": {"sources": parts}}), sources(a="1"))
    assert (tmp_path / "v" / "a").read_text() == "1"
    assert (tmp_path / "v" / "labels").read_text() == 'say="a \\"b\\""'


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (config(name="no"), 'MountVolume.SetUp failed for volume "v" : configmap "no" not found'),
        (config(items=[{"key": "z", "path": "z"}]), "references non-existent config key: z"),
        (config(items=[{"key": "a", "path": "../a"}]), "leaves the volume"),
    ],
    ids=["object", "key", "path"],
)
def test_what_is_missing_is_named(tmp_path: Path, volume: Json, message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        write_volumes(tmp_path, pod(volume), sources(a="1"))


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/data", "/here"),
        ("/data/x", "/here/x"),
        ("cat /data/x > /data/y", "cat /here/x > /here/y"),
        ("--file=/data/x", "--file=/here/x"),
        ("/database", "/database"),
        ("http://host/data", "http://host/data"),
        ("/no/data", "/no/data"),
    ],
)
def test_paths_below_a_mount_are_translated(tmp_path: Path, text: str, local: str) -> None:
    assert local_path(text, {"/data": Path("/here")}, tmp_path) == local
