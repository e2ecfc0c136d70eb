"""Which instructions are used: those that pass every rule, that the teacher says need the length, and
as many of each language as are wanted."""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from longwriter.agentwrite.instruction_rules import RULES
from longwriter.agentwrite.prompts import Prompts, Wording, question_messages
from longwriter.agentwrite.settings import AgentWriteSettings, SelectSettings
from longwriter.core.errors import BadCompletion, CallError, DataError, OverBudget
from longwriter.core.rows import Failure, Instruction, Usage, check_ids
from longwriter.llm.client import ChatClient, Completion, json_object
from longwriter.llm.fanout import all_at_once
from longwriter.llm.sampling import first_usable

Verdict = Instruction | Failure | None
"""Of the teacher on an instruction; None: a shorter text would do."""


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"needs_more": {"type": "boolean"}, "length": {"type": ["integer", "null"]}},
    "required": ["needs_more", "length"],
    "additionalProperties": False,
}


ANSWER_TOKENS = 100
"""Enough for the two fields, with white space."""


async def ask(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    min_words: int,
    wording: Wording,
) -> Verdict:
    """The instruction if the teacher says that it needs more than `min_words` words, with the length
    that it asks for where it stated none; None if a shorter text would do; else a failure.

    Raises:
        OverBudget: the money does not suffice to ask.
        ServerError: every call would fail.
    """
    usage = Usage()
    try:
        needs_more, length = await _answer(client, instruction, settings, min_words, wording, usage)
    except OverBudget:  # nothing could be written either
        raise
    except CallError as error:
        return Failure(
            id=instruction.id,
            prompt=instruction.prompt,
            step="select",
            error=type(error).__name__,
            detail=str(error),
            attempts=usage.calls,
        )
    if not needs_more:
        return None
    if instruction.length is None and length is not None and length >= min_words:
        return instruction.model_copy(update={"length": length})
    return instruction


async def _answer(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    min_words: int,
    wording: Wording,
    usage: Usage,
) -> tuple[bool, int | None]:
    messages = question_messages(instruction, min_words, wording)

    async def ask(sample: int) -> Completion:
        return await client.complete(
            messages,
            max_tokens=min(ANSWER_TOKENS, client.settings.max_tokens),
            schema=SCHEMA,
            sample=sample,
            usage=usage,
        )

    return await first_usable(ask, read_answer, settings.attempts, "answer")


def read_answer(completion: Completion) -> tuple[bool, int | None]:
    """Whether more words are needed, and the length asked for. Nothing is ever guessed.

    Raises:
        BadCompletion: the answer is cut off, no JSON object, or a field is missing or of another
            type.
    """
    answer = json_object(completion.text)
    if completion.finish_reason == "length" or answer is None:
        raise BadCompletion(f"not one JSON object: {completion.text[:80]!r}")
    needs_more, length = answer.get("needs_more"), answer.get("length", "missing")
    if not isinstance(needs_more, bool):
        raise BadCompletion(f"needs_more is {needs_more!r:.80}, neither true nor false")
    if length is not None and (type(length) is not int or length < 1):  # True is an int, too
        raise BadCompletion(f"length is {length!r:.80}, neither a positive integer nor null")
    return needs_more, length


Removed = dict[str, Counter[str]]
"""Rule → language → instructions."""


REASONS = (*RULES, "duplicate", "failed", "short_enough", "per_language", "limit")
"""All that removes an instruction, in the order it is asked."""


@dataclass(frozen=True)
class Selection:
    """What is used, in the order of the source. `read` = removed + instructions."""

    instructions: list[Instruction]
    failures: list[Failure]
    """Those that no answer was had about; `removed` counts them as failed."""
    read: int
    removed: Removed

    def describe(self) -> dict[str, Any]:
        """Counts for metrics/agentwrite.json."""
        return {
            "read": self.read,
            "removed": {
                reason: dict(sorted(self.removed[reason].items()))
                for reason in REASONS
                if reason in self.removed
            },
            "selected": dict(sorted(Counter(row.language for row in self.instructions).items())),
        }


def sift(rows: Iterable[Instruction], settings: SelectSettings) -> Selection:
    """What passes every rule and is no duplicate: the same prompt but for case and white space.

    Rows are read one by one; only what passes stays in memory.

    Raises:
        DataError: nothing passes, or two that pass share an id.
    """
    kept: list[Instruction] = []
    removed: Removed = defaultdict(Counter)
    seen: set[bytes] = set()
    read = 0
    for row in tqdm(rows, desc="instructions", unit="", disable=None):
        read += 1
        reason = next((name for name, rule in RULES.items() if rule(row, settings)), None)
        if reason is None:
            fingerprint = _fingerprint(row)
            reason = "duplicate" if fingerprint in seen else None
            seen.add(fingerprint)
        if reason is None:
            kept.append(row)
        else:
            removed[reason][row.language] += 1
    check_ids(kept)
    return _not_empty(Selection(kept, [], read, removed))


def _fingerprint(row: Instruction) -> bytes:
    """Digest of the prompt without case, with one space for all white space."""
    return hashlib.sha256(" ".join(row.prompt.casefold().split()).encode()).digest()


def _not_empty(selection: Selection) -> Selection:
    if not selection.instructions and not selection.failures:
        counts = selection.describe()["removed"]
        raise DataError(
            f"none of {selection.read} instructions is selected; removed by: {counts}; mend "
            "agentwrite.select or agentwrite.instructions"
        )
    return selection


async def select(
    client: ChatClient, sifted: Selection, settings: AgentWriteSettings, prompts: Prompts
) -> Selection:
    """`select_unasked`, with the teacher's word on each instruction where `screen_with_teacher` is set.

    Raises:
        DataError: nothing is selected.
        OverBudget: the money does not suffice to ask on; finished calls are kept.
        ServerError: every call would fail; finished calls are kept.
    """
    min_words = settings.select.screen_with_teacher
    if min_words is None:
        return select_unasked(sifted, settings)
    verdicts = {
        language: await _ask_for_enough(client, queue, settings, min_words, prompts)
        for language, queue in _shuffled(sifted, settings.seed).items()
    }
    return _choose(sifted, verdicts, settings)


def select_unasked(sifted: Selection, settings: AgentWriteSettings) -> Selection:
    """`per_language` of each language at random, of which the first `limit` are used."""
    return _choose(sifted, _shuffled(sifted, settings.seed), settings)


def _shuffled(sifted: Selection, seed: int) -> dict[str, list[Instruction]]:
    """The instructions of each language in random order, whatever there is of other languages."""
    queues: dict[str, list[Instruction]] = defaultdict(list)
    for row in sifted.instructions:
        queues[row.language].append(row)
    for language, queue in queues.items():
        random.Random(f"{seed} {language}").shuffle(queue)  # noqa: S311
    return queues


def _choose(
    sifted: Selection, verdicts: Mapping[str, Sequence[Verdict]], settings: AgentWriteSettings
) -> Selection:
    """Goes through each language's verdicts until its number is reached, so that it makes no
    difference how many more were asked for at the same time."""
    kept: list[Instruction] = []
    failures: list[Failure] = []
    removed: Removed = defaultdict(Counter, {k: v.copy() for k, v in sifted.removed.items()})
    left = Counter[str](row.language for row in sifted.instructions)
    for language, judged in verdicts.items():
        number = 0
        for verdict in judged:
            if number == settings.select.per_language:
                break
            left[language] -= 1
            match verdict:
                case Instruction():
                    kept.append(verdict)
                    number += 1
                case Failure():
                    failures.append(verdict)
                    removed["failed"][language] += 1
                case None:
                    removed["short_enough"][language] += 1
        if left[language]:
            removed["per_language"][language] = left[language]
    place = {row.id: number for number, row in enumerate(sifted.instructions)}
    kept.sort(key=lambda row: place[row.id])
    failures.sort(key=lambda row: place[row.id])
    used = kept[: settings.limit]
    if over := kept[len(used) :]:
        removed["limit"] = Counter(row.language for row in over)
    return _not_empty(Selection(used, failures, sifted.read, removed))


FEWEST, MOST = 8, 10_000
"""Questions at once: at least so many for every place that the server has, and at most so many."""


async def _ask_for_enough(
    client: ChatClient,
    queue: Sequence[Instruction],
    settings: AgentWriteSettings,
    min_words: int,
    prompts: Prompts,
) -> list[Verdict]:
    """The verdicts on the first instructions of `queue`, as many as make `per_language` of them.

    Each batch is as large as the share found so far says, but no larger than all before it.
    """
    verdicts: list[Verdict] = []
    found, wanted = 0, settings.select.per_language or len(queue)
    while found < wanted and len(verdicts) < len(queue):
        asked = len(verdicts)
        guess = (wanted - found) * asked // max(found, 1)
        number = min(MOST, max(FEWEST * client.settings.concurrency, min(guess, asked)))
        batch = queue[asked : asked + number]
        jobs = [ask(client, row, settings, min_words, prompts[row.language]) for row in batch]
        verdicts += await all_at_once(jobs, f"questions ({batch[0].language})")
        found = sum(isinstance(verdict, Instruction) for verdict in verdicts)
    return verdicts
