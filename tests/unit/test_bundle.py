"""The offline classroom: one file that is whole or not there, and goes on where it was."""

import tarfile

import pytest

from lab_utils.bundle import make
from lab_utils.bundle.archive import ROOT, Workshop, unpack
from lab_utils.bundle.load import load_bundle
from lab_utils.bundle.make import PARTS, Part, make_bundle, project_files
from lab_utils.errors import ImageError, InvalidInput
from lab_utils.settings import load_settings


def nothing(done, total):
    pass


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Give settings on a machine whose engine does not answer."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    (tmp_path / "state").mkdir(mode=0o700)
    return load_settings(state_dir=tmp_path / "state")


def part(name, made, content="content", **about):
    def write(path, bar):
        made.append(name)
        path.write_text(content)

    return Part(name, f"{name}.part", about, write)


@pytest.fixture
def some_parts(monkeypatch):
    """Give parts that are quickly made, and the names of those that were."""
    made = []
    parts = [part("lab-wheels", made, python="3"), part("worker-wheels", made)]
    monkeypatch.setattr(make, "_parts", lambda settings: parts)
    monkeypatch.setattr(make, "project_files", list)
    return parts, made


def test_a_bundle_goes_on_where_it_was_interrupted(settings, tmp_path, some_parts):
    parts, made = some_parts
    target = tmp_path / "b.tar"

    def breaks(path, bar):
        raise KeyboardInterrupt

    whole, parts[1] = parts[1], Part("worker-wheels", "w", {}, breaks)
    with pytest.raises(KeyboardInterrupt):
        make_bundle(settings, target)
    assert not target.exists()
    parts[1] = whole
    assert make_bundle(settings, target) == target
    assert made == ["lab-wheels", "worker-wheels"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "state"]


def test_a_part_that_is_about_something_else_or_damaged_is_made_again(tmp_path):
    workshop = Workshop(tmp_path / "b.tar")
    path = workshop.folder / "x"
    path.write_text("1")
    workshop.keep("x", path, {"python": "3.12"})
    assert Workshop(tmp_path / "b.tar").is_ready("x", {"python": "3.12"})
    assert not workshop.is_ready("x", {"python": "3.13"})
    path.write_text("2")
    assert not workshop.is_ready("x", {"python": "3.12"})


def test_what_is_taken_out_is_what_was_put_in(settings, tmp_path, some_parts):
    target = make_bundle(settings, tmp_path / "b.tar")
    folder = tmp_path / "out"
    folder.mkdir()
    entries = unpack(target, folder, nothing)
    assert [entry.name for entry in entries] == ["lab-wheels", "worker-wheels"]
    assert (folder / "lab-wheels.part").read_text() == "content"
    (folder / "lab-wheels.part").write_text("spoiled meanwhile")
    unpack(target, folder, nothing)
    assert (folder / "lab-wheels.part").read_text() == "content"


@pytest.mark.parametrize("spoil", ["cut", "changed", "empty", "other"])
def test_a_bundle_that_is_not_whole_is_refused(settings, tmp_path, some_parts, spoil):
    target = make_bundle(settings, tmp_path / "b.tar")
    content = target.read_bytes()
    spoiled = {
        "cut": content[: content.rindex(b"content")],
        "changed": content[::-1].replace(b"tnetnoc", b"tnetnoK", 1)[::-1],
        "empty": b"",
        "other": b"no tar at all" * 100,
    }
    target.write_bytes(spoiled[spoil])
    with pytest.raises(InvalidInput, match=r"no bundle of the lab, or not whole|is damaged"):
        load_bundle(settings, target)


def test_a_part_that_cannot_be_had_is_named_with_how_to_leave_it_out(settings, tmp_path):
    with pytest.raises(ImageError, match=r"LAB_NODE_IMAGE.*--without node-image"):
        make_bundle(settings, tmp_path / "b.tar")
    with pytest.raises(InvalidInput, match="There is no part 'nothing': want one of node-image"):
        make_bundle(settings, tmp_path / "b.tar", ["nothing"])


def test_without_an_engine_images_are_left_out_and_said(settings, tmp_path, monkeypatch):
    made = []
    images = part("base-image", made, images=["python:3.13-slim"])
    monkeypatch.setattr(make, "_parts", lambda settings: [images])
    monkeypatch.setattr(make, "project_files", list)
    (said,) = load_bundle(settings, make_bundle(settings, tmp_path / "b.tar"))
    assert said.startswith("base-image: left out. The Docker engine at")
    assert said.endswith("The embedded cluster does without.")
    assert not (tmp_path / "state" / "bundle").exists()


def test_a_bundle_has_the_project_and_nothing_that_was_made_here(settings, tmp_path):
    names = {name for _, name in project_files()}
    assert {"requirements.lock", "notebooks/00_preflight.ipynb", "worker/Dockerfile"} <= names
    assert not any(name.startswith((".venv/", ".git/", "build/")) for name in names)
    target = make_bundle(settings, tmp_path / "b.tar", PARTS)
    with tarfile.open(target) as tar:
        assert f"{ROOT}/pyproject.toml" in tar.getnames()


def test_docker_saves_several_images_into_one_archive(world, tmp_path):
    world.engine.image = {"Id": "x", "Architecture": "amd64", "RepoTags": ["a:1", "b:1"]}
    make._save(["a:1", "b:1"], tmp_path / "i.tar.gz", make.Bar())
    assert world.calls[-1][-2:] == ["a:1", "b:1"]
    assert (tmp_path / "i.tar.gz").stat().st_size
    assert not (tmp_path / "i.tar").exists()
