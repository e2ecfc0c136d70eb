"""Writes drafts in several processes (`agentwrite.shards`).

At some hundreds of calls per second, the CPU core of a single client is the bottleneck.
"""

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from longwriter.agentwrite.prompts import Prompts
from longwriter.agentwrite.selection import Selection, select
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.agentwrite.writer import Kept, Outcome, Traces, write_drafts, write_each
from longwriter.core.errors import ServerError, SettingsError
from longwriter.core.process import end_with_parent
from longwriter.core.progress import progress
from longwriter.core.rows import Draft, Failure, Instruction, check_ids
from longwriter.core.spool import Spool
from longwriter.llm.client import ChatClient
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerKind, ServerSettings

_LOOK_S = 1.0
"""Seconds between checks of the processes' progress."""

Spent = dict[str, float]


@dataclass(frozen=True)
class _Shard:
    """The work of one process."""

    asked: Path
    """JSON Lines of an instruction's number and the instruction."""
    written: Path
    """JSON Lines of instruction number, whether it became a draft, and the draft or failure."""
    settings: AgentWriteSettings
    prompts: Prompts
    teacher: ServerSettings
    calls: CallContext


def select_and_write(
    sifted: Selection,
    settings: AgentWriteSettings,
    prompts: Prompts,
    teacher: ServerSettings,
    calls: CallContext,
    traces: Traces | None = None,
) -> tuple[Selection, Outcome, Spent]:
    """Selects instructions from `sifted` and writes a draft for each.

    With one shard, this process writes the drafts; else `settings.shards` other processes do.

    Args:
        traces: records the calls of the first drafts, if this process writes them.

    Returns:
        The selection, the outcome, whose failures include those of the selection, and the calls,
        tokens and cost of both.

    Raises:
        SettingsError: there are several shards, and the teacher is no endpoint. Others as `select`
            and `write_drafts`.
    """
    alone = settings.shards == 1

    async def work(client: ChatClient) -> tuple[Selection, Outcome | None]:
        selection = await select(client, sifted, settings, prompts)
        if not alone:
            return selection, None
        return selection, await write_drafts(
            client, selection.instructions, settings, prompts, traces
        )

    if not alone and teacher.kind is not ServerKind.endpoint:
        raise SettingsError(
            f"agentwrite.shards={settings.shards}: several processes need a teacher that is "
            "already running; set teacher.kind=endpoint"
        )
    (selection, outcome), spent = with_client(work, teacher, calls, name="teacher")
    if outcome is None:
        outcome, more = write_in_shards(selection.instructions, settings, prompts, teacher, calls)
        spent = _sum([spent, more])
    return selection, Outcome(outcome.drafts, selection.failures + outcome.failures), spent


def write_in_shards(
    instructions: Sequence[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
    teacher: ServerSettings,
    calls: CallContext,
) -> tuple[Outcome, Spent]:
    """Writes drafts as `write_drafts` does, but in `settings.shards` processes.

    Each process gets an equal part of the calls in flight, of the limits per minute and of
    `max_cost`. A hash of an instruction's id decides which process writes its text.

    Returns:
        The outcome, and its calls, tokens and cost as in `ChatClient.spent`.

    Raises:
        ServerError: a process was killed; finished calls are kept. Others as `write_drafts`.
    """
    check_ids(instructions)
    with tempfile.TemporaryDirectory(dir=calls.cache, prefix="shards-") as name:
        shards = _shards(instructions, settings, prompts, teacher, calls, Path(name))
        # Not fork, which may deadlock because of MLflow's threads.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(len(shards), context, _start) as pool:
            running = [pool.submit(_write, shard) for shard in shards]
            try:
                _watch(running, shards, len(instructions))
                spent = [future.result() for future in running]
            except BrokenProcessPool:
                raise ServerError(
                    "a worker process (agentwrite.shards) was killed; finished calls are kept, so "
                    "rerun the same command to continue"
                ) from None
        return _gathered(shards, calls.cache), _sum(spent)


def _shards(
    instructions: Sequence[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
    teacher: ServerSettings,
    calls: CallContext,
    folder: Path,
) -> list[_Shard]:
    """Returns the shards that have something to write, each with its instructions in a file."""
    number = settings.shards
    part = replace(
        teacher,
        concurrency=max(1, teacher.concurrency // number),
        requests_per_minute=_part(teacher.requests_per_minute, number),
        tokens_per_minute=_part(teacher.tokens_per_minute, number),
    )
    files = [
        (folder / f"asked-{shard}.jsonl").open("w", encoding="utf-8") for shard in range(number)
    ]
    for place, instruction in enumerate(instructions):
        digest = hashlib.sha256(instruction.id.encode("utf-8", "surrogatepass")).digest()
        line = json.dumps([place, instruction.model_dump()], ensure_ascii=False)
        files[int.from_bytes(digest[:8]) % number].write(line + "\n")
    for file in files:
        file.close()
    spending = calls.spending
    return [
        _Shard(
            Path(file.name),
            folder / f"written-{shard}.jsonl",
            settings,
            prompts,
            part,
            replace(
                calls,
                spending=replace(
                    spending,
                    scope=f"{spending.scope} {shard} of {number}",
                    max_cost=_part(spending.max_cost, number),
                ),
            ),
        )
        for shard, file in enumerate(files)
        if Path(file.name).stat().st_size
    ]


def _part(limit: float | None, number: int) -> float | None:
    return None if limit is None else limit / number


def _start() -> None:
    """Initialises a process of the pool, which ends with its parent and draws no progress bar."""
    end_with_parent()
    os.environ["TQDM_DISABLE"] = "1"


def _write(shard: _Shard) -> Spent:
    """Writes the drafts of a shard in a process of the pool; returns its calls, tokens and cost."""
    numbers: list[int] = []
    instructions = Spool(Instruction, shard.asked.parent)
    for number, row in _lines(shard.asked):
        numbers.append(number)
        instructions.add(number, Instruction.model_validate(row))
    results = _Appended(shard.written, numbers)
    try:
        _, spent = with_client(
            lambda client: write_each(client, instructions, shard.settings, shard.prompts, results),
            shard.teacher,
            shard.calls,
            name="teacher",
        )
        return spent
    finally:
        results.close()


class _Appended:
    """Results of a shard, appended to its file."""

    def __init__(self, path: Path, numbers: Sequence[int]) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._numbers = numbers

    def add(self, number: int, result: Draft | Failure) -> None:
        row = [self._numbers[number], type(result) is Draft, result.model_dump()]
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _watch(running: Sequence[Future[Spent]], shards: Sequence[_Shard], total: int) -> None:
    """Shows how many texts are done; returns when all processes have ended or one has failed."""
    places = [0] * len(shards)
    with progress(f"drafts, {len(shards)} processes", total=total) as bar:
        left = set(running)
        while left:
            done, left = wait(left, _LOOK_S, FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                return
            for shard, path in enumerate(each.written for each in shards):
                if path.exists():
                    with path.open("rb") as file:
                        file.seek(places[shard])
                        new = file.read()
                    places[shard] += len(new)
                    bar.update(new.count(b"\n"))


def _gathered(shards: Sequence[_Shard], folder: Path) -> Outcome:
    results = Kept(folder)
    for shard in shards:
        for number, whole, row in _lines(shard.written):
            results.add(number, (Draft if whole else Failure).model_validate(row))
    return results.outcome()


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def _sum(spent: Sequence[Spent]) -> dict[str, float]:
    whole: Counter[str] = Counter()
    for each in spent:
        whole.update(each)
    share = whole["cached_prompt_tokens"] / max(whole["prompt_tokens"], 1)
    return {**whole, "cached_share": round(share, 4), "cost_usd": round(whole["cost_usd"], 6)}
