"""Manifests: files, folders and kustomizations to API objects that know where they came from.

Hides where the objects are written. Never checks their fields: only the server knows them
(`fieldValidation=Strict`), and it says so with the object's file and line through `Manifest.where`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_utils import kustomize
from lab_utils.errors import InvalidInput, ManifestError
from lab_utils.settings import project_root, show_path
from lab_utils.yaml_source import Document, parse

Object = dict[str, Any]
_SUFFIXES = (".yaml", ".yml")
_TOOL_FILES = ("kind.x-k8s.io/", "kustomize.config.k8s.io/")  # read by tools: no metadata in them


@dataclass(frozen=True)
class Manifest:
    """One object as written, with the file and line it starts at."""

    object: Object
    source: Path
    line: int

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        """The object's name; empty when the server is to make one."""
        return str(self.object.get("metadata", {}).get("name", ""))

    @property
    def where(self) -> str:
        """File and line for a message: `manifests/base/service.yaml:3`."""
        return f"{show_path(self.source)}:{self.line}"


def read(path: Path | str) -> list[Manifest]:
    """Read every object of a file, a folder or a kustomization.

    Args:
        path: A YAML or JSON file; a folder with a `kustomization.yaml`, which is followed; or a
            folder without one, whose YAML files are read in order of their names.

    Returns:
        The objects in the order to create them: namespaces first, else as found.

    Raises:
        ManifestError: A file is missing or cannot be read as objects; file, line and what.
    """
    found = _read(Path(path))
    if not found:
        raise ManifestError(f"No object in {show_path(Path(path))}: want at least one manifest.")
    return sorted(found, key=lambda manifest: manifest.kind != "Namespace")


def find_experiment(name: str = "") -> Path:
    """Find the folder of an experiment's overlay, or the lab's own manifests for "".

    Raises:
        InvalidInput: There is no such experiment; names those there are.
    """
    root = project_root() / "manifests"
    there = sorted(folder.name for folder in (root / "experiments").iterdir())
    if name and name not in there:
        raise InvalidInput(f"There is no experiment {name!r}: want one of {', '.join(there)}")
    return root / "experiments" / name if name else root


def check(path: Path | str) -> list[str]:
    """Find the mistakes that can be seen without a cluster.

    Args:
        path: As for `read`, but a folder is searched with all its subfolders, file by file.

    Returns:
        One sentence a mistake, with file and line; empty when there is none.
    """
    path = Path(path)
    files = sorted(f for f in path.rglob("*") if f.suffix in _SUFFIXES) if path.is_dir() else [path]
    mistakes = []
    for file in files:
        try:
            _read(file)
        except ManifestError as exc:
            mistakes.append(str(exc))
    return mistakes


def _read(path: Path, above: tuple[Path, ...] = ()) -> list[Manifest]:
    if (path / kustomize.FILE).is_file():
        return _read(path / kustomize.FILE, above)
    if path.name == kustomize.FILE:
        return _build(path, above)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        return [manifest for file in files for manifest in _read(file)]
    return [manifest for document in _parse(path) for manifest in _objects(document, path)]


def _build(file: Path, above: tuple[Path, ...]) -> list[Manifest]:
    """Read the resources of a kustomization, then let it change them."""
    where, identity = show_path(file), file.resolve()
    if identity in above:
        raise ManifestError(f"{where} includes itself through its resources.")
    plan = kustomize.parse(_only(_parse(file)), where)
    found = [
        manifest
        for resource in plan.resources
        for manifest in _read(file.parent / resource, (*above, identity))
    ]
    patches = [
        _only(_parse(file.parent / patch.path) if patch.path else parse(patch.text, where))
        for patch in plan.patches
    ]
    objects = kustomize.transform(plan, [manifest.object for manifest in found], patches)
    return [
        Manifest(item, manifest.source, manifest.line)
        for item, manifest in zip(objects, found, strict=True)
    ]


def _parse(path: Path) -> list[Document]:
    try:
        return parse(path.read_bytes(), show_path(path))
    except OSError as exc:
        raise ManifestError(f"Cannot read the manifest {show_path(path)}: {exc.strerror}.") from exc


def _only(documents: list[Document]) -> object:
    return documents[0].value if documents else None


def _objects(document: Document, path: Path) -> Iterator[Manifest]:
    value, lines = document.value, document.item_lines
    is_list = isinstance(value, dict) and value.get("kind") == "List" and lines
    items = zip(value["items"], lines, strict=True) if is_list else [(value, document.line)]
    for item, line in items:
        if missing := _missing(item):
            raise ManifestError(f"{show_path(path)}:{line}: {missing}")
        yield Manifest(item, path, line)


def _missing(item: Any) -> str | None:
    """Say what keeps a value from being an API object; None when it is one."""
    if not isinstance(item, dict):
        return f"found {item!r:.40}, want an object with apiVersion, kind and metadata."
    for key in ("apiVersion", "kind"):
        if not isinstance(item.get(key), str):
            return f"{key} is {item.get(key)!r}, want a text such as 'v1' or 'Pod'."
    if item["apiVersion"].startswith(_TOOL_FILES):
        return None
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        return f"{item['kind']} has no metadata: want at least metadata.name."
    name = metadata.get("name", metadata.get("generateName"))
    if not isinstance(name, str) or not name:
        return f"{item['kind']}: metadata.name is {name!r}, want a text (quote a number)."
    return None
