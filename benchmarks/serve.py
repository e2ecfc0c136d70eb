"""Tokens/s of the embedded server over its number of slots, as ratios to one slot, in one run.

    python benchmarks/serve.py [--slots 1 4 16] [--tokens 200] [--gguf FILE]

Each line serves the same 16 requests. The base line is one slot: calls one after the other.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_at_once
from longwriter.llm.session import CallContext, with_client

REQUESTS = 16


async def generate(client: ChatClient, tokens: int) -> tuple[int, float]:
    """Tokens written by REQUESTS calls, and the seconds they took."""
    start = time.perf_counter()
    jobs = [
        client.complete(
            [{"role": "user", "content": f"Tell the history of tea in 900 words. Part {number}."}],
            max_tokens=tokens,
        )
        for number in range(REQUESTS)
    ]
    answers = await all_at_once(jobs, "serve")
    return sum(answer.completion_tokens for answer in answers), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--gguf", type=Path, help="another file than the teacher's")
    options = parser.parse_args()
    config = OmegaConf.create(compose_params(Path(__file__).resolve().parent.parent))
    assert isinstance(config, DictConfig)
    teacher = validate(config).teacher
    first = None
    for slots in options.slots:
        with tempfile.TemporaryDirectory() as cache:
            (tokens, seconds), _ = with_client(
                lambda client: generate(client, options.tokens),
                replace(teacher, concurrency=slots),
                CallContext(Path(cache), seed=0, threads=None),
                name="teacher",
                checkpoint=options.gguf,
            )
        rate = tokens / seconds
        first = first or rate
        print(f"{slots:3d} slots: {rate:6.1f} tokens/s, {rate / first:.2f} x the first line")


if __name__ == "__main__":
    main()
