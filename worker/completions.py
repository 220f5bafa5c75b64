"""OpenAI's completions and chat completions: bodies in, bodies and events out.

Hides the wire format of both; the routes see `TextRequest` and `Writer`. Never does I/O and knows
neither queues nor time. https://platform.openai.com/docs/api-reference
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker.protocol import Wishes
from worker.texts import Text, count_tokens
from worker.wire import BadRequest, encode, parse, take, take_number

MAX_TOKENS = 4096
"""Longest answer in tokens."""

MAX_CHOICES = 16
"""Most answers to one request, over all its prompts."""

MAX_STOPS = 4

EXAMPLE: dict[str, Any] = {"prompt": "Why do queues grow?", "max_tokens": 8}
CHAT_EXAMPLE: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
    "max_tokens": 8,
}
"""Requests that work once `model` is added, shown on /docs."""

_DEFAULT_TOKENS = 16  # of /v1/completions; a chat ends by itself
_TOKENS_PER_MESSAGE = 4  # its role and the marks around it


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A request for text.

    Attributes:
        chat: Whether it is a chat completion.
        texts: The choices of the answer.
        prompt_tokens: Length of all prompts.
        stream: Whether the answer is wanted token by token.
        usage: Whether a stream ends with its usage.
        wishes: What it asks of the clock.
    """

    chat: bool
    texts: list[Text]
    prompt_tokens: int
    stream: bool
    usage: bool
    wishes: Wishes

    @property
    def output_tokens(self) -> int:
        """Steps of the longest choice: all choices are written side by side."""
        return max(text.tokens for text in self.texts)


def decode(body: bytes, model: str, *, chat: bool) -> TextRequest:
    """Read and check a request for text.

    Args:
        body: The body, unpacked.
        model: The name of the one model there is.
        chat: Whether it is a chat completion.

    Raises:
        BadRequest: The body is no such request, or is for another model.
    """
    request = parse(body)
    _check_model(request, model)
    prompts = _messages(request) if chat else _prompts(request)
    stream = take(request, "stream", bool) or False
    return TextRequest(
        chat=chat,
        texts=_texts(request, [prompt for prompt, _ in prompts], chat=chat),
        prompt_tokens=sum(tokens for _, tokens in prompts),
        stream=stream,
        usage=_usage_wanted(request, stream=stream),
        wishes=Wishes.of(request),
    )


def models(model: str, created: int) -> dict[str, Any]:
    """Give the body of GET /v1/models."""
    return {"object": "list", "data": [describe(model, created)]}


def describe(model: str, created: int) -> dict[str, Any]:
    """Give the body of GET /v1/models/{model}."""
    return {"id": model, "object": "model", "created": created, "owned_by": "k8s-inference-lab"}


def unknown_model(name: object) -> BadRequest:
    """Make the refusal of a model that is not here."""
    return BadRequest(
        f"The model {name!r} does not exist", 404, param="model", code="model_not_found"
    )


class Writer:
    """Writes one answer, whole or token by token."""

    def __init__(self, request: TextRequest, model: str, version: str) -> None:
        self._request = request
        self._head = {
            "id": ("chatcmpl-" if request.chat else "cmpl-") + uuid.uuid4().hex,
            "object": "chat.completion" if request.chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"clock-{version}",
        }

    def whole(self, parameters: dict[str, Any]) -> bytes:
        """Write the answer in one.

        Args:
            parameters: What the worker says about itself and the request.
        """
        choices = [self._choice(number, text) for number, text in enumerate(self._request.texts)]
        usage = self._usage()
        return encode(self._head | {"choices": choices, "usage": usage, "parameters": parameters})

    def events(self, number: int) -> bytes:
        """Write the events of token `number`, one for each choice that it adds to."""
        return b"".join(map(self._event, self._steps(number)))

    def end(self, parameters: dict[str, Any]) -> bytes:
        """Write the last events.

        Args:
            parameters: What the worker says about itself and the request; in the last event but
                `[DONE]`, as the times of a stream are not known before.
        """
        texts = self._request.texts
        ends = [self._step(n, None, text.finish_reason) for n, text in enumerate(texts)]
        if self._request.usage:
            last = self._chunk([]) | {"usage": self._usage()}
        else:
            last = self._chunk([ends.pop()])
        events = [self._event(end) for end in ends]
        return b"".join([*events, _sse(last | {"parameters": parameters}), b"data: [DONE]\n\n"])

    def _choice(self, number: int, text: Text) -> dict[str, Any]:
        told = {"index": number, "logprobs": None, "finish_reason": text.finish_reason}
        if self._request.chat:
            return told | {"message": {"role": "assistant", "content": text.whole}}
        return told | {"text": text.whole}

    def _steps(self, number: int) -> Iterator[dict[str, Any]]:
        for index, text in enumerate(self._request.texts):
            piece = text.piece(number)
            if piece or number == 0:
                yield self._step(index, piece, None, first=number == 0)

    def _step(
        self, index: int, piece: str | None, reason: str | None, *, first: bool = False
    ) -> dict[str, Any]:
        told = {"index": index, "logprobs": None, "finish_reason": reason}
        if not self._request.chat:
            return told | {"text": piece or ""}
        role = {"role": "assistant"} if first else {}
        return told | {"delta": role if piece is None else role | {"content": piece}}

    def _event(self, step: dict[str, Any]) -> bytes:
        return _sse(self._chunk([step]))

    def _chunk(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self._request.chat else "text_completion"
        chunk = self._head | {"object": kind, "choices": steps}
        return chunk | {"usage": None} if self._request.usage else chunk

    def _usage(self) -> dict[str, int]:
        prompt = self._request.prompt_tokens
        written = sum(text.tokens for text in self._request.texts)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }


def _sse(chunk: dict[str, Any]) -> bytes:
    return b"data: " + encode(chunk) + b"\n\n"


def _check_model(request: dict[str, Any], model: str) -> None:
    name = take(request, "model", str)
    if name is None:
        raise BadRequest(f"model: wanted {model!r}", param="model")
    if name != model:
        raise unknown_model(name)


def _prompts(request: dict[str, Any]) -> list[tuple[str, int]]:
    """Give every prompt with its length in tokens."""
    prompt: Any = request.get("prompt")
    several: list[Any] = prompt if _all(prompt, str) or _all_tokens(prompt) else [prompt]
    if all(type(one) is str for one in several):
        return [(one, count_tokens(one)) for one in several]
    if all(_all(one, int) for one in several):
        return [(repr(one), len(one)) for one in several]
    raise BadRequest(
        "prompt: wanted a string, an array of strings, of tokens, or of arrays of tokens",
        param="prompt",
    )


def _all(value: Any, kind: type) -> bool:
    return type(value) is list and bool(value) and all(type(item) is kind for item in value)


def _all_tokens(value: Any) -> bool:
    return type(value) is list and bool(value) and all(_all(item, int) for item in value)


def _messages(request: dict[str, Any]) -> list[tuple[str, int]]:
    """Give the one prompt that a chat is, with its length in tokens."""
    messages = take(request, "messages", list)
    if not messages:
        raise BadRequest("messages: wanted at least one message", param="messages")
    said = [_said(message, f"messages.{n}") for n, message in enumerate(messages)]
    tokens = sum(count_tokens(text) + _TOKENS_PER_MESSAGE for text in said)
    return [(encode(messages).decode(), tokens)]


def _said(message: Any, place: str) -> str:
    if type(message) is not dict or type(message.get("role")) is not str:
        raise BadRequest(f"{place}: wanted an object with a role", param=place)
    content = message.get("content")
    if type(content) is list and all(type(part) is dict for part in content):
        content = "\n".join(take(part, "text", str, f"{place}.content.") or "" for part in content)
    if content is not None and type(content) is not str:
        raise BadRequest(
            f"{place}.content: wanted a string or an array of parts", param=f"{place}.content"
        )
    return content or ""


def _texts(request: dict[str, Any], prompts: list[str], *, chat: bool) -> list[Text]:
    most = MAX_CHOICES // len(prompts)
    if most == 0:
        raise BadRequest(f"prompt: wanted at most {MAX_CHOICES} of them", param="prompt")
    choices = take_number(request, "n", int, (1, most)) or 1
    length = _length(request, chat=chat)
    seed = take_number(request, "seed", int, (-(2**63), 2**63 - 1)) or 0
    stop = _stops(request)
    echo = not chat and take(request, "echo", bool)
    return [
        Text(Text.key_of(prompt, seed), choice, length, stop, prompt if echo else "")
        for prompt in prompts
        for choice in range(choices)
    ]


def _length(request: dict[str, Any], *, chat: bool) -> int | None:
    name = "max_tokens"
    if chat and request.get("max_completion_tokens") is not None:
        name = "max_completion_tokens"
    length: int | None = take(request, name, int)
    if length is None:
        return None if chat else _DEFAULT_TOKENS
    if length > MAX_TOKENS:
        raise BadRequest(
            f"{name}: this model writes at most {MAX_TOKENS} tokens, {length} are asked for",
            param=name,
            code="context_length_exceeded",
        )
    if length < 1:
        raise BadRequest(f"{name}: wanted at least 1, got {length}", param=name)
    return length


def _stops(request: dict[str, Any]) -> list[str]:
    stop = request.get("stop")
    stops: list[str] = [stop] if type(stop) is str else stop or []
    if type(stops) is not list or not all(type(one) is str and one for one in stops):
        raise BadRequest("stop: wanted a string or an array of strings, none empty", param="stop")
    if len(stops) > MAX_STOPS:
        raise BadRequest(f"stop: wanted at most {MAX_STOPS} strings", param="stop")
    return stops


def _usage_wanted(request: dict[str, Any], *, stream: bool) -> bool:
    options = take(request, "stream_options", dict)
    if options is None:
        return False
    if not stream:
        raise BadRequest("stream_options: only with stream set to true", param="stream_options")
    return take(options, "include_usage", bool, "stream_options.") or False
