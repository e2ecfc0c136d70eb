"""`longwriter write`: plans and writes a single text with AgentWrite."""

import sys
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from longwriter.agentwrite.context import Paragraph, TextSoFar
from longwriter.agentwrite.instructions import in_words
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.agentwrite.writer import StepFailed
from longwriter.cli.terminal import claimed, say
from longwriter.config.load import ROOT
from longwriter.core.errors import BadCompletion, CallError, LongwriterError
from longwriter.core.files import write_text
from longwriter.core.rows import Step, Usage
from longwriter.core.workspace import Workspace
from longwriter.library import agent, agent_place, instruction_for, write_settings
from longwriter.llm.budget import Account
from longwriter.models.serving import NAME as STUDENT
from longwriter.text.demands import demand_in
from longwriter.text.lengths import length_score

_LINE = 70
"""Length in characters of the line that shows what the model is writing."""


@dataclass(kw_only=True)
class ShownText(TextSoFar):
    """A text that prints each paragraph as it is written, and saves all of them to a file."""

    file: Path
    wanted: int = 0
    """Total number of words planned."""
    plan: list[Step] = field(default_factory=list)

    coming: str = ""
    """The last characters of the paragraph in progress."""

    def show_plan(self, plan: list[Step]) -> None:
        """Prints the steps of the plan."""
        self.plan, self.wanted = plan, sum(step.word_count for step in plan)
        for number, step in enumerate(plan, start=1):
            say(f"{number}. {step.main_point} ({step.word_count:,} words)")
        say("")

    def show(self, piece: str) -> None:
        """Shows the end of the paragraph in progress on one line, if stderr is a terminal."""
        self.coming = " ".join((self.coming + piece)[-_LINE:].split("\n"))
        if sys.stderr.isatty():
            print(f"\r\x1b[2K… {self.coming}", end="", file=sys.stderr, flush=True)

    def add(self, paragraph: Paragraph) -> None:
        """Appends a paragraph, prints it, saves the text and reports the progress."""
        if self.coming and sys.stderr.isatty():
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
        self.coming = ""
        print("\n" * bool(self.paragraphs) + paragraph.text, flush=True)
        super().add(paragraph)
        write_text(self.file, "\n\n".join(self.paragraphs) + "\n")
        say(
            f"[{len(self.words)} of {len(self.plan)}: {self.words[-1]:,} words; "
            f"{sum(self.words):,} of {self.wanted:,} in all]"
        )


def write_one(arguments: Namespace) -> None:
    """Writes the text that the command line describes to standard output and to a file.

    Raises:
        LongwriterError: the text could not be completed; its part so far stays in FILE.partial.md.
    """
    of = STUDENT if arguments.model_with else "teacher"
    overrides = [f"{of}.stream=true"] if sys.stderr.isatty() else []
    overrides += ["agentwrite.parallel=true"] if arguments.parallel else []
    settings = write_settings(
        arguments.server,
        arguments.model,
        arguments.base_url,
        arguments.api_key_env,
        arguments.seed,
        overrides + arguments.overrides,
    )
    instruction = instruction_for(arguments.prompt, arguments.words, settings.agentwrite)
    if not arguments.words:
        _say_unit(arguments.prompt, settings.agentwrite)
    cache = Workspace(ROOT, Path.cwd()).cache
    file, _claim = claimed(arguments.output, arguments.prompt, cache)
    text, account = ShownText(file=file.with_suffix(".partial.md")), Account()
    usage = account.usage
    place, name = agent_place(settings, arguments.model_with)
    length = f"{instruction.length:,} words" if instruction.length else "a text of no set length"
    say(f"{arguments.model_with or place.settings.model} plans {length} …")
    live = None if settings.agentwrite.parallel else text.show
    try:
        kept = agent(settings, place, name, instruction, text, account, text.show_plan, live)
    except (StepFailed, LongwriterError, KeyboardInterrupt) as error:
        if text.paragraphs:
            say(f"\nwritten so far: {text.file}")
        if isinstance(error, StepFailed):
            raise _explained(error, usage) from None
        raise
    text.file.rename(file)
    thought = f" ({usage.thinking_tokens:,} of them thinking)" if usage.thinking_tokens else ""
    score = length_score(text.wanted, sum(text.words))
    say(f"\n{sum(text.words):,} words of {text.wanted:,}: S_l {score:.1f}")
    say(
        f"{usage.calls} calls ({kept} from the cache), {usage.prompt_tokens:,} prompt tokens, "
        f"{usage.completion_tokens:,} completion tokens{thought}, ${usage.cost_usd:.4f}"
    )
    say(str(file))


def _say_unit(prompt: str, settings: AgentWriteSettings) -> None:
    """Says how a length in a unit other than words is interpreted."""
    stated = demand_in(prompt)
    demand = in_words(stated, settings)
    if demand.unit != "words":
        say(
            f"{stated.quotes[0]!r} is not a length in words, so the plan chooses one; set it with "
            f"--words N or agentwrite.words_per_{stated.unit.removesuffix('s')}=N"
        )
    elif stated.unit != "words":
        say(f"{stated.quotes[0]!r} is taken as {demand.target:,} words")


def _explained(failed: StepFailed, usage: Usage) -> CallError:
    """Returns the error with its step, and with what running the command again would do."""
    again = "Run the same command again to continue: finished calls are kept."
    if isinstance(failed.error, BadCompletion):  # its samples are cached
        again = "--seed N takes other samples; a larger model needs fewer." if usage.calls else ""
    kind = type(failed.error)
    return kind(f"{failed.step}: {kind.__name__}: {failed.error}. {again}".rstrip())
