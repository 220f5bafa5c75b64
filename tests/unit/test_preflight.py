import resource
import socket

import pytest

from lab_utils import preflight
from lab_utils.backends import kind_needs
from lab_utils.backends.engine import Engine
from lab_utils.backends.kind import Made
from lab_utils.settings import load_settings

MIB, GIB = 2**20, 2**30
GONE = Engine(problem="The Docker engine at unix:///x cannot be used: nobody is there.")


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (preflight.judge_python((3, 11, 0)), "ok"),
        (preflight.judge_python((3, 10, 14)), "fail"),
        (preflight.judge_memory(2048 * MIB), "ok"),
        (preflight.judge_memory(600 * MIB), "warn"),
        (preflight.judge_memory(100 * MIB), "fail"),
        (preflight.judge_addresses([]), "ok"),
        (preflight.judge_addresses(["127.200.1.1"]), "fail"),
        (preflight.judge_open_files(256), "warn"),
        (preflight.judge_open_files(1024), "ok"),
        (preflight.judge_open_files(resource.RLIM_INFINITY), "ok"),
        (preflight.judge_disk(10**10), "ok"),
        (preflight.judge_disk(200 * MIB), "warn"),
        (preflight.judge_disk(MIB), "fail"),
        (preflight.judge_leftovers([]), "ok"),
        (preflight.judge_leftovers(["cluster 'demo' (embedded) runs"]), "warn"),
        (kind_needs.judge_engine(Engine("28.0")), "ok"),
        (kind_needs.judge_engine(GONE), "fail"),
        (kind_needs.judge_kind("/bin/kind"), "ok"),
        (kind_needs.judge_kind(None), "fail"),
        (kind_needs.judge_docker("/usr/bin/docker"), "ok"),
        (kind_needs.judge_docker("/snap/bin/docker"), "warn"),
        (kind_needs.judge_docker(None), "fail"),
        (kind_needs.judge_architecture("aarch64"), "ok"),
        (kind_needs.judge_architecture("riscv64"), "fail"),
        (kind_needs.judge_capacity(8, 16 * GIB), "ok"),
        (kind_needs.judge_capacity(1, 16 * GIB), "warn"),
        (kind_needs.judge_capacity(4, 2 * GIB), "warn"),
        (kind_needs.judge_capacity(4, GIB), "fail"),
        (kind_needs.judge_cgroups("2"), "ok"),
        (kind_needs.judge_cgroups("1"), "warn"),
        (kind_needs.judge_image_store([["Backing Filesystem", "extfs"]]), "ok"),
        (kind_needs.judge_image_store([["driver-type", "io.containerd.snapshotter.v1"]]), "ok"),
        (kind_needs.judge_options(["name=seccomp,profile=default"]), "ok"),
        (kind_needs.judge_options(["name=rootless"]), "warn"),
        (kind_needs.judge_proxy({}), "ok"),
        (kind_needs.judge_proxy({"https_proxy": "http://p:3128"}), "fail"),
        (kind_needs.judge_proxy({"HTTP_PROXY": "p", "NO_PROXY": "localhost, 127.0.0.1"}), "ok"),
        (kind_needs.judge_kubectl(None), "ok"),
        (kind_needs.judge_kubectl("v1.36.2"), "ok"),
        (kind_needs.judge_kubectl("v1.35.0-eks"), "ok"),
        (kind_needs.judge_kubectl("v1.29.1"), "warn"),
        (kind_needs.judge_kubectl("v1.29.1", 30), "ok"),
        (kind_needs.judge_kubectl("odd"), "warn"),
        (preflight.judge_port(30080, free=True, ours=False, demanded=True), "ok"),
        (preflight.judge_port(30080, free=False, ours=True, demanded=True), "ok"),
        (preflight.judge_port(30080, free=False, ours=False, demanded=True), "fail"),
        (preflight.judge_port(30080, free=False, ours=False, demanded=False), "ok"),
        (kind_needs.judge_inotify(512, 524288), "ok"),
        (kind_needs.judge_inotify(128, 524288), "warn"),
    ],
)
def test_a_check_judges_what_was_measured(check, status):
    assert check.status == status
    assert check.found
    assert status == "ok" or check.remedy or "cannot be used" in check.found


def test_this_machine_is_examined_for_the_embedded_cluster(tmp_path):
    tmp_path.chmod(0o700)
    checks = preflight.examine(load_settings(backend="embedded", state_dir=tmp_path))
    names = [check.name for check in checks]
    assert names[:2] == ["backend", "Python"]
    assert len(set(names)) == len(names)
    assert checks[0].found == "embedded: LAB_BACKEND asks for it"


def test_clusters_of_earlier_days_are_named(tmp_path):
    tmp_path.chmod(0o700)
    note = tmp_path / "kind" / "old" / "made.json"
    note.parent.mkdir(parents=True, mode=0o700)
    Made(()).save(note)
    settings = load_settings(backend="embedded", state_dir=tmp_path)
    found = {check.name: check for check in preflight.examine(settings)}
    assert found["leftovers"].found == "cluster 'old' (kind) was made"


def test_a_context_is_looked_up_for_its_own_backend(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    settings = load_settings(backend="context:prod", state_dir=tmp_path)
    last = preflight.examine(settings)[-1]
    assert (last.name, last.status) == ("context", "fail")
    assert "no context of that name" in last.found


def test_a_port_in_use_is_found(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load_settings(backend="embedded", http_port=port, state_dir=tmp_path)
        found = {check.name: check for check in preflight.examine(settings)}
    assert found[f"port {port}"].status == "fail"
    assert "LAB_HTTP_PORT" in found[f"port {port}"].remedy


def test_a_backend_that_cannot_be_used_is_a_finding_and_not_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = preflight.examine(load_settings(backend="kind", state_dir=tmp_path))
    assert found[0].status == "fail"
    assert "There is no `kind` on the PATH" in found[0].found
