from datetime import date
from importlib.metadata import version

import genai_prices
import pytest
from helpers.loopback import endpoint_settings

from longwriter.llm.prices import priced, table_name
from longwriter.llm.settings import ServerKind, ServerSettings

OPENAI = "https://api.openai.com/v1"


def listed(model: str, base_url: str = OPENAI, **changes: object) -> ServerSettings:
    """Settings without prices, and what the table adds."""
    nothing = {"price_prompt": None, "price_cached_prompt": None, "price_completion": None}
    return priced(endpoint_settings(base_url, model=model, **nothing | changes))


@pytest.mark.parametrize(
    ("model", "base_url"),
    [("gpt-6.1-sol", OPENAI), ("mistral-large-2512", "https://api.mistral.ai/v1")],
)
def test_prices_are_those_that_the_package_itself_computes(model: str, base_url: str) -> None:
    found = listed(model, base_url)
    usage = genai_prices.Usage(input_tokens=10_000, output_tokens=1_000)
    cost = genai_prices.calc_price(usage, model, provider_api_url=base_url).total_price
    assert found.cost(10_000, 0, 1_000) == pytest.approx(float(cost))
    assert found.cost(10_000, 0, 1_000) > 0


def test_cached_tokens_have_their_own_price() -> None:
    found = listed("gpt-6.1-sol")
    usage = genai_prices.Usage(input_tokens=10_000, cache_read_tokens=9_000, output_tokens=0)
    cost = genai_prices.calc_price(usage, "gpt-6.1-sol", provider_api_url=OPENAI).total_price
    assert found.cost(10_000, 9_000, 0) == pytest.approx(float(cost))
    assert found.cost(10_000, 9_000, 0) < found.cost(10_000, 0, 0)


def test_flex_costs_half() -> None:
    usual = listed("gpt-6.1-sol")
    flex = listed("gpt-6.1-sol", extra_body={"service_tier": "flex"})
    assert flex.cost(1000, 0, 1000) == pytest.approx(usual.cost(1000, 0, 1000) / 2)


def test_prices_in_conf_go_before_the_table() -> None:
    found = listed("gpt-6.1-sol", price_prompt=7.0)
    assert found.price_prompt == 7.0
    assert found.price_completion == listed("gpt-6.1-sol").price_completion


@pytest.mark.parametrize(
    ("model", "base_url"), [("m", "http://127.0.0.1:8000/v1"), ("no-such-model", OPENAI)]
)
def test_what_the_table_does_not_know_has_no_price(model: str, base_url: str) -> None:
    found = listed(model, base_url)
    assert (found.price_prompt, found.price_completion) == (None, None)
    assert found.cost(1000, 0, 1000) == 0


def test_own_servers_cost_nothing() -> None:
    found = listed("gpt-6.1-sol", kind=ServerKind.vllm)
    assert found.price_prompt is None


def test_the_table_has_a_date() -> None:
    name, _, newest = table_name().partition(", newest price of ")
    assert name == f"genai-prices {version('genai-prices')}"
    assert date(2026, 1, 1) < date.fromisoformat(newest) <= date.today()
