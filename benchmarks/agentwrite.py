"""Measures how well AgentWrite fills a simulated endpoint, and what a call costs the client.

    python benchmarks/agentwrite.py [--instructions 48] [--slots 64] [--rate 1500] [--shards 8]
    python benchmarks/agentwrite.py --addresses 3 [--kill 5] --shards 0
    python benchmarks/agentwrite.py --words 100 --instructions 10000 --shards 0
    python benchmarks/agentwrite.py --memory [--instructions 1000]
    python benchmarks/agentwrite.py --select 1000000

The first command writes texts of 2,000 to 12,000 words with the paper's settings and prints the
makespan over its lower bound: the longest chain of calls, or all work divided by all slots,
whichever is longer, by the time that the endpoint really slept. Then it does the same as
LongWriter's scripts do: one static shard of the instructions per process, one text after another in
each. The second command spreads the slots over several addresses; --kill ends the first of them
after that many seconds. It prints the share of prompt tokens that their prefix caches had. The
third writes many texts of one length; peak memory is printed, too. The fourth has all drafts in
flight at once. The last one runs that many instructions through the selection.

--profile prints where the client's CPU time goes. --traces N writes traces of N drafts to an MLflow
database in a temporary folder; their cost is part of the client CPU on the line AgentWrite.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer

import httpx2
import hydra
import openai

from longwriter.agentwrite.prompts import Prompts, read_prompts
from longwriter.agentwrite.selection import select_unasked, sift
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.agentwrite.writer import write_drafts
from longwriter.config.load import validate
from longwriter.core.rows import Instruction
from longwriter.core.settings import RuntimeSettings
from longwriter.core.workspace import Workspace
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerKind, ServerSettings, Structured
from longwriter.tracking.runs import StageLog, stage_run
from longwriter.tracking.traces import DraftTraces

ROOT = Path(__file__).resolve().parent.parent
SHORTEST, LONGEST = 2_000, 12_000

Write = Callable[[ChatClient], Awaitable[int]]
"""Writes all texts with a client; returns the number of drafts."""


@contextmanager
def endpoint(slots: int, rate: float, kill: float | None = None) -> Iterator[str]:
    """Yields the address of a simulated teacher, which runs in its own process.

    Args:
        kill: seconds after which it is killed.
    """
    command = [sys.executable, str(ROOT / "benchmarks/endpoint.py")]
    process = subprocess.Popen(
        [*command, "--slots", str(slots), "--rate", str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    timer = Timer(kill or 0.0, process.kill)
    if kill is not None:
        timer.start()
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        timer.cancel()
        process.stdin.close()
        process.wait()


@dataclass(frozen=True)
class Run:
    """The result of one way to write all texts."""

    drafts: int
    calls: int
    seconds: float
    cpu_seconds: float
    """CPU seconds of the client's process."""
    slept: dict[str, float]
    """Draft → seconds that the endpoints slept for all of its calls.

    Time on a killed endpoint is lost.
    """
    cached_share: float
    """Share of prompt tokens that were in the endpoints' prefix caches."""

    def bound(self, slots: int) -> float:
        """Returns the lower bound, in seconds, of writing these texts with `slots` slots."""
        return max(max(self.slept.values()), sum(self.slept.values()) / slots)


async def run(write: Write, teacher: ServerSettings) -> Run:
    """Writes all texts with a fresh cache."""
    with tempfile.TemporaryDirectory() as cache, serve(teacher) as address:
        async with ChatClient.open(teacher, address, Path(cache), 0) as client:
            start, cpu = time.perf_counter(), time.process_time()
            drafts = await write(client)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            slept: Counter[str] = Counter()
            for url in (address.base_url, *address.others):
                with suppress(OSError), urllib.request.urlopen(url) as told:
                    slept.update(json.loads(told.read()))
            return Run(
                drafts, client.usage.calls, seconds, cpu, slept, client.spent["cached_share"]
            )


def all_together(
    instructions: list[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
    traced: int = 0,
    log: StageLog | None = None,
) -> Write:
    """Returns a `Write` that writes all texts at once, as the stage does.

    Args:
        traced: number of drafts whose traces are written to the run `log`.
    """

    async def write(client: ChatClient) -> int:
        with DraftTraces(traced, log) if log else nullcontext() as traces:
            return len((await write_drafts(client, instructions, settings, prompts, traces)).drafts)

    return write


@contextmanager
def open_run(runtime: RuntimeSettings) -> Iterator[StageLog]:
    """Yields an MLflow run, already open, in its own temporary database."""
    with tempfile.TemporaryDirectory() as folder:
        work, runtime = (
            Workspace(Path(folder), Path(folder)),
            replace(runtime, system_metrics=False),
        )
        with stage_run("agentwrite", {}, work, runtime) as log:
            print(f"run {log.id} is open")
            yield log


async def bare(teacher: ServerSettings, calls: int) -> float:
    """Returns CPU seconds per request of `openai` alone, with a prompt of the usual size.

    It is the least that a call can cost on this machine under its current load.
    """
    words = (SHORTEST + LONGEST) // 4
    asked = " ".join(["word"] * words) + "\nWrite it in about 500 words."
    body = {"model": teacher.model, "messages": [{"role": "user", "content": asked}]}
    async with openai.AsyncOpenAI(
        base_url=teacher.base_urls[-1],
        api_key="none",
        http_client=openai.DefaultAsyncHttpxClient(
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        ),
    ) as client:

        async def ask(number: int) -> None:
            for _ in range(number):
                await client.post("/chat/completions", body=body, cast_to=httpx2.Response)

        places = min(teacher.concurrency, 48)
        await asyncio.gather(*(ask(1) for _ in range(places)))
        cpu = time.process_time()
        await asyncio.gather(*(ask(calls // places) for _ in range(places)))
        return (time.process_time() - cpu) / (calls // places * places)


def in_shards(
    instructions: list[Instruction], settings: AgentWriteSettings, prompts: Prompts, shards: int
) -> Write:
    """Returns a `Write` that works as LongWriter's agentwrite/plan.py and write.py do.

    Each shard takes every n-th instruction, and writes one text after another.
    """

    async def write(client: ChatClient) -> int:
        async def shard(part: list[Instruction]) -> int:
            return sum([await all_together([text], settings, prompts)(client) for text in part])

        parts = [shard(instructions[first::shards]) for first in range(shards)]
        return sum(await asyncio.gather(*parts))

    return write


def spread(number: int, words: int | None) -> list[Instruction]:
    """Returns `number` instructions with evenly spread lengths in mixed order.

    With `words`, all have that length.
    """
    if words is not None:
        asked = (f"Text {place}: write {words} words about tea." for place in range(number))
        return [Instruction(prompt=prompt, length=words) for prompt in asked]
    lengths = [
        SHORTEST + (LONGEST - SHORTEST) * place // max(number - 1, 1) for place in range(number)
    ]
    mixed = sorted(enumerate(lengths), key=lambda text: text[0] * 0.618034 % 1)
    return [
        Instruction(prompt=f"Text {place}: write {length} words about tea.", length=length)
        for place, length in mixed
    ]


def select(number: int, settings: AgentWriteSettings) -> None:
    """Prints the time and peak memory of selecting from `number` instructions."""
    start = time.perf_counter()
    rows = (
        Instruction(
            prompt=f"Text {place}: write 500 words about tea with milk, in a calm voice.",
            length=500,
        )
        for place in range(number)
    )
    with tempfile.TemporaryDirectory() as folder:
        sifted = sift(rows, settings.select, Path(folder))
        chosen = select_unasked(
            sifted, replace(settings, select=replace(settings.select, per_language=number // 2))
        )
        seconds, kept = time.perf_counter() - start, len(chosen.instructions)
    print(f"{number:,} instructions, {kept:,} selected: {seconds:.1f} s, peak {peak():.0f} MiB")


def peak() -> float:
    """Returns the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show(name: str, run: Run, slots: int, first: Run) -> None:
    """Prints a run's ratios, and the seconds behind them."""
    bound = run.bound(slots)
    print(
        f"{name:12s} {run.drafts} drafts, {run.calls} calls: makespan / lower bound "
        f"{run.seconds / bound:.3f} ({run.seconds:.1f} s / {bound:.1f} s), "
        f"{run.seconds / first.seconds:.2f} x the first line's makespan, client CPU "
        f"{1000 * run.cpu_seconds / run.calls:.2f} ms a call, {run.cached_share:.3f} of the prompts cached"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instructions", type=int)
    parser.add_argument("--words", type=int, help="of every text")
    parser.add_argument(
        "--select", type=int, help="instructions that are selected, none is written"
    )
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--rate", type=float, help="tokens a second a slot")
    parser.add_argument("--shards", type=int, default=8, help="0: leave LongWriter's scheme out")
    parser.add_argument("--addresses", type=int, default=1, help="that the slots are spread over")
    parser.add_argument("--kill", type=float, help="seconds after which the first one is killed")
    parser.add_argument("--traces", type=int, default=0, help="drafts that are traced")
    parser.add_argument("--stream", action="store_true", help="answers come a word at a time")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base=None):
        settings = validate(hydra.compose("config", ["agentwrite=paper"]))
    agentwrite = settings.agentwrite
    if options.select:
        select(options.select, agentwrite)
        return
    instructions = spread(options.instructions or (1000 if options.memory else 48), options.words)
    prompts = read_prompts(agentwrite.prompts, ROOT)
    start = time.perf_counter()
    with (
        open_run(settings.runtime) if options.traces else nullcontext() as log,
        ExitStack() as servers,
    ):
        rate = options.rate or (20_000 if options.memory else 1500)
        base_url = [
            servers.enter_context(
                endpoint(options.slots // options.addresses, rate, None if number else options.kill)
            )
            for number in range(options.addresses)
        ]
        print(f"process start: {time.perf_counter() - start:.2f} s (not included below)")
        teacher = replace(
            settings.teacher,
            kind=ServerKind.endpoint,
            model="simulated",
            base_url=base_url,
            api_key_env=None,
            concurrency=len(instructions) if options.memory else options.slots,
            context=131_072,
            max_tokens=8192,
            timeout_s=600.0,
            structured=Structured.json_schema,
            stream=options.stream,
        )
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        write = all_together(instructions, agentwrite, prompts, options.traces, log)
        together = asyncio.run(run(write, teacher))
        if options.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        show("AgentWrite", together, options.slots, together)
        print(f"peak memory, {teacher.concurrency} calls in flight: {peak():.0f} MiB")
        if options.shards and not options.memory:
            write = in_shards(instructions, agentwrite, prompts, options.shards)
            show(
                f"{options.shards} shards",
                asyncio.run(run(write, teacher)),
                options.slots,
                together,
            )
        floor = asyncio.run(bare(teacher, together.calls))
        print(f"openai alone: client CPU {1000 * floor:.2f} ms a call")


if __name__ == "__main__":
    main()
