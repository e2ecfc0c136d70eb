"""The command `longwriter`. What a subcommand needs is loaded when it is called."""

import argparse
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[argparse.Namespace], None]
"""What a subcommand does."""


def main() -> None:
    """Runs the subcommand that the command line names."""
    parser = argparse.ArgumentParser(prog="longwriter")
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (_add_write, _add_score, _add_fetch, _add_explain):
        add(commands)
    arguments = parser.parse_args()
    arguments.check(arguments)

    _import_fast()
    from longwriter.config.run import guarded

    work = arguments.load()
    gc.freeze()
    gc.enable()
    guarded(lambda: work(arguments))


def _add_write(commands: Any) -> None:
    write = commands.add_parser(
        "write",
        help="write one long text: a plan, then paragraph after paragraph",
        description="Plans and writes one long text. The text goes to standard output and, as "
        "Markdown, to a file; the plan and the progress to standard error. Without --base-url and "
        "--model the small embedded teacher writes. Other settings: conf/agentwrite/.",
    )
    write.add_argument("prompt", type=_prompt, help='such as "Write a 10000-word history of tea"')
    write.add_argument(
        "--words", type=_positive, help="required length; default: the number in the prompt"
    )
    write.add_argument(
        "--base-url", type=_url, help="OpenAI-compatible address, up to and with /v1"
    )
    write.add_argument("--model", help="the model's name there")
    write.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable that holds the key"
    )
    write.add_argument(
        "--parallel", action="store_true", help="all paragraphs at once: faster, less coherent"
    )
    write.add_argument("--seed", type=int, help="sampling seed; change it to get a different text")
    write.add_argument(
        "--output", type=Path, metavar="FILE.md", help="new file; default: named after the prompt"
    )

    def check(given: argparse.Namespace) -> None:
        if bool(given.base_url) != bool(given.model):
            write.error("--base-url and --model go together")
        if given.api_key_env and not given.model:
            write.error("--api-key-env needs --base-url and --model")

    def load() -> Work:
        from longwriter.cli.write import write_one

        return write_one

    write.set_defaults(check=check, load=load)


def _add_score(commands: Any) -> None:
    score = commands.add_parser(
        "score",
        help="score predictions: S_l, S_q, length constraints, text health, with intervals",
        description="Scores predictions in the paper's format (JSON Lines of prompt, type, length, "
        "response) as LongBench-Write does, and compares several files pairwise. S_q needs --judge.",
    )
    score.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="predictions, JSON Lines"
    )
    score.add_argument("--json", action="store_true", help="everything, as JSON")
    score.add_argument(
        "--judge",
        metavar="MODEL",
        help="a model at --base-url that grades the texts, or `embedded`, whose grades mean nothing",
    )
    score.add_argument("--base-url", type=_url, help="the judge's address, up to and with /v1")
    score.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable that holds the key"
    )
    score.add_argument(
        "--judge-prompt", type=Path, metavar="FILE", help="with $INST$ and $RESPONSE$ in it"
    )
    score.add_argument("--repeats", type=_positive, help="how often each text is graded")

    def check(given: argparse.Namespace) -> None:
        if bool(given.base_url) != bool(given.judge and given.judge != "embedded"):
            score.error("--judge MODEL and --base-url go together; --judge embedded needs none")
        if not given.judge and (given.api_key_env or given.judge_prompt or given.repeats):
            score.error("--api-key-env, --judge-prompt and --repeats need --judge")

    def load() -> Work:
        from longwriter.cli.score import score_files

        return score_files

    score.set_defaults(check=check, load=load)


def _add_fetch(commands: Any) -> None:
    fetch = commands.add_parser(
        "fetch",
        help="get one of the paper's benchmarks into data/",
        description="Downloads a benchmark from the paper's repository at a fixed commit and checks "
        "its SHA-256.",
    )
    fetch.add_argument("benchmark", choices=("longbench-write", "longwrite-ruler"))
    fetch.add_argument("--output", type=Path, metavar="FILE", help="default: below data/")
    fetch.add_argument("--address", type=_url, help="a mirror's folder instead of the paper's")

    def load() -> Work:
        from longwriter.cli.fetch import fetch as fetch_benchmark

        return fetch_benchmark

    fetch.set_defaults(check=lambda given: None, load=load)


def _add_explain(commands: Any) -> None:
    command = commands.add_parser(
        "explain",
        help="what became of one row, and what one answer came from",
        description="Of a row, by the files of the last `dvc repro`: the instruction, the plan and its "
        "steps, what every rule says, and whether and in which pack it was trained on. Of an answer: "
        "the checkpoint and what it was trained on, back to the instructions. Each with its md5 and "
        "the MLflow run and commit that made it.",
    )
    command.add_argument(
        "id",
        help="of an instruction, a draft or a rejected row; or an answer of the benchmark, such as "
        "data/predictions/sft.jsonl:3",
    )
    command.add_argument(
        "--root", type=Path, default=Path(), help="the checkout; default: the folder you are in"
    )

    def load() -> Work:
        try:
            from longwriter.cli.explain import explain
        except ModuleNotFoundError as error:
            sys.exit(
                f"error: {error.name} is not installed; `pip install 'longwriter[pipeline]'` installs "
                "what `longwriter explain` needs"
            )
        return lambda given: print(explain(given.root.absolute(), given.id))

    command.set_defaults(check=lambda given: None, load=load)


def _import_fast() -> None:
    """Saves a third of a second before the first call."""
    gc.disable()  # imports make many objects, and none of them is garbage
    sys.modules["aiohttp"] = None  # type: ignore[assignment] # openai would load it, unused


def _prompt(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must say what is to be written")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http:// or https://")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
