"""Where the official client finds keys and certificates."""

import base64
import stat

import pytest
import yaml

from lab_utils.credentials import FOLDER, client_of
from lab_utils.errors import ClusterError
from tests.tools.disks import fill, small_disk

AUTHORITY, KEY = b"an authority", b"a key" * 2_000


def write_kubeconfig(folder):
    cluster = {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": base64.b64encode(AUTHORITY).decode(),
    }
    user = {"token": "t", "client-key-data": base64.b64encode(KEY).decode()}
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_they_are_files_of_their_owner_beside_the_kubeconfig_and_each_is_there_once(tmp_path):
    kubeconfig = write_kubeconfig(tmp_path)
    client_of(kubeconfig)
    settings = client_of(kubeconfig).configuration
    files = sorted((tmp_path / FOLDER).iterdir())
    assert sorted(path.read_bytes() for path in files) == sorted([AUTHORITY, KEY])
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
    assert settings.ssl_ca_cert in map(str, files)
    assert list(settings.api_key.values()) == ["Bearer t"]


def test_on_a_full_disk_it_says_so_and_connects_when_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        kubeconfig = write_kubeconfig(disk)
        ballast = fill(disk)
        with pytest.raises(ClusterError, match=r"No space left on device.*Make room"):
            client_of(kubeconfig)
        assert not list(disk.glob(f"{FOLDER}/*"))
        ballast.unlink()
        assert client_of(kubeconfig).configuration.host == "https://127.0.0.1:1"
