import asyncio
import json
from typing import Any

import pytest
from helpers.loopback import Answer

from longwriter.core.errors import BadRequest, DataError, ServerError, ServerFault, TooFewGrades
from longwriter.core.rows import Judgement, Prediction
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import Interval
from longwriter.evaluation.judge import DIMENSIONS
from longwriter.evaluation.scoring import check_unscored, compare, comparison, evaluate, with_second
from longwriter.evaluation.settings import BenchSettings
from longwriter.evaluation.summary import summarise

STATISTICS = StatisticsSettings(resamples=100, seed=1)


def grades(*values: int) -> dict[str, int]:
    return dict(zip(DIMENSIONS, values, strict=True))


def row(prompt: str, **fields: Any) -> Judgement:
    defaults = {"type": "Poem", "length": 100, "response": "", "length_score": 0.0}
    return Judgement.model_validate({"prompt": prompt} | defaults | fields)


def test_compare_matches_by_prompt() -> None:
    a = [row("x", length_score=10.0), row("y", length_score=60.0)]
    b = [row("y", length_score=65.0), row("x", length_score=15.0)]
    # y: 65 - 60 = 5, x: 15 - 10 = 5
    assert compare(a, b) == Interval(5.0)


def test_compare_refuses_other_prompts() -> None:
    with pytest.raises(DataError) as raised:
        compare([row("x"), row("y")], [row("y"), row("z"), row("y")])
    assert str(raised.value) == (
        "the two do not answer the same prompts: 1 only in the first, 1 only in the second, "
        "'x' for one; predict both with the same benchmark"
    )


def test_evaluate_keeps_the_order(chat_server: Any, open_client: Any) -> None:
    fives = json.dumps(grades(5, 5, 5, 5, 5, 5))

    def answer(request: dict[str, Any]) -> str:
        return fives if "alpha" in request["messages"][0]["content"] else "no idea"

    predictions = [
        Prediction(prompt="p", type="t", length=1, response=text)
        for text in ("beta", "alpha", "gamma", "")
    ]

    async def run() -> list[Judgement]:
        async with open_client(chat_server(answer)) as client:
            return await evaluate(client, predictions)

    judgements = asyncio.run(run())
    assert [judgement.response for judgement in judgements] == ["beta", "alpha", "gamma", ""]
    assert [judgement.scores for judgement in judgements] == [
        None,
        grades(5, 5, 5, 5, 5, 5),
        None,
        grades(1, 1, 1, 1, 1, 1),
    ]
    assert judgements[3].unscored is None


def test_the_server_s_trouble_ends_the_run_when_all_others_are_judged(
    chat_server: Any, open_client: Any
) -> None:
    fives = json.dumps(grades(5, 5, 5, 5, 5, 5))
    trouble: list[Answer] = [(500, b"{}"), fives]

    def answer(request: dict[str, Any]) -> Answer:
        return trouble.pop(0) if "beta" in request["messages"][0]["content"] else fives

    server = chat_server(answer)
    predictions = [
        Prediction(prompt="p", type="t", length=1, response=text)
        for text in ("alpha", "beta", "gamma")
    ]

    async def run() -> list[Judgement]:
        async with open_client(server, max_retries=0) as client:
            return await evaluate(client, predictions)

    with pytest.raises(ServerFault, match="1 of 3 calls of eval failed; the first: ServerFault: "):
        asyncio.run(run())
    assert all(judgement.scores for judgement in asyncio.run(run()))
    assert len(server.requests) == 4  # three, and again the one that failed


@pytest.mark.parametrize(
    ("judged", "graded"), [(1, "a"), (2, "ac"), (3, "abd"), (5, "abcde"), (9, "abcde")]
)
def test_so_many_answers_are_judged_evenly_spread(
    chat_server: Any, open_client: Any, judged: int, graded: str
) -> None:
    server = chat_server(lambda request: json.dumps(grades(5, 5, 5, 5, 5, 5)))
    predictions = [Prediction(prompt=name, type="t", length=1, response="text") for name in "abcde"]

    async def run() -> list[Judgement]:
        async with open_client(server) as client:
            return await evaluate(client, predictions, judged)

    rows = asyncio.run(run())
    assert [row.prompt for row in rows] == list("abcde")
    assert [row.length_score for row in rows] == [100.0] * 5
    assert "".join(row.prompt for row in rows if row.scores) == graded
    assert len(server.requests) == len(graded)
    summary = summarise(rows, [], StatisticsSettings(resamples=100, seed=0))
    assert (summary["S_q"], summary["unscored"]) == (100.0, 5 - len(graded))
    assert summary["unscored_reasons"] == ({"NotAsked": 5 - len(graded)} if len(graded) < 5 else {})


def test_a_judge_that_refuses_every_call_is_an_error(chat_server: Any, open_client: Any) -> None:
    server = chat_server(lambda request: (400, b'{"error": {"message": "no json_schema here"}}'))

    async def run() -> list[Judgement]:
        async with open_client(server) as client:
            # Nobody is asked about the empty answer, so it does not speak for the judge.
            rows = [
                Prediction(prompt="p", type="t", length=1, response=text) for text in ("text", "")
            ]
            return await evaluate(client, rows)

    with pytest.raises(BadRequest, match=r"refuses every call: .*no json_schema here"):
        asyncio.run(run())


def test_a_judge_that_is_away_is_an_error(chat_server: Any, open_client: Any) -> None:
    server = chat_server(lambda request: "")
    server.close()

    async def run() -> list[Judgement]:
        async with open_client(server) as client:
            row = Prediction(prompt="p", type="t", length=1, response="text")
            return await evaluate(client, [row])

    with pytest.raises(ServerError, match="cannot be reached"):
        asyncio.run(run())


def test_repeats_are_other_samples_and_the_usable_ones_count(
    chat_server: Any, open_client: Any
) -> None:
    answers = {0: json.dumps(grades(1, 1, 1, 1, 1, 1)), 1: "prose", 2: json.dumps(grades(*[4] * 6))}
    server = chat_server(lambda request: answers[request["seed"] % 10_000])
    prediction = Prediction(prompt="p", type="t", length=1, response="text")

    async def run() -> list[Judgement]:
        async with open_client(server) as client:
            return await evaluate(client, [prediction], repeats=3)

    [found] = asyncio.run(run())
    assert found.scores == dict.fromkeys(DIMENSIONS, 2.5)
    assert found.repeats == [
        grades(*[1] * 6),
        "BadCompletion: not one JSON object: 'prose'",
        grades(*[4] * 6),
    ]
    assert found.unscored is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("The text is fine.", "BadCompletion"),
        ("", "BadCompletion"),
        (json.dumps(dict.fromkeys(DIMENSIONS[:5], 4)), "BadCompletion"),
        (json.dumps(grades(0, 4, 4, 4, 4, 4)), "BadCompletion"),
        (json.dumps(grades(4, 4, 4, 4, 4, 11)), "BadCompletion"),
        (json.dumps(grades(*[4] * 6)) + json.dumps(grades(*[2] * 6)), "BadCompletion"),
    ],
)
def test_no_strange_answer_becomes_a_number(
    chat_server: Any, open_client: Any, answer: str, reason: str
) -> None:
    server = chat_server(lambda request: answer)
    rows = [Prediction(prompt=name, type="t", length=1, response="text") for name in "abc"]

    async def run() -> list[Judgement]:
        async with open_client(server) as client:
            return await evaluate(client, rows)

    judgements = asyncio.run(run())
    summary = summarise(judgements, [], StatisticsSettings(resamples=100, seed=0))
    assert (summary["S_q"], summary["S_bar"]) == (None, None)
    assert summary["unscored_reasons"] == {reason: 3}
    with pytest.raises(TooFewGrades, match=rf"3 of 3 texts have no grades \({reason} 3\)"):
        check_unscored(judgements, 0.5)


def test_texts_that_nobody_asked_about_are_no_failures() -> None:
    asked = [row(str(n), scores=grades(*[3] * 6)) for n in range(3)]
    failed = [row("f", unscored="BadCompletion: prose")]
    rest = [row(f"r{n}", unscored="NotAsked: bench.judged is 4") for n in range(96)]
    check_unscored([*asked, *failed, *rest], 0.25)  # 1 of 4, not 97 of 100
    with pytest.raises(TooFewGrades, match=r"1 of 4 texts .*judge.max_unscored allows 0.2\."):
        check_unscored([*asked, *failed, *rest], 0.2)
    check_unscored(rest, 0.0)


def test_another_judge_s_grades_stand_beside_the_first_s() -> None:
    first, other = [row("a", scores=grades(*[3] * 6))], [row("a", unscored="BadCompletion: x")]
    [both] = with_second(first, other)
    assert both.scores == grades(*[3] * 6)
    assert both.second is not None
    assert (both.second.scores, both.second.unscored) == (None, "BadCompletion: x")


def test_comparison_guards_short_and_bounded_requests() -> None:
    bench = BenchSettings(
        path="b", sha256=None, languages=["en"], limit=None, samples=1, judged=None,
        length_bins=[0, 200], seed=0,
    )  # fmt: skip
    prompts = {"Write at most 100 words.": 100, "A story of 900 words": 900}

    def model(short: tuple[float, int], long: float) -> list[Judgement]:
        scores, words = (short[0], long), (short[1], 900)
        return [
            row(prompt, length=length, length_score=score, response_length=written)
            for (prompt, length), score, written in zip(prompts.items(), scores, words, strict=True)
        ]

    found = comparison(model((90.0, 95), 20.0), model((60.0, 160), 80.0), bench, STATISTICS)
    assert found["S_l"].mean == 15.0  # (-30 + 60) / 2: better in all …
    assert found["S_l_shortest"] == Interval(-30.0)  # … and worse where it is short
    assert found["obedience"] == Interval(-100.0)
    assert found["within_20"].mean == -50.0  # 95 of 100 words, then 160
    assert found["rank_correlation"].mean == 0.0  # 1 in both
    assert "S_q" not in found


def test_several_samples_are_compared_by_their_mean() -> None:
    a = [row("x", length_score=0.0), row("x", length_score=20.0)]
    b = [row("x", length_score=30.0)]
    assert compare(a, b) == Interval(20.0)
