"""The command `longwriter`. What a subcommand needs is loaded when it is called."""

import argparse
import gc
import sys
from pathlib import Path


def main() -> None:
    """Runs the subcommand that the command line names."""
    parser = argparse.ArgumentParser(prog="longwriter")
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser(
        "write",
        help="write one long text: a plan, then paragraph after paragraph",
        description="Plans and writes one long text. The text goes to standard output and, as "
        "Markdown, to a file; the plan and how far it is to standard error. Without --base-url and "
        "--model the small embedded teacher writes. Other settings: conf/agentwrite/.",
    )
    write.add_argument("prompt", type=_prompt, help='such as "Write a 10000-word history of tea"')
    write.add_argument(
        "--words", type=_positive, help="length to reach; default: the number in the prompt"
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
    write.add_argument("--seed", type=int, help="another number: another text")
    write.add_argument(
        "--output", type=Path, metavar="FILE.md", help="new file; default: named after the prompt"
    )
    explain = commands.add_parser(
        "explain",
        help="one training row's whole life",
        description="Shows the instruction, the plan and its steps, what every rule says, and whether "
        "and in which pack the row was trained on, by the files of the last `dvc repro`.",
    )
    explain.add_argument("id", help="of an instruction, a draft or a rejected row")
    explain.add_argument(
        "--root", type=Path, default=Path(), help="the checkout; default: the folder you are in"
    )
    arguments = parser.parse_args()
    if arguments.command == "explain":
        _explain(arguments.root.absolute(), arguments.id)
        return
    if bool(arguments.base_url) != bool(arguments.model):
        write.error("--base-url and --model go together")
    if arguments.api_key_env and not arguments.model:
        write.error("--api-key-env needs --base-url and --model")

    _import_fast()
    from longwriter.settings import guarded
    from longwriter.write import write_one

    gc.freeze()
    gc.enable()
    guarded(lambda: write_one(arguments))


def _explain(root: Path, name: str) -> None:
    from longwriter.dataset.explain import explain
    from longwriter.settings import guarded

    guarded(lambda: print(explain(root, name)))


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
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
