"""A chat as the student's tokens."""

from collections.abc import Sequence
from typing import Any

from longwriter.core.rows import Message
from longwriter.text.chat_tokens import ChatTokens, chat_tokens


def chat_tokens_of(
    tokenizer: Any, prompt: Sequence[Message], answer: Sequence[Message]
) -> ChatTokens | None:
    """Returns the tokens of a prompt and its answer by the tokenizer's chat template; None where it renders
    the prompt alone differently.

    Raises:
        jinja2.TemplateError: the template fails.
    """
    turns = [message.model_dump() for message in prompt]
    chat = turns + [message.model_dump() for message in answer]

    def encode(text: str, plain: bool) -> list[int]:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
        return list(ids)

    return chat_tokens(
        tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False),
        tokenizer.apply_chat_template(chat, tokenize=False),
        [str(message["content"]) for message in chat],
        tokenizer.all_special_tokens,
        encode,
    )
