"""The `longwriter` command, which imports a subcommand's module only when it is called."""

import argparse
import gc
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

Work = Callable[[argparse.Namespace], None]
"""The function that runs a subcommand."""


def main() -> None:
    """Runs the subcommand that the command line names."""
    words, overrides = without_overrides(sys.argv[1:])
    arguments = build_parser().parse_args(words)
    arguments.overrides = overrides
    if arguments.check:
        arguments.check(arguments)

    gc.disable()  # imports create many objects, none of them garbage
    if arguments.command != "serve":
        sys.modules["aiohttp"] = None  # type: ignore[assignment] # else openai imports it (0.3 s)
    from longwriter.config.run import guarded

    work = _loaded(arguments)
    gc.freeze()
    gc.enable()
    guarded(lambda: work(arguments))


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all subcommands."""
    parser = argparse.ArgumentParser(prog="longwriter")
    # work: `module:function` in longwriter.cli; extra: the pyproject.toml extra it needs, if any.
    parser.set_defaults(check=None, extra=None)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (
        _add_write,
        _add_serve,
        _add_score,
        _add_export,
        _add_publish,
        _add_promote,
        _add_check,
        _add_cache,
        _add_fetch,
        _add_explain,
    ):
        add(commands)
    return parser


_GROUPS = {
    "write": "teacher|student|agentwrite|runtime",
    "score": "judge|bench|statistics|runtime",
    "check": "teacher|judge|student|runtime",
    "serve": "student|runtime",
    "export": "student",
}
"""Subcommand → config groups that its `key=value` arguments may set."""


def without_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """Splits a command line into its own words and the Hydra-style overrides of settings.

    Words after `--` and names of existing files are never overrides.
    """
    groups = _GROUPS.get(words[0] if words else "")
    if not groups:
        return words, []
    override = re.compile(
        rf"\+{{0,2}}(?:server@)?(?:{groups})(?:[./@][\w./@-]*)?=.*|~(?:{groups})[./@].*", re.DOTALL
    )
    end = words.index("--") if "--" in words else len(words)
    found = [
        place
        for place in range(end)
        if override.fullmatch(words[place]) and not _file(words[place])
    ]
    rest = [word for place, word in enumerate(words) if place not in found]
    return rest, [words[place] for place in found]


def _file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:  # too long to be a file name
        return False


def _add_write(commands: Any) -> None:
    write = commands.add_parser(
        "write",
        help="write one long text: a plan, then paragraph after paragraph",
        description="Plans and writes one long text. The text goes to standard output and, as "
        "Markdown, to a file; the plan and the progress to standard error. Without --server, or "
        "--base-url and --model, the small embedded teacher writes. --with names a trained model, which "
        "writes the whole text in one call. Any setting of the groups teacher, student and agentwrite "
        "can follow, such as teacher.temperature=null agentwrite.max_cost=1; a prompt "
        "that looks like one goes behind `--`.",
    )
    write.add_argument("prompt", type=_prompt, help='such as "Write a 10000-word history of tea"')
    write.add_argument(
        "--words", type=_positive, help="required length; default: the number in the prompt"
    )
    write.add_argument(
        "--server",
        metavar="NAME",
        help="an option of conf/teacher/, such as openai, ollama or gemini",
    )
    write.add_argument(
        "--base-url", type=_url, help="OpenAI-compatible address, up to and with /v1"
    )
    write.add_argument("--model", help="the model's name there")
    write.add_argument(
        "--api-key-env", metavar="NAME", help="environment variable that holds the key"
    )
    write.add_argument(
        "--with",
        dest="model_with",
        metavar="MODEL",
        help="base, sft, dpo, a checkpoint's folder or a GGUF file: it writes in one call",
    )
    write.add_argument(
        "--agent", action="store_true", help="that model plans and writes, paragraph by paragraph"
    )
    write.add_argument(
        "--parallel", action="store_true", help="all paragraphs at once: faster, less coherent"
    )
    write.add_argument("--seed", type=int, help="sampling seed; change it to get a different text")
    write.add_argument(
        "--output", type=Path, metavar="FILE.md", help="new file; default: named after the prompt"
    )

    def check(given: argparse.Namespace) -> None:
        if not given.server and bool(given.base_url) != bool(given.model):
            write.error("--base-url and --model go together")
        if given.api_key_env and not (given.server or given.model):
            write.error("--api-key-env needs --base-url and --model, or --server")
        if given.model_with and (given.server or given.model):
            write.error("--with names the model; leave --server, --base-url and --model out")
        if given.parallel and given.model_with and not given.agent:
            write.error("--parallel needs --agent: without it the text is one call")
        if given.model_with and not given.agent:
            given.work = "write_once:write_once"

    write.set_defaults(work="write:write_one", check=check)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve trained models: OpenAI's API, and a page to write with them",
        description="Serves models on this machine until Ctrl-C, by OpenAI's chat API and a page on "
        "which one text, or the same by two models side by side, is written. Any setting of the groups "
        "student and runtime can follow, such as student.server.temperature=0.8.",
    )
    serve.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="base, sft, dpo, a checkpoint's folder, a GGUF file",
    )
    serve.add_argument("--port", type=_port, default=8080, help="default: 8080; 0: any free one")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default: 127.0.0.1, this machine alone. Others need the token "
        "that is printed, or that LONGWRITER_TOKEN holds",
    )
    serve.add_argument(
        "--server",
        choices=("llama_cpp", "transformers", "vllm"),
        help="what runs the model; default: student.server.kind",
    )

    serve.set_defaults(work="serve:serve_models")


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write a trained model for llama.cpp, Ollama or vLLM",
        description="gguf: a file for llama.cpp and what is built on it. ollama: a folder with such a "
        "file and a Modelfile, with the template, the stop tokens and room for a long text. vllm: the "
        "command line that serves the checkpoint. What is written is read back and compared.",
    )
    export.add_argument(
        "model", metavar="MODEL", help="base, sft, dpo, a checkpoint's folder, a GGUF file"
    )
    export.add_argument("form", choices=("gguf", "ollama", "vllm"))
    export.add_argument(
        "--quantization",
        type=str.upper,
        default="Q8_0",
        help="of matrices: F32, F16, BF16, Q8_0 … Q4_0; default: Q8_0, by which the pipeline itself "
        "serves the model",
    )
    export.add_argument(
        "--output", type=Path, metavar="PATH", help="new; default: named after MODEL"
    )

    export.set_defaults(work="export:export")


def _add_promote(commands: Any) -> None:
    promote = commands.add_parser(
        "promote",
        help="make a model of the pipeline the champion in MLflow's registry",
        description="Registers a model of the last `dvc repro` as a new version with the alias "
        "champion, where it beats the present champion: the 95 % interval of the paired difference of "
        "S_l, over the prompts that both answered, lies above 0. The first one need not beat any.",
    )
    promote.add_argument("model", metavar="MODEL", help="such as dpo")
    promote.add_argument(
        "--anyway", action="store_true", help="also where it is not shown to be better; recorded"
    )
    promote.add_argument(
        "--name",
        type=_registered_name,
        default="longwriter",
        help="of the registered model; default: longwriter",
    )

    promote.set_defaults(work="promote:promote", extra="tracking")


def _add_score(commands: Any) -> None:
    score = commands.add_parser(
        "score",
        help="score predictions: S_l, S_q, length constraints, text health, with intervals",
        description="Scores predictions in the paper's format (JSON Lines of prompt, type, length, "
        "response) as LongBench-Write does, and compares several files pairwise. S_q needs --judge or "
        "--server. Any setting of the groups judge, bench and statistics can follow, such as "
        "judge.structured=text.",
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
    score.add_argument(
        "--server",
        metavar="NAME",
        help="an option of conf/judge/, such as openai, whose model (or --judge's) grades the texts",
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
        if given.server and given.judge == "embedded":
            score.error("--judge embedded needs no --server")
        named = given.judge and given.judge != "embedded"
        if not given.server and bool(given.base_url) != bool(named):
            score.error("--judge MODEL and --base-url go together; --judge embedded needs none")
        if not (given.judge or given.server) and (
            given.api_key_env or given.judge_prompt or given.repeats
        ):
            score.error("--api-key-env, --judge-prompt and --repeats need --judge or --server")

    score.set_defaults(work="score:score_files", check=check)


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="ask a server one small question, and say what it takes",
        description="Asks what stages ask before they spend money, and asks again without what the "
        "server refuses. Says what it takes and which settings to change. It costs one to a few small "
        "calls.",
    )
    check.add_argument("server", choices=("teacher", "judge", "student.server"))
    check.epilog = "settings follow as on Hydra's command line: teacher=openai teacher.seed=null"

    check.set_defaults(work="check:check")


def _add_cache(commands: Any) -> None:
    cache = commands.add_parser(
        "cache",
        help="what the cache of calls holds; prune it, export it",
        description="Without an action: calls, tokens and dates by the model that answered.",
    )
    actions = cache.add_subparsers(dest="action")
    prune = actions.add_parser("prune", help="remove calls, so that they would be asked again")
    prune.add_argument("--before", type=_date, metavar="YYYY-MM-DD", help="kept before that day")
    prune.add_argument("--model", help="answered by this model, as the list names it")
    prune.add_argument("--dry-run", action="store_true", help="only say how many")
    export = actions.add_parser("export", help="write all calls as JSON Lines")
    export.add_argument("file", type=Path, metavar="FILE.jsonl")

    def check(given: argparse.Namespace) -> None:
        if given.action == "prune" and given.before is None and given.model is None:
            prune.error("name --before, --model or both")

    cache.set_defaults(work="cache:cache", check=check)


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

    fetch.set_defaults(work="fetch:fetch")


def _add_explain(commands: Any) -> None:
    command = commands.add_parser(
        "explain",
        help="what became of one row, what one answer came from, what a prompt asks for",
        description="Of a row, by the files of the last `dvc repro`: the instruction, the plan and its "
        "steps, what every rule says, and whether and in which pack it was trained on. Of an answer: "
        "the checkpoint and what it was trained on, back to the instructions. Each with its md5 and "
        "the MLflow run and commit that made it.",
    )
    command.add_argument(
        "id",
        nargs="?",
        help="of an instruction, a draft or a rejected row; or an answer of the benchmark, such as "
        "data/predictions/sft.jsonl:3",
    )
    command.add_argument(
        "--root", type=Path, default=Path(), help="the checkout; default: the folder you are in"
    )

    command.add_argument(
        "--prompt", metavar="TEXT", help="instead: the length and the language that TEXT asks for"
    )
    command.add_argument("--json", action="store_true", help="with --prompt: as JSON")

    def check(given: argparse.Namespace) -> None:
        if (given.id is None) == (given.prompt is None) or (given.json and given.id):
            command.error("name an id, or --prompt TEXT, which --json goes with")
        if given.id is None:
            given.work = "explain_prompt:show"

    command.set_defaults(work="explain:show", check=check, extra="pipeline")


def _add_publish(commands: Any) -> None:
    publish = commands.add_parser(
        "publish",
        help="send a checkpoint, and its training rows, to the Hugging Face hub",
        description="Checks that weights, scores and training rows belong together and that every row's "
        "licence is known, and shows what would be sent: files with sizes, and the card. Only --send "
        "sends it, with the token in HF_TOKEN or of `hf auth login`. Run it in the checkout.",
    )
    publish.add_argument("repository", metavar="USER/NAME", help="the model's repository")
    publish.add_argument(
        "--model",
        metavar="NAME",
        help="base, sft or dpo, or a checkpoint's folder; default: the last that exists",
    )
    publish.add_argument(
        "--dataset", metavar="USER/NAME", help="also the training rows, as this data set"
    )
    publish.add_argument("--license", metavar="ID", help="the model's; default: the base model's")
    publish.add_argument(
        "--source-license",
        action="append",
        default=[],
        metavar="SOURCE=ID",
        help="that of a source of training rows, beside filter.licenses; can be repeated",
    )
    publish.add_argument(
        "--benchmark",
        metavar="USER/NAME",
        help="the benchmark's data set on the hub, for .eval_results/",
    )
    publish.add_argument("--private", action="store_true", help="make the repositories private")
    publish.add_argument("--send", action="store_true", help="send it")

    publish.set_defaults(work="publish:publish", extra="pipeline")


def _loaded(arguments: argparse.Namespace) -> Work:
    """Imports the subcommand's module and returns its function."""
    module, _, function = arguments.work.partition(":")
    try:
        found: Work = getattr(import_module(f"longwriter.cli.{module}"), function)
    except ModuleNotFoundError as error:
        if arguments.extra is None:
            raise
        sys.exit(
            f"error: {error.name} is not installed; `pip install 'longwriter[{arguments.extra}]'` "
            f"installs what `longwriter {arguments.command}` needs"
        )
    return found


def _prompt(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty: say what to write")
    return text


def _date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2026-11-26") from None


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http:// or https://")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _registered_name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not of letters, digits, `_`, `.` and `-`")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    main()
