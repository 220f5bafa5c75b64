import os
from pathlib import Path

import pytest

from lab_utils import settings as module
from lab_utils.errors import InvalidInput
from lab_utils.settings import (
    cluster_root,
    load_settings,
    project_root,
    settings_beside,
    show_path,
    state_root,
)


@pytest.fixture(autouse=True)
def _no_lab_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("LAB_", "XDG_"))]:
        monkeypatch.delenv(name)


def test_defaults_need_no_environment():
    settings = load_settings()
    assert (settings.backend, settings.cluster, settings.profile) == ("auto", "lab", "full")
    assert settings.http_port is None


def test_the_environment_sets_and_an_argument_wins(monkeypatch):
    monkeypatch.setenv("LAB_HTTP_PORT", "31000")
    monkeypatch.setenv("LAB_BACKEND", "kind")
    settings = load_settings(backend="embedded", cluster=None)
    assert (settings.http_port, settings.backend, settings.cluster) == (31000, "embedded", "lab")


def test_an_empty_variable_is_as_if_not_set(monkeypatch):
    monkeypatch.setenv("LAB_HTTP_PORT", "")
    assert load_settings().http_port is None


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("LAB_BACKEND", "docker", "want auto, kind, embedded or context:NAME"),
        ("LAB_BACKEND", "context:", "want auto, kind, embedded or context:NAME"),
        ("LAB_CLUSTER", "My Lab", "want a name of at most 40"),
        ("LAB_CLUSTER", "../etc", "want a name of at most 40"),
        ("LAB_HTTP_PORT", "0", "want a port number from 1 to 65533"),
        ("LAB_HTTP_PORT", "eighty", "want a port number from 1 to 65533"),
        ("LAB_PROFILE", "slow", "want full or quick"),
        ("LAB_SEED", "nan", "want a whole number"),
        ("LAB_SEED", "-1", "want a whole number"),
        ("LAB_BASE_IMAGE", "python; rm -rf /", "want an image reference"),
        ("LAB_NODE_IMAGE", "$(id)", "want an image of kindest/node"),
    ],
)
def test_a_bad_value_is_one_sentence_with_the_variable(monkeypatch, variable, value, wanted):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput, match=variable) as caught:
        load_settings()
    assert wanted in str(caught.value)
    assert value in str(caught.value)


def test_an_unknown_setting_is_refused():
    with pytest.raises(InvalidInput, match="no setting 'backnd'"):
        load_settings(backnd="kind")


@pytest.mark.fault(35)
def test_the_state_folder_is_made_private_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        root = cluster_root(load_settings(state_dir=tmp_path / "my state ü"), "embedded")
    finally:
        os.umask(old)
    assert root == tmp_path / "my state ü" / "embedded" / "lab"
    assert [p.stat().st_mode & 0o777 for p in (root, *root.parents[:2])] == [0o700] * 3


def test_the_state_folder_follows_xdg_and_ignores_a_relative_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_root(load_settings()) == tmp_path / "k8s-inference-lab"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_root(load_settings()) == tmp_path / ".local/state/k8s-inference-lab"


@pytest.mark.fault(12)
@pytest.mark.parametrize("home", ["missing", "file"])
def test_an_unusable_home_falls_back_to_a_private_temporary_folder(monkeypatch, tmp_path, home):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    root = state_root(load_settings())
    assert root == tmp_path / f"k8s-inference-lab-{os.getuid()}"
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_written_falls_back(monkeypatch, tmp_path):
    (tmp_path / ".local").write_text("a file where a folder should be")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path))
    assert state_root(load_settings()).name == f"k8s-inference-lab-{os.getuid()}"


@pytest.mark.fault(35)
def test_a_planted_symbolic_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="symbolic link"):
        state_root(load_settings(state_dir=tmp_path / "state"))


def test_a_folder_open_to_others_is_refused(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    with pytest.raises(InvalidInput, match="chmod 700"):
        state_root(load_settings(state_dir=tmp_path / "state"))


@pytest.mark.fault(35)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 12345, 12345)
    with pytest.raises(InvalidInput, match="belongs to user 12345"):
        state_root(load_settings(state_dir=tmp_path / "state"))


@pytest.mark.fault(12)
def test_a_state_folder_that_cannot_be_made_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="Set LAB_STATE_DIR"):
        state_root(load_settings(state_dir=tmp_path / "file" / "state"))


def test_the_project_is_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    root = project_root()
    assert (root / "lab_utils").is_dir()
    assert show_path(root / "manifests" / "x.yaml") == str(Path("manifests/x.yaml"))
    assert show_path(Path("/etc/hosts")) == "/etc/hosts"


def test_without_a_clone_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "site-packages/lab_utils/settings.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="pip install -e"):
        project_root()


def test_a_cluster_beside_has_a_name_a_file_and_ports_of_its_own():
    usual = load_settings(cluster="a" * 40, http_port=31000)
    beside = settings_beside(usual, "fast")
    assert beside.cluster == "a" * 35 + "-fast"
    assert beside.cluster_file.name == "kind-cluster-fast.yaml"
    assert beside.http_port == 31003
    assert settings_beside(load_settings(), "fast").http_port is None


def test_a_kind_of_cluster_that_is_not_there_is_refused_by_those_there_are():
    with pytest.raises(InvalidInput, match="no kind of cluster 'slow': want one of fast"):
        settings_beside(load_settings(), "slow")
