"""`longwriter write --with MODEL`: writes one text with a trained model, in one call."""

import sys
import time
from argparse import Namespace
from pathlib import Path

from longwriter.cli.terminal import StatusLine, claimed, say
from longwriter.config.load import ROOT, compose
from longwriter.core.errors import BadCompletion
from longwriter.core.files import write_text
from longwriter.core.workspace import Workspace
from longwriter.library import WriteSettings, one_call
from longwriter.models.serving import model_named
from longwriter.text.demands import asking_for, words_asked
from longwriter.text.lengths import length_score
from longwriter.text.plan_tags import START, split_plan
from longwriter.text.thinking import split_thinking
from longwriter.text.words import count_words

_BLOCKS = START, "<think>"
"""Opening tags of a plan or of thinking, which are not part of the text."""


class ComingText:
    """Prints a text as its pieces arrive, if stdout is a terminal, and shows the progress."""

    def __init__(self, wanted: int | None, status: StatusLine) -> None:
        self.wanted, self.status = wanted, status
        self.raw = ""
        """The answer so far, including any plan and thinking before the text."""
        self.begun = 0.0
        self._pieces = 0
        self._words = 0
        self._in_text = False
        self._watched = sys.stdout.isatty()

    def add(self, piece: str) -> None:
        """Takes the next piece of the answer."""
        if not piece:
            return
        self.begun = self.begun or time.monotonic()
        self._pieces += 1
        self.raw += piece
        if self._in_text:
            self._print(piece)
        else:
            text = text_in(self.raw)
            self._in_text = bool(text) and not any(start.startswith(self.raw) for start in _BLOCKS)
            if self._in_text:
                self._print(text)
        if self.status.due():
            self.status.show(self._progress())

    def end(self, text: str) -> None:
        """Prints the whole text if its pieces were not printed, and ends the line."""
        if not (self._watched and self._in_text):
            print(text, end="")
        print(flush=True)

    def _print(self, piece: str) -> None:
        if self._watched:
            print(piece, end="", flush=True)

    def _progress(self) -> str:
        if not self._in_text:
            return "planning or thinking …"
        words = count_words(self.raw)
        seconds = max(time.monotonic() - self.begun, 1e-3)
        parts = [f"{words:,}{f' of {self.wanted:,}' if self.wanted else ''} words"]
        parts.append(f"{self._pieces / seconds:.1f} tokens/s")
        if self.wanted and 10 < words < self.wanted:
            left = round((self.wanted - words) * seconds / words)
            parts.append(f"{left // 60}:{left % 60:02} left")
        return " · ".join(parts)


def text_in(answer: str) -> str:
    """Returns the text of a complete or partial answer, without the thinking and plan before it."""
    thinking = split_thinking(answer)
    return "" if thinking.unclosed else split_plan(thinking.text.lstrip("\n")).text


def write_once(arguments: Namespace) -> None:
    """Writes the text that the command line describes to standard output and to a file.

    Raises:
        LongwriterError: the text could not be completed; its part so far stays in FILE.partial.md.
    """
    settings = compose(WriteSettings, ["student.server.stream=true", *arguments.overrides])
    checkpoint = model_named(arguments.model_with, Path.cwd())
    prompt = asking_for(arguments.prompt, arguments.words)
    wanted = arguments.words or words_asked(prompt)
    cache = Workspace(ROOT, Path.cwd()).cache
    file, _claim = claimed(arguments.output, arguments.prompt, cache)
    say(
        f"{arguments.model_with} writes {f'{wanted:,} words' if wanted else 'a text of no set length'} …"
    )
    partial = file.with_suffix(".partial.md")
    with StatusLine() as status:
        coming = ComingText(wanted, status)
        try:
            completion, _ = one_call(settings, checkpoint, prompt, arguments.seed or 0, coming.add)
        except BaseException:
            if text_in(coming.raw).strip():
                write_text(partial, text_in(coming.raw) + "\n")
                say(f"\nwritten so far: {partial}")
            raise
    text = split_plan(completion.text).text
    coming.end(text)
    words = count_words(text)
    if completion.finish_reason == "length":
        write_text(partial, text + "\n")
        say(f"written so far: {partial}")
        raise BadCompletion(
            f"cut off after {words:,} words: the text has filled "
            f"student.server.context={settings.student.server.context}; "
            "raise it as far as the model was trained for, or ask for less"
        )
    write_text(file, text + "\n")
    score = f" of {wanted:,}: S_l {length_score(wanted, words):.1f}" if wanted else ""
    rate = completion.completion_tokens / (time.monotonic() - coming.begun) if coming.begun else 0
    speed = f", {rate:.1f} tokens/s" if rate else ""  # nothing streamed: it was cached
    say(f"\n{words:,} words{score}; {completion.completion_tokens:,} tokens{speed}")
    say(str(file))
