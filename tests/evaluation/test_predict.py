import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, completion, endpoint_settings

from longwriter.core.errors import ContextExceeded, DataError, ServerError
from longwriter.core.rows import BenchmarkPrompt, Prediction
from longwriter.evaluation.benchmark import chosen_benchmark, load_benchmark
from longwriter.evaluation.predict import describe, predict, predictions_name
from longwriter.evaluation.settings import BenchSettings, PredictSettings
from longwriter.llm.session import CallContext
from longwriter.llm.settings import ServerKind
from longwriter.models.serving import with_student
from longwriter.models.settings import Dtype, StudentSettings

ROWS = [
    {"prompt": f"Write text {i}.", "type": "Poem", "length": 10 * i, "id": f"p{i}"}
    for i in range(1, 6)
]
PROMPTS = [BenchmarkPrompt.model_validate(row) for row in ROWS]
TOO_LONG = (400, b'{"error": {"message": "exceeds the context size"}}')


def asked_for(request: dict[str, Any]) -> str:
    return str(request["messages"][0]["content"])


@pytest.fixture
def predicted(open_client: Any) -> Callable[..., list[Prediction]]:
    def run(server: Any, prompts: list[BenchmarkPrompt], **settings: Any) -> list[Prediction]:
        async def ask() -> list[Prediction]:
            async with open_client(server, **settings) as client:
                return await predict(client, prompts)

        return asyncio.run(ask())

    return run


def student(base_url: str, model: str | None = "m", **changes: Any) -> StudentSettings:
    return StudentSettings(
        checkpoint="c",
        revision=None,
        chat_template_path=None,
        trust_remote_code=False,
        dtype=Dtype.float32,
        eos_token=None,
        rope_scaling=None,
        server=endpoint_settings(base_url, model=model, **changes),
    )


def test_predictions_keep_order_and_fields(chat_server: Any, predicted: Any) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        number = int(asked_for(request)[-2])
        time.sleep(0.02 * (6 - number))  # the first prompt is answered last
        return completion("word " * number, "length" if number == 5 else "stop")

    server = chat_server(answer)
    rows = predicted(server, PROMPTS, concurrency=5, temperature=0.25, max_tokens=77)
    assert [row.model_dump() for row in rows] == [
        row
        | {
            "response": "word " * i,
            "response_length": i,
            "finish_reason": "length" if i == 5 else "stop",
        }
        for i, row in enumerate(ROWS, start=1)
    ]
    assert {(r["temperature"], r["max_tokens"]) for r in server.requests} == {(0.25, 77)}
    assert {len(r["messages"]) for r in server.requests} == {1}


def test_all_prompts_are_asked_for_at_once(chat_server: Any, predicted: Any) -> None:
    # Nobody is answered before all five have arrived.
    everyone = threading.Barrier(5, timeout=5)

    def answer(request: dict[str, Any]) -> Answer:
        everyone.wait()
        return "fine"

    assert len(predicted(chat_server(answer), PROMPTS, concurrency=5)) == 5


def test_the_longest_is_asked_for_first(chat_server: Any, predicted: Any) -> None:
    server = chat_server(lambda request: completion("word"))
    rows = predicted(server, [PROMPTS[place] for place in (1, 4, 2)], concurrency=1)
    asked = [int(asked_for(request)[-2]) for request in server.requests]
    assert asked == [5, 3, 2]
    assert [row.length for row in rows] == [20, 50, 30]


def test_an_empty_answer_is_an_answer(chat_server: Any, predicted: Any) -> None:
    (row,) = predicted(chat_server(lambda request: ""), PROMPTS[:1])
    assert (row.response, row.response_length) == ("", 0)


def test_a_plan_before_the_text_is_no_part_of_it(chat_server: Any, predicted: Any) -> None:
    answers = {
        "1": "<plan>\n1. Two words (2 words)\n</plan>\n\nTwo words",
        "2": "<plan>\n1. Cut of",
    }
    server = chat_server(lambda request: answers[asked_for(request)[-2]])
    rows = [row.model_dump() for row in predicted(server, PROMPTS[:2])]
    assert [(row["plan"], row["response"], row["response_length"]) for row in rows] == [
        ("1. Two words (2 words)", "Two words", 2),
        ("1. Cut of", "", 0),
    ]


def test_a_missing_answer_fails_the_run_and_keeps_the_others(
    chat_server: Any, predicted: Any
) -> None:
    server = chat_server(lambda r: TOO_LONG if asked_for(r)[-2] in "24" else "fine")
    with pytest.raises(ContextExceeded) as raised:
        predicted(server, PROMPTS)
    message = str(raised.value)
    assert message.startswith("2 of 5 calls of predict failed; the first: ContextExceeded: ")
    assert "Finished calls are kept" in message
    server.requests.clear()
    server.answer = lambda request: "repaired"
    rows = predicted(server, PROMPTS)
    assert [row.response for row in rows] == ["fine", "repaired", "fine", "repaired", "fine"]
    assert sorted(map(asked_for, server.requests)) == ["Write text 2.", "Write text 4."]


def test_a_server_that_is_away_stops_the_run(chat_server: Any, predicted: Any) -> None:
    server = chat_server(lambda request: (404, b'{"error": {"message": "no such model"}}'))
    with pytest.raises(ServerError, match="does not know model 'm'"):
        predicted(server, PROMPTS, concurrency=1)
    # One call at a time: the first fault cancels the four that wait.
    assert len(server.requests) == 1


def predict_with(checkpoint: Path, settings: StudentSettings, cache: Path) -> list[Prediction]:
    rows, _ = with_student(
        lambda client: predict(client, PROMPTS), checkpoint, settings, CallContext(cache, 3, 1)
    )
    return rows


def test_predict_with_an_endpoint(chat_server: Any, tmp_path: Path) -> None:
    # The checkpoint is not there, and need not be: the endpoint serves the model.
    server = chat_server(lambda request: "fine")
    rows = predict_with(tmp_path / "none", student(server.base_url), tmp_path)
    assert [row.response for row in rows] == ["fine"] * 5
    assert {request["seed"] for request in server.requests} == {30_000}


def test_predict_serves_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "student.gguf"
    checkpoint.write_bytes(b"no model")
    own = student("u", None, kind=ServerKind.llama_cpp)
    with pytest.raises(DataError, match=r"student\.gguf: is not a GGUF file"):
        predict_with(checkpoint, own, tmp_path)


def test_predictions_name() -> None:
    endpoint = endpoint_settings("u", model="Org/Model v1.5_x:free")
    embedded = endpoint_settings("u", model=None, kind=ServerKind.llama_cpp)
    default = PredictSettings(model=None, benchmark=None, max_cost=None)
    given = PredictSettings(model="models/sft", benchmark=None, max_cost=None)
    assert predictions_name(default, endpoint, "dpo") == "Org-Model-v1.5_x-free"
    assert predictions_name(default, embedded, "dpo") == "dpo"
    # DVC gives predict.model and expects its name, whoever serves it.
    assert predictions_name(given, endpoint, "dpo") == "sft"
    assert predictions_name(given, embedded, "dpo") == "sft"


def test_describe() -> None:
    rows = [
        Prediction(
            prompt="p", type="t", length=9, response="", response_length=n, finish_reason=why
        )
        for n, why in [(3, "length"), (4, "stop"), (3, "length")]
    ]
    assert describe(rows) == {
        "n": 3,
        "cut_off": 2,
        "unanswered": {},
        "mean_words": 3.3333,
    }  # 10 / 3


def write_benchmark(path: Path) -> str:
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_length_is_read_from_the_prompt_where_the_row_has_none(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Write 10 chapters of 500 words each.", "type": "t"},
        {"prompt": "写一篇两千字的散文", "type": 7, "length": None},
        {"prompt": "Write 500 words.", "type": "t", "length": 300},
    ]
    path = tmp_path / "b.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_benchmark(path, None)
    assert [(row.length, row.type) for row in found] == [(5000, "t"), (2000, "7"), (300, "t")]
    path.write_text('{"prompt": "Write on tea.", "type": "t"}\n')
    with pytest.raises(DataError, match=r"b\.jsonl:1: length: Field required"):
        load_benchmark(path, None)


def test_load_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    checksum = write_benchmark(path)
    assert load_benchmark(path, checksum) == PROMPTS
    assert load_benchmark(path, checksum.upper()) == PROMPTS
    assert load_benchmark(path, None) == PROMPTS
    with pytest.raises(DataError) as raised:
        load_benchmark(path, "0" * 64)
    assert str(raised.value).startswith(
        f"{path}: its SHA-256 is {checksum}, and bench.sha256 expects {'0' * 64}. Get the file "
    )


def test_chosen_benchmark(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "other.jsonl")
    checksum = write_benchmark(tmp_path / "bench.jsonl")

    def chosen(given: str | None, sha256: str, limit: int | None = None) -> list[BenchmarkPrompt]:
        bench = BenchSettings(
            path="bench.jsonl",
            sha256=sha256,
            languages=["en", "zh"],
            limit=limit,
            samples=1,
            judged=None,
            length_bins=[0],
            seed=0,
        )
        return chosen_benchmark(
            PredictSettings(model=None, benchmark=given, max_cost=None), bench, tmp_path
        )

    assert chosen(None, checksum) == PROMPTS
    assert chosen(None, checksum, limit=2) == PROMPTS[:2]
    # The checksum is that of bench.path, not of another file.
    other = str(tmp_path / "other.jsonl")
    assert chosen(other, "0" * 64) == PROMPTS
    assert chosen(other, "0" * 64, limit=2) == PROMPTS[:2]
    with pytest.raises(DataError):
        chosen(None, "0" * 64)


def test_a_benchmark_s_half_is_chosen_by_language(tmp_path: Path) -> None:
    rows = [
        {"prompt": prompt, "type": "t", "length": 9}
        for prompt in ("Write.", "写。", "帮我用英文写。", "Write more.")
    ]
    path = tmp_path / "bench.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def chosen(*languages: str, limit: int | None = None) -> list[str]:
        bench = BenchSettings(
            path=str(path),
            sha256=None,
            languages=list(languages),
            limit=limit,
            samples=1,
            judged=None,
            length_bins=[0],
            seed=0,
        )
        given = PredictSettings(model=None, benchmark=None, max_cost=None)
        return [row.prompt for row in chosen_benchmark(given, bench, tmp_path)]

    assert chosen("en") == ["Write.", "帮我用英文写。", "Write more."]
    assert chosen("en", limit=2) == ["Write.", "帮我用英文写。"]
    assert chosen("zh") == ["写。"]
    with pytest.raises(DataError, match=r"bench\.languages: \['fr'\] matches none of 4 prompts"):
        chosen("fr")


def test_several_samples_are_other_calls(chat_server: Any, open_client: Any) -> None:
    server = chat_server(lambda request: f"seed {request['seed'] % 10_000}")
    prompts = [BenchmarkPrompt(prompt=name, type="t", length=2) for name in "ab"]

    async def run() -> list[Prediction]:
        async with open_client(server) as client:
            return await predict(client, prompts, 2)

    rows = asyncio.run(run())
    found = [(row.prompt, row.model_dump()["sample"], row.response) for row in rows]
    assert found == [("a", 0, "seed 0"), ("a", 1, "seed 1"), ("b", 0, "seed 0"), ("b", 1, "seed 1")]
    asyncio.run(run())
    assert len(server.requests) == 4  # all are in the cache
