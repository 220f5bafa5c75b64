import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.texts import Text, count_tokens

KEY = Text.key_of("Why do queues grow?", 0)


@given(prompt=st.text(), seed=st.integers(), length=st.none() | st.integers(1, 300))
def test_a_text_depends_on_its_prompt_and_seed_and_is_as_long_as_asked(prompt, seed, length):
    text, again = (Text(Text.key_of(prompt, seed), 0, length) for _ in range(2))
    assert text.whole == again.whole
    assert len(text.whole.split(" ")) == text.tokens == (length or text.tokens)
    assert text.finish_reason == ("length" if length else "stop")


@given(
    length=st.integers(1, 200),
    choice=st.integers(0, 9),
    at=st.integers(0, 200),
    size=st.integers(1, 20),
)
def test_a_stop_sequence_cuts_the_text_where_it_first_appears(length, choice, at, size):
    free = Text(KEY, choice, length).whole
    stop = free[at : at + size] or "never"
    text = Text(KEY, choice, length, ["NEVER", stop])
    assert text.whole == free.split(stop)[0]
    assert text.finish_reason == ("stop" if stop in free else "length")
    assert "".join(map(text.piece, range(text.tokens))) == text.whole
    completed = Text(KEY, choice, text.tokens).whole
    assert (stop in completed) == (stop in free)


def test_choices_differ_and_a_longer_text_begins_as_the_shorter():
    first, second = (Text(KEY, choice, 20).whole for choice in (0, 1))
    assert first != second
    assert Text(KEY, 0, 200).whole.startswith(first)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 1), ("one", 1), ("Why do queues grow?", 5), ("ä, b", 3)]
)
def test_words_and_marks_are_tokens(text, tokens):
    assert count_tokens(text) == tokens
