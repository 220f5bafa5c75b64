import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wire import MAX_BODY_BYTES, BadRequest, unpack

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "": bytes, "identity": bytes}


@given(body=st.binary(), encoding=st.sampled_from(sorted(PACK)))
def test_what_was_packed_is_unpacked(body, encoding):
    assert unpack(PACK[encoding](body), encoding.upper()) == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(encoding):
    bomb = PACK[encoding](bytes(100 * MAX_BODY_BYTES))
    with pytest.raises(BadRequest, match="at most") as refused:
        unpack(bomb, encoding)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("body", "encoding", "says", "status"),
    [
        (b"{}", "gzip", "body: not gzip", 400),
        (gzip.compress(b"{}")[:-4], "gzip", "not one whole gzip stream", 400),
        (zlib.compress(b"{}") + b"more", "deflate", "not one whole deflate stream", 400),
        (b"{}", "br", "'br': wanted gzip or deflate", 415),
        (b"{}", "gzip, gzip", "wanted gzip or deflate", 415),
    ],
)
def test_what_was_not_packed_so_is_refused(body, encoding, says, status):
    with pytest.raises(BadRequest, match=says) as refused:
        unpack(body, encoding)
    assert refused.value.status == status
