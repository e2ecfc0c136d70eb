"""The question to the teacher: does an instruction truly need so many words, and how many?"""

from typing import Any

from longwriter.agentwrite.prompts import question_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.client import ChatClient, Completion, json_object
from longwriter.errors import BadCompletion, CallError, OverBudget
from longwriter.records import Failure, Instruction, Usage

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
    client: ChatClient, instruction: Instruction, settings: AgentWriteSettings, min_words: int
) -> Verdict:
    """The instruction if the teacher says that it needs more than `min_words` words, with the length
    that it asks for where it stated none; None if a shorter text would do; else a failure.

    Raises:
        OverBudget: the money does not suffice to ask.
        ServerError: every call would fail.
    """
    usage = Usage()
    try:
        needs_more, length = await _answer(client, instruction, settings, min_words, usage)
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
    usage: Usage,
) -> tuple[bool, int | None]:
    messages = question_messages(instruction, min_words)
    fault = ""
    for sample in range(settings.attempts):
        completion = await client.complete(
            messages,
            max_tokens=min(ANSWER_TOKENS, client.settings.max_tokens),
            schema=SCHEMA,
            sample=sample,
            usage=usage,
        )
        try:
            return read_answer(completion)
        except BadCompletion as error:
            fault = str(error)
    raise BadCompletion(f"no usable answer in {settings.attempts} samples; the last: {fault}")


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
