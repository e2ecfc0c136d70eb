"""Samples of the model, the judge's grades, and the scores made of both."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from helpers.checkpoints import default_settings
from helpers.loopback import Answer, completion

from longwriter.core.errors import ContextExceeded, SettingsError
from longwriter.core.rows import Candidate, Instruction
from longwriter.evaluation.judge import DIMENSIONS, JudgePrompt
from longwriter.preference.candidates import judged, sample_candidates, scored
from longwriter.preference.settings import ScoreWeights

SETTINGS = replace(default_settings().pairs, seed=7, samples=4, temperature=0.9, max_tokens=55)
PAPER = ScoreWeights(length=1, quality=1, repetition=0)


def candidate(response: str, length: int | None = None, **more: Any) -> Candidate:
    return Candidate(
        **{
            "id": "a",
            "prompt": "Write.",
            "length": length,
            "sample": 0,
            "response": response,
            "response_length": len(response.split()),
            "finish_reason": "stop",
            **more,
        }
    )


# Samples


def test_samples_of_every_instruction(chat_server: Any, open_client: Any) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        sample = request["seed"] - 70_000
        time.sleep(0.02 * (4 - sample))  # the first sample is answered last
        return completion("word " * (10 * sample), "length" if sample == 3 else "stop")

    server = chat_server(answer)
    instructions = [Instruction(prompt="p", id="a", length=20), Instruction(prompt="q", id="b")]

    async def run() -> list[Candidate]:
        async with open_client(server) as client:
            return await sample_candidates(client, instructions, SETTINGS)

    candidates = asyncio.run(run())
    assert [candidate.model_dump(exclude_none=True) for candidate in candidates] == [
        {
            "id": instruction.id,
            "prompt": instruction.prompt,
            **({"length": 20} if instruction.length else {}),
            "sample": sample,
            "seed": 70_000 + sample,
            "response": "word " * (10 * sample),
            "response_length": 10 * sample,
            "finish_reason": "length" if sample == 3 else "stop",
        }
        for instruction in instructions
        for sample in range(4)
    ]
    asked = sorted((r["messages"][0]["content"], r["seed"]) for r in server.requests)
    assert asked == [(prompt, seed) for prompt in "pq" for seed in range(70_000, 70_004)]
    assert {(r["temperature"], r["max_tokens"]) for r in server.requests} == {(0.9, 55)}
    # The samples are other calls: a second run makes none of them again.
    server.requests.clear()
    assert asyncio.run(run()) == candidates
    assert server.requests == []


def test_a_missing_sample_fails_the_run_when_all_were_tried(
    chat_server: Any, open_client: Any
) -> None:
    no = (400, b'{"error": {"message": "context size"}}')
    server = chat_server(lambda request: no if request["seed"] == 70_000 else "fine")

    async def run() -> list[Candidate]:
        async with open_client(server, concurrency=1) as client:
            return await sample_candidates(client, [Instruction(prompt="p")], SETTINGS)

    with pytest.raises(ContextExceeded, match="1 of 4 calls"):
        asyncio.run(run())
    assert {request["seed"] for request in server.requests} == set(range(70_000, 70_004))


# Grades


def test_the_judge_grades_what_is_there_and_gives_no_grade_it_does_not_have(
    chat_server: Any, open_client: Any
) -> None:
    grades = json.dumps(dict.fromkeys(DIMENSIONS, 4) | {"Clarity": 1})

    def answer(request: dict[str, Any]) -> Answer:
        return "no idea" if "bad text" in request["messages"][0]["content"] else grades

    server = chat_server(answer)
    candidates = [
        candidate("good text", length=9),
        candidate("bad text", sample=1),
        candidate(" ", sample=2),
    ]

    async def run() -> list[Candidate]:
        async with open_client(server) as client:
            return await judged(client, candidates, JudgePrompt(), repeats=1)

    good, bad, empty = asyncio.run(run())
    # five dimensions of (4 - 1) · 25 and one of 0
    assert (good.quality_score, good.unscored) == (62.5, None)
    assert bad.quality_score is None
    assert (bad.unscored or "").startswith("BadCompletion: not one JSON object")
    assert empty == candidates[2]
    assert len(server.requests) == 2


# Scores

EIGHT = "a b c d e f g h"


@pytest.mark.parametrize(
    ("given", "weights", "score"),
    [
        # 8 words of 16 asked for: S_l = 100 · (1 - (16/8 - 1) / 2) = 50
        pytest.param(candidate(EIGHT, 16, quality_score=80), PAPER, 65.0, id="the paper's mean"),
        pytest.param(candidate(EIGHT, 16), ScoreWeights(length=2, quality=0, repetition=0), 50.0),
        pytest.param(
            candidate(EIGHT, 16, quality_score=80),
            ScoreWeights(length=1, quality=3, repetition=0),
            72.5,  # (50 + 3 · 80) / 4
            id="weighted",
        ),
        pytest.param(
            candidate(EIGHT, None, quality_score=80), PAPER, 80.0, id="no length asked for"
        ),
        # 16 words: 9 8-grams, of which the last stood there before
        pytest.param(
            candidate(f"{EIGHT} {EIGHT}", 16),
            ScoreWeights(length=1, quality=0, repetition=0.5),
            pytest.approx(100 - 0.5 * 100 / 9),
            id="repetition",
        ),
    ],
)
def test_a_score(given: Candidate, weights: ScoreWeights, score: float) -> None:
    [found] = scored([given], weights)
    assert (found.score, found.unscored) == (score, None)


@pytest.mark.parametrize(
    ("given", "weights", "reason"),
    [
        (candidate(EIGHT, 16, unscored="TimedOut: x"), PAPER, "TimedOut: x"),
        (candidate(EIGHT, 16), PAPER, "not judged"),
        (candidate(EIGHT), ScoreWeights(length=1, quality=0, repetition=1), "asks for no length"),
        (candidate(" \n", 16), ScoreWeights(length=1, quality=0, repetition=0), "empty answer"),
        (candidate("<plan>\n1. All", 16), PAPER, "empty answer"),
    ],
)
def test_unscored(given: Candidate, weights: ScoreWeights, reason: str) -> None:
    [found] = scored([given], weights)
    assert (found.score, found.unscored) == (None, reason)


def test_what_weighs_nothing_is_not_computed() -> None:
    [found] = scored(
        [candidate(f"{EIGHT} {EIGHT}", 16)], ScoreWeights(length=1, quality=0, repetition=0)
    )
    assert (found.length_score, found.quality_score, found.repetition) == (100, None, None)
    with pytest.raises(SettingsError, match=r"^pairs\.weights: "):
        scored([], ScoreWeights(length=0, quality=0, repetition=1))
