"""Where the cluster comes from: the only part of the lab that knows."""

from lab_utils.backends.base import Backend, Build, Fidelity, Image, Progress

__all__ = ["Backend", "Build", "Fidelity", "Image", "Progress"]
