"""Tokenises preference pairs once, on all cores, and opens them by memory map."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longwriter.core.errors import TrainingError
from longwriter.core.files import digest, in_use, remove_unused, replacing
from longwriter.core.process import ended_by_sigterm
from longwriter.core.rows import Pair
from longwriter.core.workspace import cores
from longwriter.models.chat import answer_tokens, tokenizer_digest
from longwriter.models.checkpoint import load_tokenizer, quiet_unless_terminal
from longwriter.models.settings import StudentSettings

if TYPE_CHECKING:
    from datasets import Dataset

TRAIN, VALIDATION = "train", "validation"
"""Names of the Arrow data sets in a pairs folder."""

PAIRS_A_PROCESS = 1000
"""Minimum pairs per process when several processes tokenise."""


class TokenizedPairs(NamedTuple):
    """Pairs with the columns that `tokenize` returns."""

    train: "Dataset"
    validation: "Dataset | None"
    """None if there are no validation pairs."""


def make_tokens(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    start: Path,
    max_length: int,
    student: StudentSettings,
    cache: Path,
) -> Path:
    """Tokenises pairs, only once for the same pairs, tokenizer and max_length.

    Args:
        start: checkpoint whose tokenizer and chat template are used.
        cache: cache folder of the workspace.

    Returns:
        A folder for `open_tokens`, named by a hash of what it was made from.

    Raises:
        TrainingError: as `tokenize`, or `start` is not a checkpoint.
    """
    from datasets import Dataset

    quiet_unless_terminal()
    tokenizer = load_tokenizer(start, student)
    made_by = tokenizer_digest(start), digest(Path(__file__)), max_length
    key = hashlib.sha256(json.dumps(made_by).encode())
    parts = {TRAIN: pairs, VALIDATION: validation}
    for name, part in parts.items():
        key.update(name.encode())
        for pair in part:
            key.update(pair.model_dump_json().encode())
    folder = cache / "pairs" / key.hexdigest()[:24]
    there = in_use(folder)
    remove_unused(folder.parent)
    if there:
        return folder

    def as_tokens(row: dict[str, str]) -> dict[str, list[int]]:
        return tokenize(Pair.model_validate_json(row["pair"]), tokenizer, max_length)

    with replacing(folder) as (temporary,):
        for name, part in parts.items():
            if part:
                processes = min(cores(), len(part) // PAIRS_A_PROCESS)
                with ended_by_sigterm():
                    made = Dataset.from_dict(
                        {"pair": [pair.model_dump_json() for pair in part]}
                    ).map(
                        as_tokens,
                        remove_columns=["pair"],
                        num_proc=processes if processes > 1 else None,
                        new_fingerprint=f"{key.hexdigest()[:24]}-{name}",
                    )
                made.save_to_disk(str(temporary / name))
    return folder


def open_tokens(folder: Path) -> TokenizedPairs:
    """Returns the pairs that `make_tokens` wrote to `folder`."""
    from datasets import Dataset

    train, held_out = folder / TRAIN, folder / VALIDATION
    found = Dataset.load_from_disk(str(held_out)) if held_out.is_dir() else None
    return TokenizedPairs(Dataset.load_from_disk(str(train)), found)


def tokenize(pair: Pair, tokenizer: Any, max_length: int) -> dict[str, list[int]]:
    """Returns `prompt_ids`, `chosen_ids` and `rejected_ids`, as TRL would make them from a pair.

    A rejected answer that was cut off gets no end-of-turn: the model wrote none, and DPO would make
    an end-of-turn less likely.

    Raises:
        TrainingError: as `answer_tokens`, or the prompt plus an answer is longer than max_length.
    """
    what, first = f"pair {pair.id}", len(pair.prompt)
    prompt, chosen = answer_tokens(tokenizer, pair.prompt + pair.chosen, [first], what)
    _, rejected = answer_tokens(tokenizer, pair.prompt + pair.rejected, [first], what)
    if pair.rejected_cut:
        rejected = rejected[: len(rejected) - 1 - rejected[::-1].index(tokenizer.eos_token_id)]
    longest = len(prompt) + max(len(chosen), len(rejected))
    if longest > max_length:
        raise TrainingError(
            f"{what}: {longest} tokens, and dpo.max_length is {max_length}; raise it in conf/dpo/ or "
            "lower pairs.max_tokens: a pair is never cut"
        )
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}
