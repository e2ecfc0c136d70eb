"""Selects the instructions to use.

They pass every rule, need a long text in the teacher's opinion if it is asked, and are as many of
each language as the settings say.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longwriter.agentwrite.failures import check_failures
from longwriter.agentwrite.instruction_rules import RULES
from longwriter.agentwrite.instructions import UNREAD
from longwriter.agentwrite.prompts import Prompts, Wording, question_messages
from longwriter.agentwrite.settings import AgentWriteSettings, SelectSettings
from longwriter.core.errors import BadCompletion, CallError, DataError, OverBudget
from longwriter.core.progress import progress
from longwriter.core.rows import Failure, Instruction, check_ids
from longwriter.core.spool import OnDemand, Spool
from longwriter.llm.answers import Completion, json_object
from longwriter.llm.budget import Account
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_at_once
from longwriter.llm.sampling import first_usable

Removed = dict[str, Counter[str]]
"""Reason → language → number of instructions."""

REASONS = (*RULES, "duplicate", "failed", "short_enough", "per_language", "limit")
"""Every reason to remove an instruction, in the order in which they are checked."""

Verdict = Instruction | Failure | None
"""The teacher's opinion of an instruction; None: a shorter text would do."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"needs_more": {"type": "boolean"}, "length": {"type": ["integer", "null"]}},
    "required": ["needs_more", "length"],
    "additionalProperties": False,
}
"""JSON schema of the teacher's answer."""

ANSWER_TOKENS = 100
"""Most tokens of the teacher's answer: enough for the two fields and white space."""

FEWEST, MOST = 8, 10_000
"""Fewest questions in a batch, per call that the server takes at the same time, and most questions
in a batch."""


@dataclass(frozen=True)
class Selection:
    """The instructions to use, in the order of the source. `read` = removed + instructions."""

    instructions: Sequence[Instruction]
    failures: list[Failure]
    """Instructions without a usable answer from the teacher; `removed` counts them as failed."""
    read: int
    removed: Removed

    @property
    def unread(self) -> list[str]:
        """Returns the lengths in pages, minutes or characters that no setting converts to words.

        They are in the instructions' own words.
        """
        return [getattr(row, UNREAD) for row in self.instructions if hasattr(row, UNREAD)]

    def describe(self) -> dict[str, Any]:
        """Returns the counts for metrics/agentwrite.json."""
        return {
            "read": self.read,
            "removed": {
                reason: dict(sorted(self.removed[reason].items()))
                for reason in REASONS
                if reason in self.removed
            },
            "selected": dict(sorted(Counter(row.language for row in self.instructions).items())),
        }


class _Chosen(OnDemand[Instruction]):
    """A subset of the instructions, some of them replaced."""

    def __init__(
        self,
        known: Sequence[Instruction],
        numbers: Sequence[int],
        changed: Mapping[int, Instruction],
    ) -> None:
        """
        Args:
            numbers: indices of the chosen instructions.
            changed: index → instruction that replaces the original.
        """
        self._known, self._numbers, self._changed = known, numbers, changed

    def _places(self) -> Sequence[int]:
        return self._numbers

    def _read(self, place: int) -> Instruction:
        return self._changed.get(place) or self._known[place]


def sift(
    rows: Iterable[Instruction], settings: SelectSettings, folder: Path | None = None
) -> Selection:
    """Removes instructions that fail a rule, and duplicates.

    Duplicates differ only in case or white space. Rows are read one at a time; those that pass are
    kept in a temporary file.

    Args:
        folder: where to create the temporary file.

    Raises:
        DataError: nothing passes, or two that pass share an id.
    """
    kept = Spool(Instruction, folder)
    removed: Removed = defaultdict(Counter)
    seen: set[bytes] = set()
    read = 0
    for row in progress("instructions", rows):
        read += 1
        reason = next((name for name, rule in RULES.items() if rule(row, settings)), None)
        if reason is None:
            fingerprint = _fingerprint(row)
            reason = "duplicate" if fingerprint in seen else None
            seen.add(fingerprint)
        if reason is None:
            kept.add(read, row)
        else:
            removed[reason][row.language] += 1
    check_ids(kept)
    return _not_empty(Selection(kept, [], read, removed))


def _fingerprint(row: Instruction) -> bytes:
    """Returns a digest of the prompt in lower case, with runs of white space as one space."""
    return hashlib.sha256(" ".join(row.prompt.casefold().split()).encode()).digest()[:16]


def _not_empty(selection: Selection) -> Selection:
    if not selection.instructions and not selection.failures:
        counts = selection.describe()["removed"]
        raise DataError(
            f"none of the {selection.read} instructions was selected; removed, by reason: "
            f"{counts}; fix agentwrite.select or agentwrite.instructions"
        )
    return selection


async def select(
    client: ChatClient, sifted: Selection, settings: AgentWriteSettings, prompts: Prompts
) -> Selection:
    """Chooses `per_language` instructions of each language at random, then the first `limit`.

    If `screen_with_teacher` is set, only instructions that need more than that many words in the
    teacher's opinion can be chosen.

    Raises:
        DataError: nothing is selected.
        OverBudget: a question could exceed max_cost; finished calls are kept.
        ServerError: every call would fail; finished calls are kept.
    """
    min_words = settings.select.screen_with_teacher
    if min_words is None:
        return select_unasked(sifted, settings)
    queues = _shuffled(sifted, settings.seed)
    verdicts: dict[int, Verdict] = {}
    for queue in queues.values():
        of_queue = _Chosen(sifted.instructions, queue, {})
        judged = await _screen_enough(client, of_queue, settings, min_words, prompts)
        verdicts |= zip(
            queue, judged, strict=False
        )  # the teacher was not asked about the rest of the queue
    return _choose(sifted, queues, verdicts, settings)


def select_unasked(sifted: Selection, settings: AgentWriteSettings) -> Selection:
    """Chooses as `select` does, but without asking the teacher."""
    return _choose(sifted, _shuffled(sifted, settings.seed), None, settings)


def _shuffled(sifted: Selection, seed: int) -> dict[str, list[int]]:
    """Returns each language's indices in a random order that is independent of other languages."""
    queues: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(sifted.instructions):
        queues[row.language].append(number)
    for language, queue in queues.items():
        random.Random(f"{seed} {language}").shuffle(queue)  # noqa: S311
    return queues


def _choose(
    sifted: Selection,
    queues: Mapping[str, Sequence[int]],
    verdicts: Mapping[int, Verdict] | None,
    settings: AgentWriteSettings,
) -> Selection:
    """Takes each language's instructions in order until there are `per_language`.

    It makes no difference how many more the teacher was asked about in the same batch.

    Args:
        queues: language → indices of its instructions, in the order in which they are taken.
        verdicts: index → the teacher's verdict, for the front of each queue; None: the teacher was
            not asked, and all instructions can be used.
    """
    kept: list[tuple[int, str]] = []
    changed: dict[int, Instruction] = {}
    failures: dict[int, Failure] = {}
    removed: Removed = defaultdict(Counter, {k: v.copy() for k, v in sifted.removed.items()})
    for language, queue in queues.items():
        number = left = 0
        asked = [n for n in queue if n in verdicts] if verdicts is not None else queue
        for place, row in enumerate(asked):
            if number == settings.select.per_language:
                left = len(asked) - place
                break
            verdict = True if verdicts is None else verdicts[row]
            match verdict:
                case Failure():
                    failures[row] = verdict
                    removed["failed"][language] += 1
                case None:
                    removed["short_enough"][language] += 1
                case _:
                    kept.append((row, language))
                    number += 1
            if isinstance(verdict, Instruction):
                changed[row] = verdict
        if left + len(queue) - len(asked):
            removed["per_language"][language] = left + len(queue) - len(asked)
    kept.sort()
    used = kept[: settings.limit]
    if over := kept[len(used) :]:
        removed["limit"] = Counter(language for _, language in over)
    chosen = _Chosen(sifted.instructions, [row for row, _ in used], changed)
    ordered = [failures[row] for row in sorted(failures)]
    return _not_empty(Selection(chosen, ordered, sifted.read, removed))


async def _screen_enough(
    client: ChatClient,
    queue: Sequence[Instruction],
    settings: AgentWriteSettings,
    min_words: int,
    prompts: Prompts,
) -> list[Verdict]:
    """Returns verdicts from the front of `queue` until `per_language` instructions need the words.

    The size of each batch follows from the share found so far. Above the minimum, it is at most the
    size of all earlier batches together.
    """
    verdicts: list[Verdict] = []
    found, wanted = 0, settings.select.per_language or len(queue)
    while found < wanted and len(verdicts) < len(queue):
        asked = len(verdicts)
        guess = (wanted - found) * asked // max(found, 1)
        number = min(MOST, max(FEWEST * client.settings.concurrency, min(guess, asked)))
        batch = queue[asked : asked + number]
        jobs = [screen(client, row, settings, min_words, prompts[row.language]) for row in batch]
        verdicts += await all_at_once(jobs, f"questions ({batch[0].language})")
        found = sum(isinstance(verdict, Instruction) for verdict in verdicts)
        failures = [verdict for verdict in verdicts if isinstance(verdict, Failure)]
        most = settings.max_failed
        check_failures(failures, len(verdicts), most, "agentwrite", "questions")
    return verdicts


async def screen(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    min_words: int,
    wording: Wording,
) -> Verdict:
    """Asks the teacher whether the instruction needs more than `min_words` words.

    Returns:
        The instruction if it does, with the length that the teacher read from it if it states none
        and that length is at least `min_words`. None if a shorter text would do; a failure if no
        answer was usable.

    Raises:
        OverBudget: the question could exceed max_cost.
        ServerError: every call would fail.
    """
    messages, account = question_messages(instruction, min_words, wording), Account()

    async def ask(sample: int) -> Completion:
        return await client.complete(
            messages,
            max_tokens=min(ANSWER_TOKENS, client.settings.max_tokens),
            schema=SCHEMA,
            sample=sample,
            account=account,
        )

    try:
        needs_more, length = await first_usable(ask, read_answer, settings.attempts, "answer")
    except OverBudget:  # then no draft could be paid for either
        raise
    except CallError as error:
        return Failure(
            id=instruction.id,
            prompt=instruction.prompt,
            step="select",
            error=type(error).__name__,
            detail=str(error),
            attempts=account.usage.calls,
        )
    if not needs_more:
        return None
    if instruction.length is None and length is not None and length >= min_words:
        return instruction.model_copy(update={"length": length})
    return instruction


def read_answer(completion: Completion) -> tuple[bool, int | None]:
    """Returns whether more words are needed, and the length that the instruction asks for.

    Nothing is guessed.

    Raises:
        BadCompletion: the answer is cut off or not a JSON object, or a field is missing or has an
            invalid value.
    """
    answer = json_object(completion.text)
    if completion.finish_reason == "length" or answer is None:
        raise BadCompletion(f"not one JSON object: {completion.text[:80]!r}")
    needs_more, length = answer.get("needs_more"), answer.get("length", "missing")
    if not isinstance(needs_more, bool):
        raise BadCompletion(f"needs_more is {needs_more!r:.80}, neither true nor false")
    if length is not None and (type(length) is not int or length < 1):  # True is an int too
        raise BadCompletion(f"length is {length!r:.80}, neither a positive integer nor null")
    return needs_more, length
