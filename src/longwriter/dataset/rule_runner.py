"""The rules on single rows, asked of many rows at once: in this process, or in one for each core."""

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from longwriter.core.errors import DataError
from longwriter.core.sources import parse_line
from longwriter.dataset.row import Row
from longwriter.dataset.rules import MALFORMED, chosen
from longwriter.dataset.settings import FilterSettings
from longwriter.dataset.tokenizer import ChatTokenizer
from longwriter.evaluation.contamination import read_benchmarks
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.minhash import Signature, fingerprint, signature
from longwriter.text.plan_tags import render_plan
from longwriter.text.similarity import Hashes, hashes, shingles, tokens

CHUNK_BYTES, CHUNK_ROWS = 500_000, 200
"""What a process is given at once."""


SMALL = 4 * CHUNK_BYTES
"""Bytes up to which no process is started: that takes longer than the rows."""


@dataclass(frozen=True)
class RuleJob:
    """What a process needs to judge rows of one source."""

    settings: FilterSettings
    contamination: ContaminationSettings
    rules: list[str]
    source: str
    """Of rows that do not say it."""
    benchmarks: list[Path]
    tokenizer: Path | None


@dataclass(frozen=True)
class RowVerdict:
    """A row and what the rules say of it. A malformed row has only where it stands, and why."""

    id: str
    reason: tuple[str, str] | None
    """(rule, detail) of the first rule that rejects it."""
    line: bytes
    """The row as JSON: its record where it is rejected, else what SFT reads."""
    record: bytes
    """The row as it was read; empty where it is malformed."""
    words: int
    tokens: int | None
    length: int | None
    language: str
    source: str
    type: str
    fingerprint: bytes = b""
    signatures: tuple[Signature, Signature] | None = None
    """MinHashes of prompt and response, where near duplicates are looked for."""


class RuleRunner:
    """Runs the rules that a job names."""

    def __init__(self, job: RuleJob) -> None:
        self._job = job
        self._benchmarks = read_benchmarks(job.benchmarks)
        self.rules = chosen(job.rules, self._contaminated)
        self._tokenizer = ChatTokenizer(job.tokenizer) if job.tokenizer else None

    def _contaminated(self, row: Row, settings: FilterSettings) -> str | None:
        """An instruction that asks for what a benchmark prompt asks for."""
        return self._benchmarks.find(row.prompt, self._job.contamination)

    def read(self, line: bytes, where: str) -> Row:
        """The row with its tokens counted.

        Raises:
            DataError: it is malformed.
        """
        row = Row.read(line, where, self._job.source)
        if self._job.settings.plan:
            row.plan = render_plan(row.record.get("plan") or [])
        if self._tokenizer:
            row.tokens = self._tokenizer.count(row.trained)
        return row

    def verdicts(self, row: Row) -> dict[str, str | None]:
        """What every rule says, not only the first that rejects."""
        return {name: rule(row, self._job.settings) for name, rule in self.rules.items()}

    def run(self, where: str, line: bytes) -> RowVerdict:
        """The row and the first rule that rejects it.

        Raises:
            DataError: the row is malformed, and the rule `malformed` is off.
        """
        try:
            row = self.read(line, where)
        except DataError as error:
            if MALFORMED not in self._job.rules:
                raise
            name = f"{Path(where.split(', row')[0]).name}{where[len(where.split(', row')[0]) :]}"
            kept = _readable(line)
            return RowVerdict(name, (MALFORMED, str(error)), kept, kept, 0, None, None, "", "", "")
        rules = self.rules.items()
        found = ((name, rule(row, self._job.settings)) for name, rule in rules)
        reason = next(((name, detail) for name, detail in found if detail), None)
        record = json.dumps(row.record, ensure_ascii=False).encode()
        training = json.dumps(row.training_row().model_dump(), ensure_ascii=False).encode()
        verdict = RowVerdict(
            row.id, reason, record if reason else training, record, row.words, row.tokens, row.length,
            row.language, row.source, row.type,
        )  # fmt: skip
        if reason:
            return verdict
        near = "near_duplicate" in self._job.rules
        signatures = tuple(map(signature, sets_of(row.prompt, row.response))) if near else None
        return RowVerdict(
            **vars(verdict) | {"fingerprint": fingerprint(row.response), "signatures": signatures}
        )


def sets_of(prompt: str, response: str) -> tuple[Hashes, Hashes]:
    """The sets of 3-word sequences that near duplicates share."""
    return shingles(hashes(tokens(prompt))), shingles(hashes(tokens(response)))


def _readable(line: bytes) -> bytes:
    """The record of a malformed line where it is an object of JSON, else nothing of it."""
    if len(line) > CHUNK_BYTES:
        return b"{}"
    try:
        value = parse_line(line, "")
    except DataError:
        return b"{}"
    return json.dumps(value, ensure_ascii=False).encode() if isinstance(value, dict) else b"{}"


Lines = list[tuple[str, bytes]]


_runner: RuleRunner | None = None


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
    """Every row judged, in the order of `lines`. Only a few chunks are in memory at a time.

    Args:
        processes: at most so many; few rows are judged in this one.
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
    # A fork of a process with threads, MLflow's among them, may stand still.
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


def stored(signatures: tuple[Signature, Signature] | None) -> bytes:
    """Both signatures as bytes."""
    return b"" if signatures is None else np.concatenate(signatures).tobytes()


def restored(data: bytes) -> tuple[Signature, Signature]:
    """The signatures that `stored` wrote."""
    both = np.frombuffer(data, dtype=np.uint32)
    return both[: len(both) // 2], both[len(both) // 2 :]
