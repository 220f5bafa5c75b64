"""What a learner can choose, in one typed object, and the folders the lab works in.

Hides where values come from (environment variables `LAB_*`, or arguments that win over them), and
where state is kept. Never reads a `.env` file and never writes outside its own private folder.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lab_utils.errors import InvalidInput

_APP = "k8s-inference-lab"
_LONGEST_NAME = 40
_IMAGE = r"^[a-z0-9][A-Za-z0-9._/:@-]*$"


class Settings(BaseSettings):
    """The lab's settings; each field is also the environment variable `LAB_<FIELD>`.

    A field's description completes the sentence "want ..." of the error it is refused with.
    """

    model_config = SettingsConfigDict(
        env_prefix="LAB_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    backend: str = Field(
        "auto",
        pattern=r"^(auto|kind|embedded|context:\S+)$",
        description="auto, kind, embedded or context:NAME",
    )
    cluster: str = Field(
        "lab",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        description="a name of at most 40 lower-case letters, digits and inner dashes",
    )
    node_image: str | None = Field(
        None, pattern=_IMAGE, description="an image of kindest/node, such as kindest/node:v1.36.2"
    )
    base_image: str = Field(
        "python:3.13-slim",
        pattern=_IMAGE,
        description="an image reference such as python:3.13-slim",
    )
    cluster_file: Path = Field(
        Path("manifests/kind-cluster.yaml"),
        description="a Kind configuration such as manifests/kind-cluster-fast.yaml",
    )
    registry: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
        description="a registry and a path in it, such as ghcr.io/me",
    )
    http_port: int | None = Field(
        None, ge=1, le=65533, description="a port number from 1 to 65533; the next two are used too"
    )
    profile: Literal["full", "quick"] = Field("full", description="full or quick")
    seed: int = Field(1, ge=0, lt=2**63, description="a whole number from 0 to 2**63 - 1")
    state_dir: Path | None = Field(None, description="a folder of your own, mode 0700")
    results_dir: Path | None = Field(None, description="a folder for your predictions and verdicts")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment.

    Args:
        overrides: Values that win over the environment; None means "not given".

    Returns:
        The settings, checked.

    Raises:
        InvalidInput: A value cannot be used; the sentence names the variable.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as exc:
        error = exc.errors()[0]
        raise InvalidInput(_refusal(str(error["loc"][0]), error["input"])) from exc


def _refusal(name: str, seen: object) -> str:
    if name not in Settings.model_fields:
        return f"There is no setting {name!r}: want one of {', '.join(Settings.model_fields)}."
    wanted = Settings.model_fields[name].description
    return f"LAB_{name.upper()} is {str(seen)!r}, which cannot be used: want {wanted}."


def cluster_root(settings: Settings, backend: str) -> Path:
    """Give the private folder of one cluster, made if it is not there.

    Raises:
        InvalidInput: A folder on the way belongs to another user or is open to others.
    """
    folder = state_root(settings)
    for name in (backend, settings.cluster):
        folder = _private(folder / name)
    return folder


def state_root(settings: Settings) -> Path:
    """Give the private folder in which the lab keeps its state, made if it is not there.

    `LAB_STATE_DIR`, else `$XDG_STATE_HOME/k8s-inference-lab`, else the same in `~/.local/state`.
    Where the home folder is missing or read-only: a folder of this user in the temporary folder.

    Raises:
        InvalidInput: The folder is a symbolic link, belongs to another user, is open to others, or
            cannot be made.
    """
    if settings.state_dir is not None:
        return _writable(settings.state_dir.expanduser().absolute())
    home = _home_state()
    if home is not None:
        with contextlib.suppress(OSError):
            return _private(home / _APP, writable=True)
    return _writable(Path(tempfile.gettempdir()) / f"{_APP}-{os.getuid()}")


def results_root(settings: Settings) -> Path:
    """Give the folder of a learner's predictions, verdicts and runs; it need not be there yet.

    `LAB_RESULTS_DIR`, else `results/` in the project, where a learner finds it and a teacher
    collects it; where the project is read-only, the same below the state folder.
    """
    if settings.results_dir is not None:
        return settings.results_dir.expanduser().absolute()
    project = project_root()
    return (project if os.access(project, os.W_OK) else state_root(settings)) / "results"


def _home_state() -> Path | None:
    configured = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(configured):  # a relative one is to be ignored (XDG base directories)
        return Path(configured)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home / ".local" / "state" if os.path.isdir(home) else None


def _writable(path: Path) -> Path:
    try:
        return _private(path, writable=True)
    except OSError as exc:
        raise InvalidInput(
            f"The lab cannot keep its state in {path}: {exc.strerror}. "
            "Set LAB_STATE_DIR to a folder you can write to."
        ) from exc


def _private(path: Path, *, writable: bool = False) -> Path:
    """Make a folder only its owner can enter, or check that it is one."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise InvalidInput(
            f"{path} is a symbolic link; the lab keeps keys and tokens there and follows none. "
            "Set LAB_STATE_DIR to the folder itself."
        )
    if status.st_uid != os.getuid():
        raise InvalidInput(
            f"{path} belongs to user {status.st_uid}, not to you ({os.getuid()}). "
            "Set LAB_STATE_DIR to a folder of your own."
        )
    if mode := stat.S_IMODE(status.st_mode) & 0o077:
        raise InvalidInput(
            f"{path} is open to other users (mode bits {mode:03o}); the lab keeps keys and tokens "
            f"there. Close it with `chmod 700 '{path}'`, or set LAB_STATE_DIR to another folder."
        )
    if writable and not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(0, "it is not writable")
    return path


def cluster_file(settings: Settings) -> Path:
    """Give the Kind configuration that both backends read; a relative path is the project's."""
    return project_root() / settings.cluster_file.expanduser()


def settings_beside(usual: Settings, kind: str) -> Settings:
    """Give the settings of a second cluster, made from manifests/kind-cluster-<kind>.yaml.

    It has a name and, where ports are fixed, ports of its own, so that both can run.

    Raises:
        InvalidInput: There is no such file; names the kinds there are.
    """
    prefix = "kind-cluster-"
    there = sorted((project_root() / "manifests").glob(f"{prefix}*.yaml"))
    kinds = [path.stem.removeprefix(prefix) for path in there]
    if kind not in kinds:
        raise InvalidInput(f"There is no kind of cluster {kind!r}: want one of {', '.join(kinds)}")
    name = f"{usual.cluster[: _LONGEST_NAME - len(kind) - 1]}-{kind}"
    port = None if usual.http_port is None else usual.http_port + 3
    own = {"cluster": name, "cluster_file": there[kinds.index(kind)], "http_port": port}
    return usual.model_copy(update=own)


def project_root() -> Path:
    """Find the lab's own folder, the one with `manifests/` and `worker/`.

    Returns:
        The folder this package was installed from (`pip install -e .`), whatever the working
        folder is; else the first such folder above the working folder.

    Raises:
        InvalidInput: There is none; the sentence says how to get one.
    """
    here = Path(__file__).resolve().parent.parent
    cwd = Path.cwd()
    for folder in (here, cwd, *cwd.parents):
        if (folder / "manifests").is_dir() and (folder / "worker").is_dir():
            return folder
    raise InvalidInput(
        f"No manifests/ and worker/ folders in {here}, nor in or above {cwd}: the lab works from "
        "a clone of its repository. Go there, and install it with `pip install -e .`."
    )


def show_path(path: Path) -> str:
    """Write a path for a message: relative to the project where that is shorter."""
    with contextlib.suppress(InvalidInput, ValueError):
        return str(path.absolute().relative_to(project_root()))
    return str(path)
