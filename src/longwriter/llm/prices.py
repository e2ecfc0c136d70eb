"""Fills in prices that conf/ doesn't give, from the table of the package genai-prices."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from longwriter.llm.settings import ServerKind, ServerSettings


def priced(settings: ServerSettings) -> ServerSettings:
    """Returns the settings with null prices taken from the table, if it knows the model there.

    They are the prices for the `service_tier` in `extra_body`. If a price rises with the prompt's
    length, it is the lowest. Models that run on one's own machine cost nothing and need no table.
    """
    known = settings.price_prompt is not None and settings.price_completion is not None
    if known or settings.kind is not ServerKind.endpoint or not settings.model:
        return settings
    from genai_prices.data_snapshot import get_snapshot  # a megabyte of Python

    now = datetime.now(UTC)
    try:
        _, model = get_snapshot().find_provider_model(
            settings.model, None, None, next(iter(settings.base_urls), None)
        )
    except LookupError:
        return settings
    tier = settings.extra_body.get("service_tier")
    table = model.get_prices(now, {"service_tier": str(tier)} if tier else None)
    own = settings.price_prompt, settings.price_cached_prompt, settings.price_completion
    listed = table.input_mtok, table.cache_read_mtok, table.output_mtok
    prompt, cached, completion = (
        _base(price) if given is None else given for given, price in zip(own, listed, strict=True)
    )
    if prompt is None or completion is None:
        return settings
    return replace(
        settings, price_prompt=prompt, price_cached_prompt=cached, price_completion=completion
    )


def _base(price: Any) -> float | None:
    """Returns the price, or the first tier of a tiered one; None if there is no price."""
    base = getattr(price, "base", price)
    return float(base) if isinstance(base, Decimal) else None


def table_name() -> str:
    """Returns the table's version and the start date of its newest price that applies today."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import StartDateConstraint

    today = datetime.now(UTC).date()
    starts = [
        price.constraint.start_date
        for provider in get_snapshot().providers
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else [])
        if isinstance(price.constraint, StartDateConstraint)
    ]
    newest = max(start for start in starts if start <= today)
    return f"genai-prices {version('genai-prices')}, newest price of {newest}"
