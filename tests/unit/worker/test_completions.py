import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import completions
from worker.completions import Writer
from worker.wire import BadRequest

BASE = {"model": "clock", "prompt": "Why?", "messages": [{"role": "user", "content": "Why?"}]}
FIELDS = [
    "model",
    "prompt",
    "messages",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "echo",
    "parameters",
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "index"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def decode(*, chat: bool, **changes: object) -> completions.TextRequest:
    return completions.decode(json.dumps(BASE | changes).encode(), "clock", chat=chat)


@given(chat=st.booleans(), changes=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, min_size=1))
def test_whatever_the_fields_hold_is_refused_or_answered(chat, changes):
    try:
        request = decode(chat=chat, **changes)
    except BadRequest:
        return
    writer = Writer(request, "clock", "1")
    whole = json.loads(writer.whole({}))
    events = [*map(writer.events, range(request.output_tokens)), writer.end({})]
    *chunks, done = b"".join(events).decode().split("\n\n")[:-1]
    assert done == "data: [DONE]"
    assert all(json.loads(chunk.removeprefix("data: "))["id"] == whole["id"] for chunk in chunks)


def test_a_chat_may_come_in_parts_and_without_content():
    parts = [{"type": "text", "text": "Why"}, {"type": "image_url", "image_url": {}}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    assert decode(chat=True, messages=messages).prompt_tokens == 10


def test_all_choices_are_written_side_by_side():
    request = decode(chat=False, prompt=["a", "b"], n=2, max_tokens=7)
    assert (len(request.texts), request.output_tokens, request.prompt_tokens) == (4, 7, 2)


def test_a_request_asks_the_clock_as_an_infer_request_does():
    wishes = decode(chat=True, parameters={"service_ms": 5, "index": 3, "attempt": 2}).wishes
    assert (wishes.service_s, wishes.index, wishes.attempt) == (0.005, 3, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": None}, "model: wanted 'clock'"),
        ({"prompt": None}, "prompt: wanted a string"),
        ({"prompt": []}, "prompt: wanted a string"),
        ({"prompt": [1, "a"]}, "prompt: wanted a string"),
        ({"prompt": ["a"] * 17}, "prompt: wanted at most 16"),
        ({"prompt": ["a"] * 4, "n": 5}, "n: wanted a whole number from 1 to 4"),
    ],
)
def test_a_bad_completion_says_what_was_wanted(changes, says):
    with pytest.raises(BadRequest, match=says):
        decode(chat=False, **changes)
