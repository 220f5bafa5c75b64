"""Where the cluster comes from: the only part of the lab that knows."""

from lab_utils.backends.base import Backend, Fidelity, Image, Progress

__all__ = ["Backend", "Fidelity", "Image", "Progress"]
