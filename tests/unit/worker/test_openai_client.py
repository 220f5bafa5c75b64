"""OpenAI's own client against a running worker, whole answers and streams."""

import asyncio
import time
from collections.abc import Iterator

import openai
import pytest

from tests.tools.workers import Worker, running

CHAT = [{"role": "user", "content": "Why do queues grow?"}]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with running(
        WORKER_PREFILL_MS=1,
        WORKER_PROMPT_TOKEN_MS=0,
        WORKER_TOKEN_MS=0.1,
        WORKER_SLOTS=4,
        POD_NAME="worker-1",
    ) as started:
        yield started


def connect(worker: Worker) -> openai.OpenAI:
    url = f"http://127.0.0.1:{worker.port}/v1"
    return openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=30)


@pytest.fixture
def client(worker: Worker) -> Iterator[openai.OpenAI]:
    with connect(worker) as connected:
        yield connected


def test_models_are_listed_and_described(client):
    assert [model.id for model in client.models.list()] == ["clock"]
    assert client.models.retrieve("clock").owned_by == "k8s-inference-lab"


def test_a_completion_has_text_usage_and_times(client):
    answer = client.completions.create(model="clock", prompt="Why do queues grow?", max_tokens=7)
    [choice] = answer.choices
    assert (len(choice.text.split()), choice.finish_reason) == (7, "length")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 7, 12)
    assert answer.parameters["pod"] == "worker-1"


def test_a_chat_ends_by_itself(client):
    answer = client.chat.completions.create(model="clock", messages=CHAT)
    [choice] = answer.choices
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert len(choice.message.content.split()) == answer.usage.completion_tokens


def test_the_same_question_has_the_same_answer_and_another_seed_another(client):
    def ask(seed):
        answer = client.chat.completions.create(model="clock", messages=CHAT, seed=seed)
        return answer.choices[0].message.content

    assert ask(1) == ask(1) != ask(2)


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [("one two three", 2), (["one", "two words"], 4), ([1, 2, 3], 2), ([[1, 2], [3]], 4)],
    ids=["text", "texts", "tokens", "lists of tokens"],
)
def test_every_prompt_has_n_choices_each_different(client, prompt, choices):
    answer = client.completions.create(model="clock", prompt=prompt, n=2)
    assert [choice.index for choice in answer.choices] == list(range(choices))
    assert len({choice.text for choice in answer.choices}) == choices
    assert answer.usage.prompt_tokens == 3


@pytest.mark.parametrize("stops", [0, 1, 2], ids=["no stop", "a word", "words"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_adds_up_to_the_whole_answer(client, stops, n):
    asked = {"model": "clock", "messages": CHAT, "max_tokens": 40, "n": n}
    words = client.chat.completions.create(**asked).choices[0].message.content.split()
    asked["stop"] = [" ".join(words[7 : 7 + stops])] if stops else None
    whole = client.chat.completions.create(**asked)
    texts, reasons = [""] * n, [None] * n
    with client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = stream
    for chunk in chunks:
        [choice] = chunk.choices
        assert chunk.usage is None
        assert choice.delta.content or choice.finish_reason or choice.delta.role
        texts[choice.index] += choice.delta.content or ""
        reasons[choice.index] = choice.finish_reason
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert last.choices == []
    assert last.usage == whole.usage
    assert last.parameters["pod"] == "worker-1"


def test_a_stream_of_a_completion_without_usage(client):
    asked = {"model": "clock", "prompt": "Why?", "max_tokens": 5, "echo": True}
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert whole.choices[0].text.startswith("Why?")
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 5 + ["length"]
    assert all(chunk.usage is None for chunk in chunks)


def test_first_token_after_prefill_and_the_others_after_a_token_each(start):
    worker = start(WORKER_PREFILL_MS=200, WORKER_PROMPT_TOKEN_MS=10, WORKER_TOKEN_MS=50)
    seen_s = []
    with connect(worker) as client:
        sent_s = time.perf_counter()
        for chunk in client.completions.create(
            model="clock", prompt="five words are ten tokens", max_tokens=5, stream=True
        ):
            if chunk.choices[0].text:
                seen_s.append(time.perf_counter() - sent_s)
    wanted_s = [0.25 + 0.05 * number for number in range(5)]
    for seen, wanted in zip(seen_s, wanted_s, strict=True):
        assert wanted - 0.005 <= seen < wanted + 0.2


def ask(client: openai.OpenAI, **changes: object) -> object:
    return client.chat.completions.create(**({"model": "clock", "messages": CHAT} | changes))


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"messages": []}, "messages", None),
        ({"messages": [{"content": "no role"}]}, "messages.0", None),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content", None),
        ({"max_tokens": 0}, "max_tokens", None),
        ({"max_completion_tokens": 5000}, "max_completion_tokens", "context_length_exceeded"),
        ({"n": 17}, "n", None),
        ({"seed": "x"}, "seed", None),
        ({"stop": ["a"] * 5}, "stop", None),
        ({"stop": ""}, "stop", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"extra_body": {"parameters": {"service_ms": -1}}}, "parameters.service_ms", None),
    ],
)
def test_a_bad_request_names_the_parameter(client, changes, param, code):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **changes)
    assert refused.value.type == "invalid_request_error"
    assert (refused.value.param, refused.value.code) == (param, code)


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError, match="bert") as refused:
        ask(client, model="bert")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("bert")
    with pytest.raises(openai.NotFoundError, match="/docs"):
        client.embeddings.create(model="clock", input="no such route")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_full_queue_is_a_rate_limit_with_the_time_to_wait(start, stream):
    worker = start(WORKER_QUEUE=0, WORKER_PREFILL_MS=600_000)
    worker.send("POST", "/v1/completions", {"model": "clock", "prompt": "first"})
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    with connect(worker) as client, pytest.raises(openai.RateLimitError) as refused:
        ask(client, stream=stream)
    assert (refused.value.type, refused.value.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert int(refused.value.response.headers["Retry-After"]) >= 1


def test_a_client_that_retries_gets_its_answer(start):
    worker = start(WORKER_QUEUE=0, WORKER_PREFILL_MS=300, WORKER_TOKEN_MS=0)
    busy = worker.send("POST", "/v1/completions", {"model": "clock", "prompt": "first"})
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    with connect(worker).with_options(max_retries=2) as client:
        assert ask(client, max_tokens=1).choices
    assert busy.answer().status == 200
    assert worker.metric('lab_requests_total{code="429"}') >= 1


def test_a_model_that_loads_is_a_server_error(start):
    worker = start(WORKER_LOAD_S=600)
    with connect(worker) as client, pytest.raises(openai.InternalServerError) as refused:
        ask(client)
    assert (refused.value.status_code, refused.value.code) == (503, "model_loading")


def test_a_stream_whose_client_goes_away_gives_its_slot_back(start):
    worker = start(WORKER_TOKEN_MS=600_000, WORKER_PREFILL_MS=0)
    with connect(worker) as client:
        stream = ask(client, stream=True, max_tokens=100)
        assert next(iter(stream)).choices[0].delta.content
        assert worker.metric("lab_requests_in_flight") == 1
        stream.close()
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 0)
    assert worker.end() == 0


def test_a_stream_that_has_begun_is_written_to_its_end_after_sigterm(start):
    worker = start(WORKER_PREFILL_MS=0, WORKER_TOKEN_MS=50)
    with connect(worker) as client:
        stream = iter(ask(client, stream=True, max_tokens=10))
        next(stream)
        worker.process.terminate()
        rest = list(stream)
    assert rest[-1].choices[0].finish_reason == "length"
    assert len(rest) == 10
    assert worker.process.wait(30) == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_request_that_waited_too_long_is_dropped_with_a_status(start, stream):
    worker = start(WORKER_PREFILL_MS=600_000, WORKER_DEADLINE_MS=100)
    worker.send("POST", "/v1/completions", {"model": "clock", "prompt": "first"})
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    with connect(worker) as client, pytest.raises(openai.InternalServerError) as refused:
        ask(client, stream=stream)
    assert (refused.value.status_code, refused.value.code) == (504, "deadline_exceeded")


async def test_streams_are_written_side_by_side_and_do_not_mix(worker):
    async def text(client: openai.AsyncOpenAI, prompt: str) -> str:
        stream = await client.completions.create(
            model="clock", prompt=prompt, max_tokens=50, stream=True
        )
        return "".join([chunk.choices[0].text async for chunk in stream])

    prompts = [f"question {number}" for number in range(12)]
    url = f"http://127.0.0.1:{worker.port}/v1"
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:
        texts = await asyncio.gather(*(text(client, prompt) for prompt in prompts))
    with connect(worker) as plain:
        for prompt, streamed in zip(prompts, texts, strict=True):
            whole = plain.completions.create(model="clock", prompt=prompt, max_tokens=50)
            assert streamed == whole.choices[0].text
