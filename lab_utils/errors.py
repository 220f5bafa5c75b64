"""Every error the lab raises on purpose, in one tree.

An error is one sentence a learner can act on: what was being done, to what, seen against wanted,
and the next step.

    LabError
    ├── InvalidInput (also a ValueError)   an argument or a setting that cannot be used
    │   └── ManifestError                  a manifest the cluster would refuse, or that is not there
    ├── BackendUnavailable                 Docker, Kind or a context cannot be used here
    ├── ClusterError                       the cluster answered no, or not at all
    │   ├── ClusterNotRunning              there is nothing to talk to
    │   ├── PortBusy                       a port the cluster needs is taken
    │   ├── Taken                          another notebook or terminal is at work on it
    │   ├── NotFound                       the object is not in the cluster
    │   └── NotReady                       a condition was not reached in time
    ├── ImageError                         a build or a load of an image failed
    ├── LoadError                          the load generator could not run
    └── EmptyRun                           a table has no rows to say something about
"""

import traceback


class LabError(Exception):
    """What every error of the lab is."""

    def _render_traceback_(self) -> list[str]:
        """Show in a notebook the cell's line and the sentence: IPython calls this.

        A traceback through the lab's own modules buries the sentence; `%debug` still leads there.
        """
        frames = traceback.extract_tb(self.__traceback__)
        line = next((frame.line for frame in frames if frame.name.startswith("<")), "")
        return [*([f"{line}\n"] if line else []), f"{type(self).__name__}: {self}"]


class InvalidInput(LabError, ValueError):
    """An argument or a setting that cannot be used; the message names it."""


class ManifestError(InvalidInput):
    """A manifest that is not there, cannot be read, or that the cluster refuses."""


class BackendUnavailable(LabError):
    """The chosen backend cannot be used on this machine."""


class ClusterError(LabError):
    """The cluster refused a request or did not answer; `code` is the HTTP status, 0 if none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ClusterNotRunning(ClusterError):
    """There is no cluster of this name to talk to."""


class PortBusy(ClusterError):
    """A port the cluster needs is taken by another process."""


class Taken(ClusterError):
    """Another notebook or terminal of the same learner is at work on the cluster."""


class NotFound(ClusterError):
    """The object is not in the cluster."""


class NotReady(ClusterError):
    """A condition was not reached in time."""


class ImageError(LabError):
    """An image could not be built or loaded."""


class LoadError(LabError):
    """The load generator could not run."""


class EmptyRun(LabError):
    """A table has no rows to say something about."""
