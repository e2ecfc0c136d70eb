"""Tokenises rows and packs them: no row is cut, and every target is in exactly one pack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longwriter.core.errors import TrainingError
from longwriter.core.rows import PackedRow, TrainingRow
from longwriter.models.chat import chat_tokens_of
from longwriter.sft.settings import SftSettings, TooLong

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""Label of a token that is no target."""

ROWS_A_PACKING = 10_000
"""Rows that are packed together: more would fill packs no better and take memory."""


@dataclass(frozen=True)
class Packs:
    """What is trained on, and where each training row lies in it."""

    dataset: "Dataset"
    """One pack a row: `input_ids`, `labels` and `seq_lengths`, the tokens of each training row in it."""
    rows: list[PackedRow]
    """Training rows in the order of the packs; then those that were skipped."""
    tokens: int
    targets: int
    longest: int
    """Tokens of the longest row."""

    @property
    def skipped(self) -> int:
        return sum(row.pack is None for row in self.rows)


def tokenize(row: TrainingRow, tokenizer: Any) -> dict[str, list[int]]:
    """Renders a row with the chat template.

    Returns:
        `input_ids` of the whole chat, and `labels` of the same length: the ids of the last answer and
        its end-of-turn, IGNORED before.

    Raises:
        TrainingError: the chat template fails or renders the prompt alone differently; the row has
            no target, or its end-of-turn is none.
    """
    import jinja2

    try:
        found = chat_tokens_of(tokenizer, row.messages[:-1], row.messages[-1:])
    except jinja2.TemplateError as error:
        raise TrainingError(
            f"row {row.id}: the chat template of models/base fails: {error}; fix the file that "
            "student.chat_template_path names, or the row's roles"
        ) from None
    if found is None:
        raise TrainingError(
            f"row {row.id}: the chat template renders the prompt alone differently; name another "
            "file in student.chat_template_path"
        )
    prompt, answer = found
    if not answer:
        raise TrainingError(f"row {row.id}: has no target; the chat template drops its answer")
    if tokenizer.eos_token_id not in answer:
        raise TrainingError(
            f"row {row.id}: the chat template does not end its answer with {tokenizer.eos_token}, so "
            "the model would not learn to stop; name the token that it does end with in "
            "student.eos_token"
        )
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def pack(rows: Sequence[TrainingRow], tokenizer: Any, settings: SftSettings) -> Packs:
    """Tokenises `rows` and packs them, or without `settings.packing` makes each a pack of its own.

    Packing is best fit decreasing (TRL's `bfd`), which never splits a row that fits a pack.

    Raises:
        TrainingError: as `tokenize`; a row does not fit max_length, or none does.
    """
    fitting, skipped = [], []
    for row in rows:
        tokens = tokenize(row, tokenizer)
        if (length := len(tokens["input_ids"])) <= settings.max_length:
            fitting.append((row.id, tokens))
        elif settings.too_long is TooLong.skip:
            skipped.append(PackedRow(id=row.id, pack=None, position=None, tokens=length, epochs=0))
        else:
            raise TrainingError(
                f"row {row.id}: {length} tokens, and sft.max_length is {settings.max_length}; raise "
                "it in conf/sft/, ask for shorter texts, or set sft.too_long=skip: a row is never "
                "cut"
            )
    if not fitting:
        raise TrainingError(f"every row is longer than sft.max_length={settings.max_length} tokens")
    dataset, order = _packed([tokens for _, tokens in fitting], settings)
    names = [name for name, _ in fitting]
    targets = [sum(label != IGNORED for label in tokens["labels"]) for _, tokens in fitting]
    packs = Packs(
        dataset=dataset,
        rows=_places(names, dataset, order, settings.num_train_epochs) + skipped,
        tokens=sum(len(tokens["input_ids"]) for _, tokens in fitting),
        targets=sum(targets),
        longest=max(len(tokens["input_ids"]) for _, tokens in fitting),
    )
    _check(packs, order, [tokens for _, tokens in fitting])
    return packs


def _packed(rows: list[dict[str, list[int]]], settings: SftSettings) -> "tuple[Dataset, list[int]]":
    """Returns the packs, and the index of each row in the order in which the packs hold them."""
    from datasets import Dataset
    from trl import pack_dataset

    if not settings.packing:
        lengths = [[len(row["input_ids"])] for row in rows]
        return Dataset.from_list(rows).add_column("seq_lengths", lengths), list(range(len(rows)))
    # TRL reports the lengths of a pack's rows but not which rows they are: every token carries its own.
    marked = Dataset.from_list(
        [{**row, "row": [n] * len(row["input_ids"])} for n, row in enumerate(rows)]
    )
    packed = pack_dataset(
        marked, settings.max_length, "bfd", map_kwargs={"batch_size": ROWS_A_PACKING}
    )
    order = []
    for marks, lengths in zip(packed["row"], packed["seq_lengths"], strict=True):
        start = 0
        for length in lengths:
            order.append(marks[start])
            start += length
    return packed.remove_columns("row"), order


def _places(
    names: list[str], dataset: "Dataset", order: list[int], epochs: float
) -> list[PackedRow]:
    places, row = [], iter(order)
    for number, lengths in enumerate(dataset["seq_lengths"]):
        position = 0
        for length in lengths:
            places.append(
                PackedRow(
                    id=names[next(row)],
                    pack=number,
                    position=position,
                    tokens=length,
                    epochs=epochs,
                )
            )
            position += length
    return places


def _check(packs: Packs, order: list[int], rows: list[dict[str, list[int]]]) -> None:
    """Asserts that no row was lost, doubled or cut."""
    lengths = [length for lengths in packs.dataset["seq_lengths"] for length in lengths]
    truncated = sum(
        length != len(rows[index]["input_ids"])
        for length, index in zip(lengths, order, strict=True)
    )
    assert truncated == 0, f"{truncated} truncated rows"
    assert sorted(order) == list(range(len(rows))), "a row is not in exactly one pack"
    trained = sum(label != IGNORED for labels in packs.dataset["labels"] for label in labels)
    assert trained == packs.targets, f"{trained} targets in the packs, {packs.targets} in the rows"


def fill(dataset: "Dataset", multiple: int, filler: int) -> "Dataset":
    """Appends packs of two tokens without a target until len(dataset) is a multiple of `multiple`.

    With the packs of an optimiser step as `multiple`, every process gets the same number of packs
    (accelerate would repeat some and train their rows twice), every step has at least one real pack,
    and the order does not depend on the number of processes.

    Args:
        filler: id of the token that the added packs hold.
    """
    from datasets import Dataset, concatenate_datasets

    missing = -len(dataset) % multiple
    if not missing:
        return dataset
    empty = {"input_ids": [filler] * 2, "labels": [IGNORED] * 2, "seq_lengths": [2]}
    return concatenate_datasets(
        [dataset, Dataset.from_list([empty] * missing, features=dataset.features)]
    )
