"""Stands in for `vllm serve`: takes its options, starts an engine, speaks HTTP.

As with vLLM, SIGTERM ends the engine too, and the engine outlives a server that is killed.

The environment tells it how to behave: VLLM_STAND_IN is the file it records itself in, and
VLLM_STAND_IN_DOES may be `die` (as it starts), `load` (for ever) or `stay` (whatever SIGTERM says).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DOES = os.environ.get("VLLM_STAND_IN_DOES")
ENGINE = "import time; time.sleep(60)"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["messages"][0]["content"] == "Die.":
            print("CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(1)
        choice = {"message": {"content": f"I am {request['model']}."}, "finish_reason": "stop"}
        self.answer(200 if self.path == "/v1/chat/completions" else 404, {"choices": [choice]})

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    for name in ("served-model-name", "generation-config"):
        parser.add_argument(f"--{name}")
    for name in ("max-model-len", "max-num-seqs", "tensor-parallel-size", "data-parallel-size"):
        parser.add_argument(f"--{name}", type=int)
    for name in (
        "enable-prefix-caching",
        "enable-prompt-tokens-details",
        "disable-uvicorn-access-log",
    ):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    if DOES == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the engine inherits it
    engine = subprocess.Popen([sys.executable, "-c", ENGINE])

    def end(*args: object) -> None:
        engine.terminate()
        engine.wait()
        sys.exit(0)

    if DOES != "stay":
        signal.signal(signal.SIGTERM, end)
    record = Path(os.environ["VLLM_STAND_IN"])
    started = {
        "options": vars(options),
        "environment": dict(os.environ),
        "pids": [os.getpid(), engine.pid],
    }
    record.with_suffix(".new").write_text(json.dumps(started))
    record.with_suffix(".new").rename(record)
    print(*(f"line {number} of the log" for number in range(30)), sep="\n", flush=True)
    if DOES == "die":
        sys.exit("ValueError: no memory is left")
    if DOES == "load":
        time.sleep(60)
    time.sleep(0.3)
    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


main()
