"""Chat pairs: general preference pairs, in any of TRL's preference formats, to be mixed with our own."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import Pair, Record
from longwriter.core.sources import checked, read_jsonl
from longwriter.preference.settings import ChatMixPairsSettings

Turns = list[dict[str, Any]]


FORMATS = (
    "a row needs `chosen` and `rejected`, both texts or both lists of messages, and `prompt` likewise, "
    "which lists of messages may do without where they begin with the same ones (TRL's preference "
    "format)"
)


def read_chat_pairs(settings: ChatMixPairsSettings, seed: int) -> list[Pair]:
    """The pairs that `settings.path` names, `limit` of them at random; none where it is null.

    Raises:
        DataError: a file or row cannot be read, or a row is no preference.
        SettingsError: a data set of the hub without a revision.
    """
    if settings.path is None:
        return []
    pairs = [
        as_pair(row, settings.path, f"{settings.path}, row {number}")
        for number, row in enumerate(_rows(settings), start=1)
    ]
    if settings.limit is None or settings.limit >= len(pairs):
        return pairs
    rng = random.Random(f"{seed} general")  # noqa: S311
    return [pairs[place] for place in sorted(rng.sample(range(len(pairs)), settings.limit))]


def _rows(settings: ChatMixPairsSettings) -> Iterable[dict[str, Any]]:
    assert settings.path is not None
    path = Path(settings.path).absolute()
    if path.exists() or settings.path.endswith((".jsonl", ".json")):
        return (row.model_dump() for row in read_jsonl(path, Record))
    if settings.revision is None:
        raise SettingsError(
            f"pairs.chat_mix.revision: is null; pairs.chat_mix.path={settings.path} is no file here, so "
            "it is taken as a Hugging Face data set, which needs a commit or tag to be read the same "
            "again"
        )
    return _from_hub(settings.path, settings.revision, settings.split)


def _from_hub(name: str, revision: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        yield from datasets.load_dataset(name, revision=revision, split=split, streaming=True)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name} at {revision}, split {split}: cannot be read ({type(error).__name__}: {error}); "
            "mend pairs.chat_mix"
        ) from None


def as_pair(row: dict[str, Any], source: str, where: str) -> Pair:
    """A row of a preference data set as a pair of messages. Columns that TRL does not know go.

    Raises:
        DataError: it is no preference; the message names `where` it stands.
    """
    chosen, rejected, prompt = row.get("chosen"), row.get("rejected"), row.get("prompt")
    if isinstance(chosen, list) and isinstance(rejected, list):
        shared = _shared(chosen, rejected)
        if isinstance(prompt, list) and prompt:
            turns = prompt
        elif shared:  # the prompt stands in both; a text beside them says it again
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
    """Messages that both begin with, the last answers left out."""
    most = min(len(chosen), len(rejected)) - 1
    return next((n for n in range(most) if chosen[n] != rejected[n]), max(most, 0))


def _turn(role: str, content: Any) -> Turns:
    return [{"role": role, "content": content}]
