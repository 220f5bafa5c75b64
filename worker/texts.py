"""What the clock writes: words that depend on prompt, seed and choice only, so replicas agree.

Hides how words are drawn and where a text ends. Never knows when a token is written.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

_VOCABULARY = """
    a and as at batch before behind both but by clock each every fast few first for from full
    has idle in is it its last late later least less load long more most much next no node
    now often on one or other pod queue rate slot slow so some than that the then time to token
    two until wait when while work
"""
_WORDS = [f" {word}" for word in _VOCABULARY.split()]
_BLOCK = 64
"""Words drawn by one hash: a byte each, of which six bits choose among the 64 words."""

_SHORTEST, _SPREAD = 16, 113
"""A text whose length is left to the clock has 16 to 128 tokens."""


def count_tokens(text: str) -> int:
    """Count the tokens of a prompt: every word and every mark is one, and there is at least one."""
    return max(1, len(re.findall(r"\w+|[^\w\s]", text)))


@dataclass(frozen=True)
class Text:
    """One choice of an answer.

    Attributes:
        key: Digest of prompt and seed.
        choice: Its number.
        length: Tokens wanted; None leaves the length to the clock.
        stop: Sequences before which it ends.
        prefix: What it begins with, before the first token.
    """

    key: bytes
    choice: int
    length: int | None = None
    stop: Sequence[str] = ()
    prefix: str = ""

    @classmethod
    def key_of(cls, prompt: str, seed: int) -> bytes:
        """Make the key of a prompt and a seed."""
        data = f"{seed}/{prompt}".encode(errors="surrogatepass")
        return hashlib.blake2b(data, digest_size=32).digest()

    @property
    def tokens(self) -> int:
        """How many tokens are written, the one that completes a stop sequence included."""
        return len(self._written[0])

    @property
    def finish_reason(self) -> str:
        """Why it ends: "length" if it was cut at the length wanted, otherwise "stop"."""
        stopped = self._written[1] or self.length is None
        return "stop" if stopped else "length"

    @property
    def whole(self) -> str:
        """All of it."""
        return self.prefix + "".join(self._written[0])

    def piece(self, number: int) -> str:
        """Give what token `number` adds; nothing once a stop sequence begins, and after the end."""
        pieces = self._written[0][number : number + 1]
        return "".join([self.prefix, *pieces] if number == 0 else pieces)

    @cached_property
    def _written(self) -> tuple[list[str], bool]:
        """What each token adds, and whether a stop sequence ended it."""
        wanted = self.length or _SHORTEST + self._bytes(-1)[0] % _SPREAD
        words = [
            _WORDS[byte % len(_WORDS)]
            for block in range(-(-wanted // _BLOCK))
            for byte in self._bytes(block)
        ][:wanted]
        words[0] = words[0].lstrip()
        text = "".join(words) if self.stop else ""
        found = [(at + len(stop), at) for stop in self.stop if (at := text.find(stop)) >= 0]
        if not found:
            return words, False
        end, cut = min(found)
        ends = accumulate(map(len, words))
        needed = next(number for number, reached in enumerate(ends, 1) if reached >= end)
        return _shorten(words[:needed], cut), True

    def _bytes(self, block: int) -> bytes:
        return hashlib.blake2b(f"{self.choice}/{block}".encode(), key=self.key).digest()


def _shorten(words: list[str], length: int) -> list[str]:
    """Keep the first `length` characters of the words; those after become empty."""
    starts = accumulate(map(len, words), initial=0)
    return [word[: max(0, length - start)] for word, start in zip(words, starts, strict=False)]
