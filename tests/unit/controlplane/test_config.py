"""What the processes of a cluster agree on, kept in a file."""

import json
from pathlib import Path

import pytest

from lab_utils.controlplane.config import ClusterConfig, NodeConfig, write_atomically
from tests.tools.disks import fill, small_disk

CONFIG = ClusterConfig("lab", "run", (NodeConfig("lab-worker", 1),), {30080: 0})


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    CONFIG.save(tmp_path / "config.json")
    assert ClusterConfig.load(tmp_path / "config.json") == CONFIG


def test_the_file_of_another_version_can_still_be_read(tmp_path: Path) -> None:
    """Or a cluster could neither be ended nor started after an upgrade."""
    path = tmp_path / "config.json"
    CONFIG.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gone_since": 1}))
    assert ClusterConfig.load(path) == CONFIG


def test_on_a_full_disk_a_file_stays_as_it_was_and_nothing_half_written_beside_it(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        write_atomically(disk / "file", "old")
        fill(disk)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(disk / "file", "new" * 5_000)
        assert (disk / "file").read_text() == "old"
        assert sorted(path.name for path in disk.iterdir()) == ["ballast", "file"]
