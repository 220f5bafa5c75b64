import resource
import socket

import pytest

from lab_utils import preflight
from lab_utils.backends.engine import Engine
from lab_utils.settings import load_settings

MIB = 2**20
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
        (preflight.judge_engine(Engine("28.0"), needed=True), "ok"),
        (preflight.judge_engine(GONE, needed=True), "fail"),
        (preflight.judge_engine(GONE, needed=False), "ok"),
        (preflight.judge_kind("/bin/kind", needed=True), "ok"),
        (preflight.judge_kind(None, needed=True), "fail"),
        (preflight.judge_kind(None, needed=False), "ok"),
        (preflight.judge_kubectl(None), "ok"),
        (preflight.judge_kubectl("v1.36.2"), "ok"),
        (preflight.judge_kubectl("v1.35.0-eks"), "ok"),
        (preflight.judge_kubectl("v1.29.1"), "warn"),
        (preflight.judge_kubectl("odd"), "warn"),
        (preflight.judge_port(30080, free=True, ours=False, demanded=True), "ok"),
        (preflight.judge_port(30080, free=False, ours=True, demanded=True), "ok"),
        (preflight.judge_port(30080, free=False, ours=False, demanded=True), "fail"),
        (preflight.judge_port(30080, free=False, ours=False, demanded=False), "ok"),
        (preflight.judge_inotify(512, 524288), "ok"),
        (preflight.judge_inotify(128, 524288), "warn"),
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
