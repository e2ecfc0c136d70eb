"""From instructions to pairs, with a model and a judge on loopback."""

import hashlib
import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import CHECKOUT, default_settings
from helpers.loopback import Answer, endpoint_settings

from longwriter.config.schema import Settings
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.workspace import Workspace
from longwriter.evaluation.judge import DIMENSIONS
from longwriter.llm.session import CallContext
from longwriter.preference.settings import ChatMixPairsSettings, ScoreWeights, Selection
from longwriter.preference.stage import PairsResult, make_pairs


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Four instructions of 10 words, a benchmark, SFT data, and weights that nobody reads."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    write_rows(
        tmp_path / "data/instructions_dpo.jsonl",
        *(
            {"prompt": f"Write about {what}.", "length": 10}
            for what in ("tea", "rain", "sun", "ice")
        ),
    )
    write_rows(
        tmp_path / "data/benchmark.jsonl", {"prompt": "Write of war.", "type": "t", "length": 9}
    )
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}]
    write_rows(tmp_path / "data/sft/train.jsonl", {"id": "a", "messages": turns})
    (tmp_path / "models/sft").mkdir(parents=True)
    (tmp_path / "models/sft/model.safetensors").write_bytes(b"weights")
    return Workspace(tmp_path, tmp_path)


def by_sample(request: dict[str, Any]) -> Answer:
    """Sample n writes 10 · (n + 1) words; the judge likes what is long."""
    if "response_format" in request:
        words = request["messages"][0]["content"].count("word")
        return json.dumps(dict.fromkeys(DIMENSIONS, min(words // 10, 5)))
    return "word " * (10 * (request["seed"] + 1))


@pytest.fixture
def settings(chat_server: Any) -> Settings:
    """Two samples an instruction: S_l 100 and 100 · (1 - (20/10 - 1) / 3) = 66.7."""
    settings = default_settings()
    server = chat_server(by_sample)
    settings.student = replace(settings.student, server=endpoint_settings(server.base_url))
    settings.pairs = replace(
        settings.pairs,
        judge=replace(settings.judge, **vars(endpoint_settings(server.base_url))),
        samples=2,
        limit=None,
        weights=ScoreWeights(length=1, quality=0, repetition=0),
        select=Selection.best_against_worst,
        min_margin=0,
        validation_fraction=0.25,
    )
    return settings


def make(settings: Settings, work: Workspace) -> PairsResult:
    calls = CallContext(work.cache, settings.pairs.seed, threads=1)
    return make_pairs(settings.pairs, settings.student, settings.contamination, work, calls)


def test_the_stage_writes_pairs_validation_pairs_candidates_and_metrics(
    settings: Settings, work: Workspace
) -> None:
    stage = runpy.run_path(str(CHECKOUT / "stages/pairs.py"))["pairs"]
    stage(settings, work)
    folder = work.out / "data/dpo"
    read = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("pairs", "validation", "candidates")
    }
    assert {name: len(rows) for name, rows in read.items()} == {
        "pairs": 3,
        "validation": 1,
        "candidates": 8,
    }
    for row in read["pairs"] + read["validation"]:
        assert (row["chosen_sample"], row["rejected_sample"]) == (0, 1)
        assert (row["chosen_score"], row["rejected_score"]) == (100, pytest.approx(200 / 3))
        assert (row["chosen_seed"], row["rejected_seed"]) == (0, 1)
        assert (row["length"], row["chosen_length"], row["rejected_length"]) == (10, 10, 20)
        assert row["checkpoint"] == hashlib.sha256(b"weights").hexdigest()
    assert not {row["id"] for row in read["pairs"]} & {row["id"] for row in read["validation"]}
    metrics = json.loads((work.out / "metrics/pairs.json").read_text())
    assert (metrics["pairs"], metrics["validation_pairs"], metrics["chat_pairs"]) == (4, 1, 0)
    assert metrics["calls"] == 8
    assert not list(work.out.rglob("*.tmp"))


def test_the_judge_counts_where_quality_weighs(settings: Settings, work: Workspace) -> None:
    settings.pairs = replace(
        settings.pairs, weights=ScoreWeights(length=1, quality=1, repetition=0)
    )
    made = make(settings, work)
    # The short answer has S_q (1 - 1) · 25 = 0, the long one 25: means 50 and 45.8
    short, long = made.candidates[:2]
    assert (short.length_score, short.quality_score, short.score) == (100, 0, 50)
    assert (long.length_score, long.quality_score) == (pytest.approx(200 / 3), 25)
    assert long.score == pytest.approx((200 / 3 + 25) / 2)
    assert made.metrics["calls"] == 16


def test_quality_without_a_judge_is_an_error(settings: Settings, work: Workspace) -> None:
    weights = ScoreWeights(length=1, quality=1, repetition=0)
    settings.pairs = replace(settings.pairs, weights=weights, judge=None)
    with pytest.raises(
        SettingsError, match=r"^pairs\.judge: null, .* set pairs\.judge=\$\{judge\}$"
    ):
        make(settings, work)


def test_instructions_of_the_benchmark_and_of_sft_are_dropped(
    settings: Settings, work: Workspace
) -> None:
    write_rows(
        work.root / "data/benchmark.jsonl",
        {"prompt": "write about TEA!", "type": "t", "length": 900},
        {"prompt": "Chat of war?", "type": "t", "length": 900},
    )
    turns = [
        {"role": "user", "content": "Write about rain."},
        {"role": "assistant", "content": "No."},
    ]
    write_rows(work.root / "data/sft/train.jsonl", {"id": "a", "messages": turns})
    general = work.root / "chat.jsonl"
    chat = ("Chat of war?", "Chat of peace?")
    write_rows(general, *({"prompt": p, "chosen": "Yes.", "rejected": "No."} for p in chat))
    settings.pairs = replace(
        settings.pairs,
        chat_mix=ChatMixPairsSettings(path=str(general), revision=None, split="train", limit=None),
        validation_fraction=0.5,
    )
    made = make(settings, work)
    assert {c.prompt for c in made.candidates} == {"Write about sun.", "Write about ice."}
    assert made.metrics["dropped"] == {"in a benchmark": 1, "in the SFT data": 1}
    assert made.train[-1].prompt[0].content == "Chat of peace?"
    assert (made.metrics["chat_pairs"], made.metrics["chat_pairs_dropped"]) == (1, 1)
    assert [pair.source for pair in made.validation] == ["candidates"]

    settings.pairs = replace(settings.pairs, exclude_sft=False, limit=1, validation_fraction=0)
    made = make(settings, work)
    assert {c.prompt for c in made.candidates} == {"Write about rain."}
    assert made.metrics["dropped"] == {"in a benchmark": 1}


def test_instructions_are_named_relative_to_the_checkout_or_absolutely(
    settings: Settings, work: Workspace
) -> None:
    write_rows(work.root / "own.jsonl", {"prompt": "Write about war and peace.", "length": 10})
    for given in ("own.jsonl", str(work.root / "own.jsonl")):
        settings.pairs = replace(settings.pairs, instructions=given, validation_fraction=0)
        made = make(settings, work)
        assert {c.prompt for c in made.candidates} == {"Write about war and peace."}


def test_no_instruction_left_is_an_error(settings: Settings, work: Workspace) -> None:
    names = ("tea", "rain", "sun", "ice")
    write_rows(
        work.root / "data/benchmark.jsonl",
        *({"prompt": f"Write about {n}.", "type": "t", "length": 9} for n in names),
    )
    with pytest.raises(
        DataError, match=r"all 4 instructions were dropped: \{'in a benchmark': 4\}"
    ):
        make(settings, work)


@pytest.mark.parametrize(
    ("answer", "samples", "length", "reason"),
    [
        pytest.param("word", 4, 10, "no answer scores lower than the best", id="all equal"),
        pytest.param("word", 4, None, "no scored answer", id="all unscored"),
        pytest.param("word", 1, 10, "only one scored answer", id="one candidate"),
        pytest.param(" ", 4, 10, "no scored answer", id="all empty"),
    ],
)
def test_no_pair_is_an_error_that_says_why_and_writes_nothing(
    settings: Settings,
    work: Workspace,
    chat_server: Any,
    answer: str,
    samples: int,
    length: int | None,
    reason: str,
) -> None:
    server = endpoint_settings(chat_server(lambda _: answer).base_url)
    settings.student = replace(settings.student, server=server)
    settings.pairs = replace(settings.pairs, samples=samples)
    write_rows(
        work.root / "data/instructions_dpo.jsonl",
        *({"prompt": prompt, "length": length} for prompt in ("Write.", "Tell.")),
    )
    with pytest.raises(DataError, match=rf"^no pair of 2 instructions: \{{'{reason}': 2\}}"):
        make(settings, work)
    assert not (work.out / "data/dpo").exists()
