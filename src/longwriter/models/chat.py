"""Converts a chat to the student's tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longwriter.core.errors import TrainingError
from longwriter.core.files import files_digest
from longwriter.core.rows import Message
from longwriter.text import chat_tokens
from longwriter.text.chat_tokens import part_tokens


def tokenizer_digest(checkpoint: Path) -> str:
    """Returns a hash of everything that determines the tokens of a chat.

    It covers the tokenizer and chat template files of a checkpoint folder, and the code of this
    module and of `text.chat_tokens`.
    """
    kinds = ("*.json", "*.jinja", "*.model")
    files = sorted(file for kind in kinds for file in checkpoint.glob(kind))
    return files_digest([*files, Path(__file__), Path(chat_tokens.__file__)])


def answer_tokens(
    tokenizer: Any, messages: Sequence[Message], answers: Sequence[int], what: str
) -> list[list[int]]:
    """Returns the tokens of a chat, split where answers begin and end.

    The parts are what precedes the first answer, that answer, what precedes the second one, and so
    on. Each answer ends with its end-of-turn; the last one runs to the end of the chat.

    Args:
        answers: index of each answer's first message, in order.
        what: name of the chat in errors, such as `row one`.

    Raises:
        TrainingError: the chat template fails, renders the messages before an answer differently
            when they are rendered on their own, drops an answer, or does not end it with the
            tokenizer's eos_token.
    """
    import jinja2

    try:
        parts = _parts(tokenizer, [message.model_dump() for message in messages], answers, what)
    except jinja2.TemplateError as error:
        raise TrainingError(
            f"{what}: the chat template of models/base fails: {error}; fix the file that "
            "student.chat_template_path names, or the roles of its messages"
        ) from None

    def encode(text: str, plain: bool) -> list[int]:
        tokens = tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=plain,
            return_attention_mask=False,
        )
        return list(tokens["input_ids"])

    contents = [message.content for message in messages]
    found = part_tokens(parts, contents, tokenizer.all_special_tokens, encode)
    for answer in found[1::2]:
        if not answer:
            raise TrainingError(f"{what}: has no target; the chat template drops its answer")
        if tokenizer.eos_token_id not in answer:
            raise _ends_no_turn(tokenizer, what)
    return found


def _parts(
    tokenizer: Any, turns: list[dict[str, Any]], answers: Sequence[int], what: str
) -> list[str]:
    """Returns the rendered chat, split where answers begin and end."""
    chat = tokenizer.apply_chat_template(turns, tokenize=False)
    parts: list[str] = []
    end = 0
    for number, index in enumerate(answers, start=1):
        before = tokenizer.apply_chat_template(
            turns[:index], add_generation_prompt=True, tokenize=False
        )
        if not chat.startswith(before) or len(before) < end:
            raise TrainingError(
                f"{what}: the chat template renders the messages before answer {number} differently "
                "when they stand alone; name another file in student.chat_template_path"
                + (", or set sft.targets=last" if number < len(answers) else "")
            )
        start = len(before)
        stop = (
            len(chat) if number == len(answers) else _turn_end(tokenizer, chat, start, turns[index])
        )
        if stop < start:
            raise _ends_no_turn(tokenizer, what)
        parts += [chat[end:start], chat[start:stop]]
        end = stop
    return parts


def _turn_end(tokenizer: Any, chat: str, start: int, turn: dict[str, Any]) -> int:
    """Returns the index just after the end-of-turn that follows an answer; -1 if there is none."""
    text = str(turn["content"]).strip()
    after = chat.find(text, start)
    end = chat.find(tokenizer.eos_token, max(after, start) + len(text) * (after >= 0))
    return end + len(tokenizer.eos_token) if end >= 0 else -1


def _ends_no_turn(tokenizer: Any, what: str) -> TrainingError:
    return TrainingError(
        f"{what}: the chat template does not end its answer with {tokenizer.eos_token}, so the model "
        "would not learn to stop; name the token that it does end with in student.eos_token"
    )
