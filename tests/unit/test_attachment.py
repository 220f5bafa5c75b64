"""One process, two clusters: the usual one and one beside it."""

from lab_utils.attachment import Attachment
from lab_utils.settings import load_settings
from lab_utils.theory import NodePace


def test_another_cluster_is_used_until_the_usual_one_is_wanted_again(tmp_path):
    attached = Attachment(load_settings(backend="embedded", cluster="mine", state_dir=tmp_path))
    tmp_path.chmod(0o700)
    usual = attached.backend
    assert attached.use_cluster("fast") == NodePace(8, 1, 2, 15)
    assert attached.use_cluster("fast") == NodePace(8, 1, 2, 15)  # twice is as good as once
    assert (attached.status()["cluster"], attached.down()) == ("mine-fast", False)
    assert attached.use_cluster() == NodePace()
    assert attached.backend.kubeconfig == usual.kubeconfig
