from typing import Any

import pytest
from helpers.loopback import PROMPTS, agentwrite_settings, endpoint_settings

from longwriter.agentwrite.estimate import Estimate, estimate
from longwriter.agentwrite.prompts import StepRequest, plan_messages, step_messages
from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Step
from longwriter.llm.client import prompt_bytes

# 1,000 words: two steps of 500 words, 1,000 tokens each.
TEA = Instruction(prompt="Write 1000 words about tea.", length=1000)
POINT = "x" * 200  # half of max_point_characters
PLAN_TOKENS = 2 * (200 // 4 + 15)


EN = PROMPTS["en"]


def estimated(*instructions: Instruction, parallel: bool = False, **teacher: Any) -> Estimate:
    settings = endpoint_settings("http://127.0.0.1:1/v1", **{"context": 32768} | teacher)
    return estimate(list(instructions), agentwrite_settings(parallel=parallel), settings, PROMPTS)


def prompts() -> tuple[int, int, int]:
    """Tokens of the prompts for TEA without the text so far: plan, first step, second step."""
    plan = [Step(main_point=POINT, word_count=500)] * 2
    first, second = (
        prompt_bytes(
            step_messages(
                TEA,
                plan,
                StepRequest(step=plan[n], number=n, last=n == 1, words=500, so_far=""),
                EN,
            )
        )
        // 4
        for n in (0, 1)
    )
    return prompt_bytes(plan_messages(TEA, 2, 50, False, EN)) // 4, first, second


def test_calls_tokens_and_time_of_one_text() -> None:
    found = estimated(TEA)
    plan, first, second = prompts()
    assert found.calls == 3
    assert found.completion_tokens == PLAN_TOKENS + 2000
    assert found.prompt_tokens == plan + first + second + 1000  # the second sees the first's text
    assert found.cached_prompt_tokens == first  # all that the call before it had
    # One after the other, at 50 tokens a second.
    assert found.seconds == (PLAN_TOKENS + 2000) / 50


def test_in_parallel_a_step_sees_no_text_and_waits_for_the_plan_only() -> None:
    found = estimated(TEA, parallel=True)
    plan, first, second = prompts()
    assert found.prompt_tokens == plan + first + second
    assert found.seconds == (PLAN_TOKENS + 1000) / 50


def test_prices() -> None:
    prices = {"price_prompt": 2.0, "price_cached_prompt": 0.5, "price_completion": 8.0}
    found = estimated(TEA, **prices)
    written = 8 * found.completion_tokens
    cached = found.cached_prompt_tokens
    assert found.cost == pytest.approx((2 * found.prompt_tokens + written) / 1e6)
    assert found.cost - found.cached_cost == pytest.approx(1.5 * cached / 1e6)


def test_only_calls_that_no_other_waits_for_have_the_price_of_a_batch() -> None:
    prices = {"price_prompt": 2.0, "price_completion": 8.0, "batch_price": 0.25}
    for parallel, share in ((True, 0.25), (False, 1.0)):
        usual = estimated(TEA, parallel=parallel, **prices)
        found = estimated(TEA, parallel=parallel, batch=True, **prices)
        assert (found.cost, found.cached_cost) == (usual.cost * share, usual.cached_cost * share)


def test_what_bounds_the_time() -> None:
    one = estimated(TEA).seconds
    texts = [TEA.model_copy(update={"id": str(n)}) for n in range(8)]
    # Eight texts on four places take as long as two, one after the other.
    assert estimated(*texts).seconds == pytest.approx(2 * one)
    assert estimated(*texts, concurrency=64).seconds == pytest.approx(one)
    assert estimated(*texts, requests_per_minute=0.5).seconds == 24 * 120
    found = estimated(*texts, tokens_per_minute=10)
    assert found.seconds == 6 * (found.prompt_tokens + found.completion_tokens)


def test_a_text_that_outgrows_the_context_is_not_sent_whole() -> None:
    long = Instruction(prompt="Write 20000 words.", length=20_000)
    # 40 steps of 1,000 tokens each beside a prompt of 3,096 at most, and the plan before them.
    found = estimated(long, context=4096)
    plan = prompt_bytes(plan_messages(long, 40, 50, False, EN)) // 4
    assert found.prompt_tokens <= plan + 40 * 3096
    assert found.prompt_tokens > plan + 39 * 3000


def test_a_length_that_is_not_stated_is_guessed() -> None:
    free = Instruction(prompt="Write about tea.")
    assert estimated(TEA, free).without_length == 1
    assert estimated(TEA, free).completion_tokens == 2 * estimated(TEA).completion_tokens
    assert "1 lengths are guessed" in str(estimated(TEA, free))
    with pytest.raises(DataError, match="add `length`"):
        estimated(free)
