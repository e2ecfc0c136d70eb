"""Counts chat tokens as SFT does, without loading torch or transformers, which takes seconds."""

import json
from pathlib import Path

from longwriter.core.errors import DataError
from longwriter.text.chat_template import chat_environment
from longwriter.text.chat_tokens import chat_tokens


class ChatTokenizer:
    """The tokenizer and chat template of a checkpoint folder.

    Counts the same as `len(AutoTokenizer.from_pretrained(folder).apply_chat_template(messages))`,
    except where the messages contain control tokens, or a token would span prompt and answer (see
    `text.chat_tokens`).
    """

    def __init__(self, folder: Path) -> None:
        """Reads tokenizer.json, tokenizer_config.json and the chat template.

        Raises:
            DataError: one of them is missing or cannot be read.
        """
        from tokenizers import Tokenizer

        try:
            config = json.loads((folder / "tokenizer_config.json").read_bytes())
            template = folder / "chat_template.jinja"
            source = template.read_text("utf-8") if template.exists() else config["chat_template"]
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises plain Exception
            raise DataError(
                f"{folder}: no fast tokenizer with a chat template found ({error!r:.200}); "
                "set filter.tokenizer to a checkpoint folder"
            ) from None
        self._special = {
            key: value["content"] if isinstance(value, dict) else value
            for key, value in config.items()
            if key.endswith("_token") and isinstance(value, str | dict)
        }
        self._control = [
            token.content
            for token in self._tokenizer.get_added_tokens_decoder().values()
            if token.special
        ]
        self._template = chat_environment().from_string(source)

    def count(self, messages: list[dict[str, str]]) -> int:
        """Returns the number of tokens in the chat, template included."""
        prompt, chat = self._rendered(messages[:-1], True), self._rendered(messages, False)
        contents = [message["content"] for message in messages]
        found = chat_tokens(prompt, chat, contents, self._control, self._encode)
        return len(self._encode(chat, False)) if found is None else sum(map(len, found))

    def _rendered(self, messages: list[dict[str, str]], answer_follows: bool) -> str:
        text = self._template.render(
            messages=messages,
            tools=None,
            documents=None,
            add_generation_prompt=answer_follows,
            **self._special,
        )
        return str(text)

    def _encode(self, text: str, plain: bool) -> list[int]:
        self._tokenizer.encode_special_tokens = plain
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def has_tokenizer(folder: Path) -> bool:
    """Returns whether `ChatTokenizer` can read the folder."""
    return (folder / "tokenizer.json").is_file() and (folder / "tokenizer_config.json").is_file()
