"""Run tests as a guest: `python -m tests.tools.guest tests/contract` on `--cluster=context:NAME`.

Starts an embedded cluster with the lab's images on its nodes, as some administrator would, and
gives the tests nothing but its kubeconfig.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab_utils.images import LOAD, WORKER
from lab_utils.session import Lab
from lab_utils.settings import load_settings


@contextmanager
def host_cluster(folder: Path, name: str = "host") -> Iterator[Lab]:
    """Give a running embedded cluster that has the lab's images, kept in a folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    lab = Lab(load_settings(backend="embedded", cluster=name, state_dir=folder))
    try:
        lab.up()
        for image in (WORKER, LOAD):
            lab.build_image(image)
            lab.load_image(image)
        yield lab
    finally:
        lab.down()


def main() -> int:
    """Run pytest with the arguments of the command line."""
    with (
        tempfile.TemporaryDirectory(prefix="lab-host-") as folder,
        host_cluster(Path(folder)) as host,
    ):
        os.environ["KUBECONFIG"] = str(host.kubeconfig())
        return pytest.main([*sys.argv[1:], f"--cluster=context:embedded-{host.settings.cluster}"])


if __name__ == "__main__":
    sys.exit(main())
