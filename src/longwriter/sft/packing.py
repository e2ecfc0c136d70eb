"""Tokenises training rows and packs them. No row is cut; each that fits is in exactly one pack.

The stage tokenises the rows once, on all cores, into an Arrow file; a pack is a list of row
numbers. Each training process memory-maps the file and joins rows when it reads them, so its memory
doesn't grow with the number of rows. Rows that were tokenised before are reused (`make_packs`).
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
"""Label of a token that is not a target."""

ROWS, PACKS = "rows", "packs.json"
"""Names in a packs folder: the Arrow data set of rows, and the packs as lists of row numbers."""

ROWS_A_PROCESS = 2000
"""Minimum rows per process when several processes tokenise."""


class TokenizedRow(NamedTuple):
    """A row as the student's tokens."""

    input_ids: list[int]
    targets: list[int]
    """Where targets begin and end: [begin, end, begin, end, …]."""

    @property
    def labels(self) -> list[int]:
        """Token ids where there is a target, IGNORED elsewhere."""
        return labels(self.input_ids, self.targets)


def labels(input_ids: Sequence[int], targets: Sequence[int]) -> list[int]:
    """Returns token ids where there is a target, IGNORED elsewhere; see `TokenizedRow`."""
    found = [IGNORED] * len(input_ids)
    for begin, end in zip(targets[::2], targets[1::2], strict=True):
        found[begin:end] = input_ids[begin:end]
    return found


def tokenize(row: TrainingRow, tokenizer: Any, targets: Targets) -> TokenizedRow:
    """Renders a row with the chat template and tokenises it.

    Returns:
        The whole chat. Targets are the assistant's answers, or only the last one, each with its
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
    """The packs to train on, and the training rows they are made of."""

    key: str
    """A hash of everything that they were made from."""
    rows: "Dataset"
    """Every training row in file order, including skipped ones: `id`, `input_ids`, `targets` (as in
    `TokenizedRow`)."""
    packs: list[list[int]]
    """Row numbers of each pack."""
    lengths: list[int]
    """Tokens of each row."""
    targets: int
    """Number of targets of all rows in packs."""

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
        """Yields the rows in pack order, then the skipped ones."""
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
        """Returns a data set with one pack per row, whose training rows are joined on access.

        Its columns are `input_ids`, `labels` and `seq_lengths`, the number of tokens of each
        training row in the pack.

        Filler packs of two tokens without a target make its length a multiple of `multiple`. If
        that is the number of packs in an optimiser step, every process gets the same number of
        packs (otherwise accelerate would repeat some and train on their rows twice), every step has
        at least one real pack, and the order does not depend on the number of processes.

        Args:
            filler: id of the token that filler packs consist of.
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
    """Packs rows by best-fit decreasing.

    Longest first, each row goes into the fullest pack that has room for it, or else into a new one.

    Args:
        lengths: tokens of every row.
        rows: numbers of the rows to pack, none longer than `size`.
        size: maximum tokens per pack.
    """
    packs: list[list[int]] = []
    with_room: dict[int, list[int]] = {}
    """Tokens left → packs that have exactly this much room."""
    rooms: list[int] = []
    """The keys of `with_room`, sorted; at most `size` of them."""
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
    """Tokenises and packs the rows of a JSON Lines file.

    Without `sft.packing`, each row becomes a pack of its own. Packs of the same file, tokenizer and
    settings are made only once.

    Args:
        base: checkpoint whose tokenizer and chat template are used.
        cache: cache folder of the workspace.

    Returns:
        A folder for `open_packs`.

    Raises:
        DataError: the file is missing or has no rows.
        TrainingError: `base` is not a folder, a row is bad (as in `tokenize`), a row exceeds
            max_length and may not be skipped, or all rows do.
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
    """Returns a hash of everything that determines the packs."""
    if not data.is_file():
        raise DataError(f"{data}: cannot be read (No such file or directory)")
    chosen = (sft.targets.value, sft.max_length, sft.packing, sft.too_long.value)
    shape = json.dumps([digest(data), tokenizer_digest(base), digest(Path(__file__)), *chosen])
    return hashlib.sha256(shape.encode()).hexdigest()[:24]


def _fitting(names: list[str], lengths: list[int], sft: SftSettings) -> list[int]:
    """Returns the numbers of the rows that fit max_length."""
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
    """Writes the tokens of every row, in order, to `folder`/ROWS and returns them memory-mapped."""
    from datasets import Dataset, Features, List, Value

    quiet_unless_terminal()
    number = sum(1 for _ in stream_lines(data))
    if not number:
        raise DataError(f"{data}: has no rows; expected one JSON object per line")
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
                "parts": list(pairwise(edges)),  # divided among the processes
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
    """Yields the rows of some parts of the file as tokens, up to the first bad row.

    For the bad row it yields the error message; a raised exception would lose it on its way between
    processes.
    """
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
