"""Training rows as tokens, and packs of rows: no row is cut, and every target is in exactly one pack.

The stage tokenises the rows once, in every core, into an Arrow file; a pack is a list of row numbers.
Each process that trains opens the file by memory map and joins rows as it comes to them, so its memory
doesn't grow with the number of rows. The same rows are not tokenised again: `open_packs`.
"""

import hashlib
import json
import shutil
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longwriter.core.errors import DataError, LongwriterError, TrainingError
from longwriter.core.files import digest, in_use, remove_unused, replacing, write_json
from longwriter.core.process import ended_by_sigterm
from longwriter.core.rows import PackedRow, TrainingRow
from longwriter.core.sources import checked, parse_line, stream_lines
from longwriter.core.workspace import cores
from longwriter.models.chat import answer_tokens, tokenizer_digest
from longwriter.models.checkpoint import load_tokenizer, quiet_unless_terminal
from longwriter.models.settings import StudentSettings
from longwriter.sft.settings import SftSettings, Targets, TooLong

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100
"""Label of a token that is no target."""

ROWS, PACKS = "rows", "packs.json"
"""Names in the folder of packs: an Arrow data set, and the lists of its row numbers."""

ROWS_A_PROCESS = 2000
"""Rows that are worth a process of their own to tokenise."""


class TokenizedRow(NamedTuple):
    """A row as the student's tokens."""

    input_ids: list[int]
    targets: list[int]
    """Where targets begin and end: [begin, end, begin, end, …]."""

    @property
    def labels(self) -> list[int]:
        """The ids of targets, IGNORED elsewhere."""
        return labels(self.input_ids, self.targets)


def labels(input_ids: Sequence[int], targets: Sequence[int]) -> list[int]:
    """Returns the ids of targets, IGNORED elsewhere; arguments as `TokenizedRow`'s."""
    found = [IGNORED] * len(input_ids)
    for begin, end in zip(targets[::2], targets[1::2], strict=True):
        found[begin:end] = input_ids[begin:end]
    return found


def tokenize(row: TrainingRow, tokenizer: Any, targets: Targets) -> TokenizedRow:
    """Renders a row with the chat template.

    Returns:
        The whole chat. Targets are the assistant's answers, or the last of them, each with its
        end-of-turn.

    Raises:
        TrainingError: as `answer_tokens`.
    """
    turns = [n for n, message in enumerate(row.messages) if message.role == "assistant" and n]
    if targets is Targets.last:
        turns = turns[-1:]
    parts = answer_tokens(tokenizer, row.messages, turns, f"row {row.id}")
    ends = [0, *accumulate(map(len, parts))]
    return TokenizedRow([token for part in parts for token in part], ends[1:])


@dataclass(frozen=True)
class Packs:
    """What is trained on, and where each training row lies in it."""

    key: str
    """A hash of everything that they were made from."""
    rows: "Dataset"
    """Every training row in the order of its file, those that are skipped included: `id`, `input_ids`,
    `targets` (as in `TokenizedRow`)."""
    packs: list[list[int]]
    """Numbers of the rows in each pack."""
    lengths: list[int]
    """Tokens of each row."""
    targets: int
    """Of all rows in packs."""

    @property
    def skipped(self) -> int:
        return len(self.lengths) - sum(map(len, self.packs))

    @property
    def tokens(self) -> int:
        return sum(self.lengths[row] for pack in self.packs for row in pack)

    @property
    def longest(self) -> int:
        """Tokens of the longest row in a pack."""
        return max(self.lengths[row] for pack in self.packs for row in pack)

    def places(self, epochs: float) -> Iterator[PackedRow]:
        """Yields the rows in the order of the packs; then those that were skipped."""
        names, packed = self.rows["id"], set[int]()
        for number, pack in enumerate(self.packs):
            position = 0
            for row in pack:
                tokens = self.lengths[row]
                yield PackedRow(
                    id=names[row], pack=number, position=position, tokens=tokens, epochs=epochs
                )
                position += tokens
            packed.update(pack)
        for row, tokens in enumerate(self.lengths):
            if row not in packed:
                yield PackedRow(id=names[row], pack=None, position=None, tokens=tokens, epochs=0)

    def dataset(self, multiple: int, filler: int) -> "Dataset":
        """Returns one pack a row, joined when it is read: `input_ids`, `labels` and `seq_lengths`, the
        tokens of each training row in it.

        Packs of two tokens without a target make its length a multiple of `multiple`. With the packs
        of an optimiser step as `multiple`, every process gets the same number of packs (accelerate
        would repeat some and train their rows twice), every step has at least one real pack, and the
        order does not depend on the number of processes.

        Args:
            filler: id of the token that the added packs hold.
        """
        from datasets import Dataset

        filled = self.packs + [[]] * (-len(self.packs) % multiple)
        empty = {"input_ids": [filler] * 2, "labels": [IGNORED] * 2, "seq_lengths": [2]}

        def join(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
            joined = [self._joined(pack) if pack else empty for pack in batch["rows"]]
            return {key: [pack[key] for pack in joined] for key in empty}

        return Dataset.from_dict({"rows": filled}).with_transform(join)

    def _joined(self, pack: list[int]) -> dict[str, list[int]]:
        ids: list[int] = []
        marks: list[int] = []
        for row in pack:
            found = self.rows[row]
            marks += labels(found["input_ids"], found["targets"])
            ids += found["input_ids"]
        return {"input_ids": ids, "labels": marks, "seq_lengths": [self.lengths[r] for r in pack]}


def best_fit(lengths: Sequence[int], rows: Sequence[int], size: int) -> list[list[int]]:
    """Packs rows by best fit decreasing: each of them, the longest first, goes into the fullest pack that
    has room for it, or else into a new one.

    Args:
        lengths: of every row.
        rows: numbers of those to pack, none longer than `size`.
    """
    packs: list[list[int]] = []
    with_room: dict[int, list[int]] = {}
    """Room → packs that have so much left."""
    rooms: list[int] = []
    """Its keys, sorted: at most `size`."""
    for row in sorted(rows, key=lambda row: -lengths[row]):
        place = bisect_left(rooms, lengths[row])
        if place == len(rooms):
            room, pack = size, len(packs)
            packs.append([])
        else:
            room = rooms[place]
            pack = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[place]
        packs[pack].append(row)
        if left := room - lengths[row]:
            if left not in with_room:
                insort(rooms, left)
            with_room.setdefault(left, []).append(pack)
    return packs


def make_packs(
    data: Path, base: Path, sft: SftSettings, student: StudentSettings, cache: Path
) -> Path:
    """Tokenises the rows of a JSON Lines file and packs them, or without `sft.packing` makes each a pack of
    its own; done once for the same file, tokenizer and settings.

    Args:
        base: checkpoint whose tokenizer and chat template are used.
        cache: the workspace's.

    Returns:
        A folder for `open_packs`.

    Raises:
        DataError: the file is missing or holds no row.
        TrainingError: a row is bad, as `tokenize`, or does not fit max_length, or none does.
    """
    if not base.is_dir():
        raise TrainingError(f"{base}: no such checkpoint; `dvc repro base` writes it")
    folder = cache / "packs" / _key(data, base, sft)
    there = in_use(folder)
    remove_unused(folder.parent)
    if there:
        return folder
    with replacing(folder) as (temporary,):
        rows = _tokenized(data, base, sft.targets, student, temporary)
        lengths = rows["length"][:]
        fitting = _fitting(rows["id"][:], lengths, sft)
        packs = (
            best_fit(lengths, fitting, sft.max_length) if sft.packing else [[r] for r in fitting]
        )
        assert sorted(row for pack in packs for row in pack) == fitting, "a row is not in one pack"
        trained = rows["trained"][:]
        written = {
            "packs": packs,
            "lengths": lengths,
            "targets": sum(trained[row] for row in fitting),
        }
        write_json(temporary / PACKS, written)
    return folder


def open_packs(folder: Path) -> Packs:
    """Returns the packs that `make_packs` wrote to `folder`."""
    from datasets import Dataset

    rows = Dataset.load_from_disk(str(folder / ROWS))
    return Packs(key=folder.name, rows=rows, **json.loads((folder / PACKS).read_bytes()))


def _key(data: Path, base: Path, sft: SftSettings) -> str:
    """A hash of everything that changes the packs."""
    if not data.is_file():
        raise DataError(f"{data}: cannot be read (No such file or directory)")
    chosen = (sft.targets.value, sft.max_length, sft.packing, sft.too_long.value)
    shape = json.dumps([digest(data), tokenizer_digest(base), digest(Path(__file__)), *chosen])
    return hashlib.sha256(shape.encode()).hexdigest()[:24]


def _fitting(names: list[str], lengths: list[int], sft: SftSettings) -> list[int]:
    """The rows that fit max_length."""
    fitting = [row for row, length in enumerate(lengths) if length <= sft.max_length]
    if len(fitting) < len(lengths) and sft.too_long is TooLong.error:
        row = next(row for row, length in enumerate(lengths) if length > sft.max_length)
        raise TrainingError(
            f"row {names[row]}: {lengths[row]} tokens, and sft.max_length is {sft.max_length}; raise "
            "it in conf/sft/, ask for shorter texts, or set sft.too_long=skip: a row is never cut"
        )
    if not fitting:
        raise TrainingError(f"every row is longer than sft.max_length={sft.max_length} tokens")
    return fitting


def _tokenized(
    data: Path, base: Path, targets: Targets, student: StudentSettings, folder: Path
) -> "Dataset":
    """Writes the tokens of every row to `folder`/ROWS, in order; returns them by memory map."""
    from datasets import Dataset, Features, List, Value

    quiet_unless_terminal()
    number = sum(1 for _ in stream_lines(data))
    if not number:
        raise DataError(f"{data}: holds no row; one JSON object a line is needed")
    processes = max(1, min(cores(), number // ROWS_A_PROCESS))
    edges = [number * part // processes for part in range(processes + 1)]
    numbers, size = List(Value("int32")), Value("int32")
    with ended_by_sigterm():
        made = Dataset.from_generator(
            _token_rows,
            features=Features(
                {
                    "id": Value("string"),
                    "input_ids": numbers,
                    "targets": numbers,
                    "length": size,
                    "trained": size,
                    "error": Value("string"),
                }
            ),
            gen_kwargs={
                "parts": list(pairwise(edges)),  # a process gets some of them
                "data": data,
                "base": base,
                "targets": targets,
                "student": student,
            },
            num_proc=processes if processes > 1 else None,
            cache_dir=str(folder / "parts"),
        )
    if errors := [error for error in made["error"][:] if error]:
        raise TrainingError(errors[0])
    made.remove_columns("error").save_to_disk(str(folder / ROWS))
    shutil.rmtree(folder / "parts")
    return Dataset.load_from_disk(str(folder / ROWS))


def _token_rows(
    parts: Sequence[tuple[int, int]],
    data: Path,
    base: Path,
    targets: Targets,
    student: StudentSettings,
) -> Iterator[dict[str, Any]]:
    """Yields the rows of some parts of the file as tokens, up to the first bad one, which holds the error:
    one that is raised loses its message on its way between processes."""
    try:
        tokenizer = load_tokenizer(base, student)
        for start, end in parts:
            for number, line in islice(stream_lines(data), start, end):
                where = f"{data}:{number}"
                row = checked(parse_line(line, where), TrainingRow, where)
                found = tokenize(row, tokenizer, targets)
                yield {
                    "id": row.id,
                    "input_ids": found.input_ids,
                    "targets": found.targets,
                    "length": len(found.input_ids),
                    "trained": sum(found.targets[1::2]) - sum(found.targets[::2]),
                    "error": "",
                }
    except LongwriterError as error:
        nothing = {"id": "", "input_ids": [], "targets": [], "length": 0, "trained": 0}
        yield nothing | {"error": str(error)}
