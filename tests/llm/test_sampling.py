"""Answers are sampled until one is usable."""

import asyncio
import threading

import pytest

from longwriter.core.errors import BadCompletion
from longwriter.llm.answers import Completion
from longwriter.llm.sampling import first_usable


@pytest.mark.parametrize("words, in_the_loop", [(500, True), (200_000, False)])
def test_a_long_answer_is_not_read_in_the_event_loop(words: int, in_the_loop: bool) -> None:
    readers = []

    async def ask(sample: int) -> Completion:
        return Completion("word " * words, "stop", 1, 0, words)

    def read(completion: Completion) -> int:
        readers.append(threading.current_thread())
        if len(readers) == 1:
            raise BadCompletion("too dull")
        return len(completion.text)

    assert asyncio.run(first_usable(ask, read, 3, "paragraph")) == 5 * words
    assert [reader is threading.main_thread() for reader in readers] == [in_the_loop] * 2
