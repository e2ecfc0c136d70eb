"""Runs the single-row rules over many rows, in this process or in several worker processes."""

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from longwriter.core.errors import DataError
from longwriter.core.sources import parse_line
from longwriter.dataset.duplicates import sets_of
from longwriter.dataset.relabel import relabel
from longwriter.dataset.row import Row, RowVerdict
from longwriter.dataset.rules import MALFORMED, check_strip, chosen, strip
from longwriter.dataset.settings import FilterSettings, Relabel
from longwriter.dataset.tokenizer import ChatTokenizer
from longwriter.evaluation.contamination import read_benchmarks
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.minhash import fingerprint, signature
from longwriter.text.plan_tags import render_plan

CHUNK_BYTES, CHUNK_ROWS = 500_000, 200
"""Size at which a chunk of rows is handed to a worker process."""
SMALL = 4 * CHUNK_BYTES
"""Bytes of input up to which no worker is started, as that takes longer than running the rules."""

TOO_LONG = {"too_long", "too_many_tokens"}
"""Rules that a beginning may pass where the whole text doesn't."""

Lines = list[tuple[str, bytes]]
"""(file and line, the line)"""


@dataclass(frozen=True)
class RuleJob:
    """What a worker process needs to run the rules on the rows of one source."""

    settings: FilterSettings
    contamination: ContaminationSettings
    rules: list[str]
    """Names of the rules, in the order in which they are applied."""
    strip: list[str]
    """Names of the rules that strip what they find instead of rejecting the row."""
    source: str
    """Source of rows that don't state their own."""
    benchmarks: list[Path]
    """Files of benchmark prompts, for the rule `contaminated`."""
    tokenizer: Path | None
    """Checkpoint whose tokenizer counts the tokens; None: they are not counted."""
    relabel: Relabel = Relabel.none


class RuleRunner:
    """Runs the rules that a job names."""

    def __init__(self, job: RuleJob) -> None:
        self._job = job
        check_strip(job.strip)
        self._benchmarks = read_benchmarks(job.benchmarks)
        self.rules = chosen(job.rules, self._contaminated)
        self._tokenizer = ChatTokenizer(job.tokenizer) if job.tokenizer else None

    def _contaminated(self, row: Row, settings: FilterSettings) -> str | None:
        """Rejects instructions that ask for the same text as a benchmark prompt."""
        return self._benchmarks.find(row.prompt, self._job.contamination)

    def read(self, line: bytes, where: str) -> Row:
        """Returns the parsed row, with its response stripped and its tokens counted.

        Raises:
            DataError: the row is malformed.
        """
        row = Row.read(line, where, self._job.source)
        strip(row, self._job.strip)
        if self._job.settings.plan:
            row.plan = render_plan(row.record.get("plan") or [])
        if self._tokenizer:
            row.tokens = self._tokenizer.count(row.trained)
        return row

    def verdicts(self, row: Row) -> dict[str, str | None]:
        """Returns the result of every rule, not only of the first that rejects the row."""
        return {name: rule(row, self._job.settings) for name, rule in self.rules.items()}

    def run(self, where: str, line: bytes) -> RowVerdict:
        """Returns the verdict on a row, with the first rule that rejects it.

        Args:
            where: file and line.

        Raises:
            DataError: the row is malformed, and the rule `malformed` is off.
        """
        try:
            row = self.read(line, where)
        except DataError as error:
            if MALFORMED not in self._job.rules:
                raise
            return _malformed(where, line, error)
        reason = self._reason(row)
        record = json.dumps(row.record, ensure_ascii=False).encode()
        rows = self._rows(row, reason)
        if reason and not rows:
            return RowVerdict(
                row.id, reason, record, record, row.words, row.language, tuple(row.stripped)
            )
        training = b"\n".join(map(_training, rows))
        compared = rows[0] if reason else row
        signatures = None
        if "near_duplicate" in self._job.rules:
            prompt, response = sets_of(compared.prompt, compared.hashes)
            signatures = signature(prompt), signature(response)
        return RowVerdict(
            row.id, None, training, record, row.words, row.language, tuple(row.stripped), row.merit,
            fingerprint(compared.response), signatures,
        )  # fmt: skip

    def _reason(self, row: Row) -> tuple[str, str] | None:
        found = ((name, rule(row, self._job.settings)) for name, rule in self.rules.items())
        return next(((name, detail) for name, detail in found if detail), None)

    def _rows(self, row: Row, reason: tuple[str, str] | None) -> list[Row]:
        """Returns what to train on: the row, then those of its beginnings that pass, longest first.

        Of a row that is rejected for being too long and for nothing else, only the beginnings.
        """
        if reason and reason[0] not in TOO_LONG:
            return []
        whole, *beginnings = map(self._counted, relabel(row, self._job.relabel))
        passing = [each for each in reversed(beginnings) if not self._reason(each)]
        if reason is None:
            return [whole, *passing]
        failed = {name for name, detail in self.verdicts(row).items() if detail}
        return passing if failed <= TOO_LONG else []

    def _counted(self, row: Row) -> Row:
        if self._tokenizer and row.tokens is None:
            row.tokens = self._tokenizer.count(row.trained)
        return row


def _training(row: Row) -> bytes:
    return json.dumps(row.training_row().model_dump(), ensure_ascii=False).encode()


def _malformed(where: str, line: bytes, error: DataError) -> RowVerdict:
    file, comma, number = where.partition(", row")
    name, record = f"{Path(file).name}{comma}{number}", _readable(line)
    return RowVerdict(name, (MALFORMED, str(error)), record, record, words=0, language="")


def _readable(line: bytes) -> bytes:
    """Returns a malformed line's record if it is a JSON object and not too long, else `{}`."""
    if len(line) > CHUNK_BYTES:
        return b"{}"
    try:
        value = parse_line(line, "")
    except DataError:
        return b"{}"
    return json.dumps(value, ensure_ascii=False).encode() if isinstance(value, dict) else b"{}"


_runner: RuleRunner | None = None
"""The runner of a worker process."""


def _start(job: RuleJob) -> None:
    global _runner
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _runner = RuleRunner(job)


def _work(lines: Lines) -> list[RowVerdict]:
    assert _runner is not None
    return [_runner.run(where, line) for where, line in lines]


def run_rules(
    lines: Iterator[tuple[str, bytes]], job: RuleJob, processes: int
) -> Iterator[RowVerdict]:
    """Yields the verdict on every row, in the order of `lines`.

    Only a few chunks per worker are in memory at a time.

    Args:
        processes: most worker processes to start; none is started for few rows.
    """
    chunks = _chunks(lines)
    first: list[Lines] = []
    size = 0
    for chunk in chunks:
        first.append(chunk)
        size += sum(len(line) for _, line in chunk)
        if size > SMALL:
            break
    chunks = chain(first, chunks)
    if processes == 1 or size <= SMALL:
        runner = RuleRunner(job)
        for chunk in chunks:
            yield from (runner.run(where, line) for where, line in chunk)
        return
    # Forking a process that has threads, such as MLflow's, may deadlock.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(processes, context, _start, (job,)) as pool:
        waiting: deque[Future[list[RowVerdict]]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_work, chunk))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chunks(lines: Iterator[tuple[str, bytes]]) -> Iterator[Lines]:
    chunk: Lines = []
    size = 0
    for where, line in lines:
        chunk.append((where, line))
        size += len(line)
        if size >= CHUNK_BYTES or len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
