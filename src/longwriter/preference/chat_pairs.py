"""Chat pairs: preference pairs of general chat, in any of TRL's formats, to mix with our own."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from longwriter.core.errors import DataError
from longwriter.core.rows import Pair
from longwriter.core.sources import checked, open_source
from longwriter.preference.settings import ChatMixPairsSettings

Turns = list[dict[str, Any]]

FORMATS = (
    "a row needs `prompt`, `chosen` and `rejected`, all texts or all lists of messages; `prompt` "
    "may be omitted if `chosen` and `rejected` are message lists that start with the same messages "
    "(TRL's preference format)"
)


def read_chat_pairs(settings: ChatMixPairsSettings, root: Path, seed: int) -> list[Pair]:
    """Returns the pairs that `settings.path` names, `limit` of them at random; none if it is null.

    Args:
        root: the checkout, to which the path is relative.

    Raises:
        DataError: a file or row cannot be read, or a row is not a preference.
        SettingsError: a data set on the hub is named without a revision.
    """
    given = settings.path
    if given is None:
        return []
    source = open_source(
        given, settings.revision, root / given, "pairs.chat_mix.path", settings.split
    )
    pairs = [as_pair(row, given, where) for where, row in source.rows()]
    if settings.limit is None or settings.limit >= len(pairs):
        return pairs
    rng = random.Random(f"{seed} general")  # noqa: S311
    return [pairs[place] for place in sorted(rng.sample(range(len(pairs)), settings.limit))]


def as_pair(row: dict[str, Any], source: str, where: str) -> Pair:
    """Converts a row of a preference data set to a pair of message lists.

    Columns that TRL does not know are dropped.

    Raises:
        DataError: the row is not a preference; the message names `where` it was read.
    """
    chosen, rejected, prompt = row.get("chosen"), row.get("rejected"), row.get("prompt")
    if isinstance(chosen, list) and isinstance(rejected, list):
        shared = _shared(chosen, rejected)
        if isinstance(prompt, list) and prompt:
            turns = prompt
        elif shared:  # both begin with the prompt; a text in `prompt` repeats it
            turns, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        elif isinstance(prompt, str):
            turns = _turn("user", prompt)
        else:
            raise DataError(f"{where}: no prompt: {FORMATS}")
    elif all(isinstance(text, str) for text in (prompt, chosen, rejected)):
        turns = _turn("user", prompt)
        chosen, rejected = _turn("assistant", chosen), _turn("assistant", rejected)
    else:
        raise DataError(f"{where}: {FORMATS}")
    found = {"prompt": turns, "chosen": chosen, "rejected": rejected}
    name = hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return checked(found | {"id": f"general-{name}", "source": source}, Pair, where)


def _shared(chosen: Turns, rejected: Turns) -> int:
    """Returns the number of leading messages that both share, without the last answers."""
    most = min(len(chosen), len(rejected)) - 1
    return next((n for n in range(most) if chosen[n] != rejected[n]), max(most, 0))


def _turn(role: str, content: Any) -> Turns:
    return [{"role": role, "content": content}]
