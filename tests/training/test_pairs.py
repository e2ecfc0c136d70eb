import asyncio
import random
import time
from itertools import chain
from typing import Any

import pytest
from loopback import Answer, completion

from longwriter.errors import ContextExceeded
from longwriter.records import Candidate, Instruction
from longwriter.training.pairs import build_pairs, describe, sample_candidates
from longwriter.training.settings import PairsSettings

SETTINGS = PairsSettings(instructions=None, limit=None, samples=4, temperature=0.9, max_tokens=55)


def group(name: str, *scores: float | None, cut: tuple[int, ...] = ()) -> list[Candidate]:
    """The samples of one instruction, those in `cut` ended by max_tokens."""
    return [
        Candidate(
            id=name,
            prompt=f"Write {name}.",
            length=None if score is None else 100,
            sample=sample,
            response=f"{name} answer {sample}",
            response_length=3 + sample,
            finish_reason="length" if sample in cut else "stop",
            score=score,
        )
        for sample, score in enumerate(scores)
    ]


def test_the_best_against_another() -> None:
    (pair,) = build_pairs(group("a", 20.0, 90.0), seed=1).pairs
    assert pair.model_dump() == {
        "prompt": [{"role": "user", "content": "Write a."}],
        "chosen": [{"role": "assistant", "content": "a answer 1"}],
        "rejected": [{"role": "assistant", "content": "a answer 0"}],
        "chosen_score": 90.0,
        "rejected_score": 20.0,
        "id": "a",
        "chosen_sample": 1,
        "rejected_sample": 0,
        "chosen_length": 4,
        "rejected_length": 3,
    }


def test_each_other_is_rejected_about_as_often() -> None:
    candidates = [c for i in range(600) for c in group(f"i{i}", 50.0, 0.0, 90.0, 50.0)]
    pairs = build_pairs(candidates, seed=1).pairs
    assert {pair.chosen_sample for pair in pairs} == {2}
    rejected = [pair.rejected_sample for pair in pairs]
    # 600 draws of three: 200 each, with a standard deviation of 11.5
    assert all(150 < rejected.count(sample) < 250 for sample in (0, 1, 3))


@pytest.mark.parametrize(
    ("scores", "cut", "chosen", "rejected"),
    [
        ((90.0, 90.0, 10.0), (), 0, {2}),  # of equals the first is the best, and no other is worse
        ((10.0, 90.0, 90.0), (), 1, {0}),
        ((90.0, None, 10.0), (), 0, {2}),  # without a score in no pair
        ((None, 40.0, 90.0), (), 2, {1}),
        ((10.0, 99.0, 50.0), (1,), 2, {0}),  # cut off: not chosen, and too good to be rejected
        ((10.0, 99.0, 50.0), (0, 1), 2, {0}),  # cut off can be rejected
        ((0.0, 50.0, 20.0, 70.0), (), 3, {0, 1, 2}),
    ],
)
def test_who_is_chosen_and_who_may_be_rejected(
    scores: tuple[float | None, ...], cut: tuple[int, ...], chosen: int, rejected: set[int]
) -> None:
    pairs = [
        pair for seed in range(40) for pair in build_pairs(group("a", *scores, cut=cut), seed).pairs
    ]
    assert len(pairs) == 40
    assert {pair.chosen_sample for pair in pairs} == {chosen}
    assert {pair.rejected_sample for pair in pairs} == rejected


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        (group("a", 50.0, 50.0, 50.0), "no answer scores lower than the best"),
        (group("a", 50.0), "no answer scores lower than the best"),
        (group("a", 50.0, None), "no answer scores lower than the best"),
        (group("a", 50.0, 90.0, cut=(1,)), "no answer scores lower than the best"),
        (group("a", None, None), "no scored answer"),
        (group("a", 50.0, 90.0, cut=(0, 1)), "no scored answer that ends by itself"),
        (group("a", 50.0, None, cut=(0,)), "no scored answer that ends by itself"),
    ],
)
def test_an_instruction_without_a_pair(candidates: list[Candidate], reason: str) -> None:
    paired = build_pairs([*candidates, *group("b", 1.0, 2.0)], seed=1)
    assert [pair.id for pair in paired.pairs] == ["b"]
    assert paired.without_pair == {reason: 1}


@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_answer_is_in_no_pair(response: str) -> None:
    empty, good = group("a", 0.0, 90.0)
    paired = build_pairs([empty.model_copy(update={"response": response}), good], seed=1)
    assert paired.pairs == []
    assert paired.without_pair == {"no answer scores lower than the best": 1}


def test_the_seed_gives_the_pairs() -> None:
    groups = [c for i in range(30) for c in group(f"i{i}", 50.0, 0.0, 90.0, 20.0)]
    assert build_pairs(groups, seed=1) == build_pairs(groups, seed=1)
    assert build_pairs(groups, seed=1) != build_pairs(groups, seed=2)


def test_other_instructions_change_no_pair() -> None:
    groups = [group(f"i{i}", 50.0, 0.0, 90.0, 20.0) for i in range(30)]
    expected = {pair.id: pair for pair in build_pairs(list(chain(*groups)), seed=1).pairs}
    shuffled = random.Random(5).sample(groups, 20)
    mixed = build_pairs(list(chain(*shuffled)), seed=1).pairs
    assert [pair.id for pair in mixed] == [candidates[0].id for candidates in shuffled]
    assert mixed == [expected[pair.id] for pair in mixed]


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
    assert [candidate.model_dump() for candidate in candidates] == [
        {
            "id": instruction.id,
            "prompt": instruction.prompt,
            "length": instruction.length,
            "sample": sample,
            "response": "word " * (10 * sample),
            "response_length": 10 * sample,
            "finish_reason": "length" if sample == 3 else "stop",
            "score": score if instruction.id == "a" else None,
        }
        for instruction in instructions
        # 20 words asked for: 0 → 0; 10 → 1 - (2 - 1) / 2; 20 → 1; 30 → 1 - (1.5 - 1) / 3
        for sample, score in enumerate([0.0, 50.0, 100.0, pytest.approx(100 * 5 / 6)])
    ]
    asked = sorted((r["messages"][0]["content"], r["seed"]) for r in server.requests)
    assert asked == [(prompt, seed) for prompt in "pq" for seed in range(70_000, 70_004)]
    assert {(r["temperature"], r["max_tokens"]) for r in server.requests} == {(0.9, 55)}
    # The samples are other calls: a second run makes none of them again.
    server.requests.clear()
    assert asyncio.run(run()) == candidates
    assert server.requests == []


def test_a_missing_sample_fails_the_run(chat_server: Any, open_client: Any) -> None:
    no = (400, b'{"error": {"message": "context size"}}')
    server = chat_server(lambda request: no if request["seed"] == 70_002 else "fine")

    async def run() -> list[Candidate]:
        async with open_client(server) as client:
            return await sample_candidates(client, [Instruction(prompt="p")], SETTINGS)

    with pytest.raises(ContextExceeded):
        asyncio.run(run())


def test_describe() -> None:
    candidates = [
        *group("a", 20.0, 90.0),
        *group("b", 50.0, 100.0, cut=(0,)),
        *group("c", 50.0, 50.0),
        *group("d", None, None, cut=(1,)),
    ]
    assert describe(candidates, build_pairs(candidates, seed=1)) == {
        "instructions": 4,
        "candidates": 8,
        "cut_off": 2,
        "pairs": 2,
        "without_pair": {"no answer scores lower than the best": 1, "no scored answer": 1},
        "chosen_score": 95.0,  # (90 + 100) / 2
        "rejected_score": 35.0,  # (20 + 50) / 2
    }
    assert describe([], build_pairs([], seed=1)) == {
        "instructions": 0,
        "candidates": 0,
        "cut_off": 0,
        "pairs": 0,
        "without_pair": {},
        "chosen_score": 0.0,
        "rejected_score": 0.0,
    }
