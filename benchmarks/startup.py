"""Measures seconds from the start of `longwriter write` to its first request to an endpoint.

    python benchmarks/startup.py [--runs 9]

The endpoint answers 400, so each run ends after its first request.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from statistics import median
from threading import Thread

ASKED: list[float] = []
"""When each request arrived."""


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        ASKED.append(time.perf_counter())
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, daemon=True).start()
    command = [
        sys.executable,
        "-m",
        "longwriter.cli.main",
        "write",
        "Write 10,000 words about tea.",
    ]
    command += ["--model", "m", "--base-url", f"http://127.0.0.1:{server.server_port}/v1"]
    times, before = [], os.times()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            start = time.perf_counter()
            subprocess.run(command, cwd=folder, capture_output=True)
            times.append(ASKED[-1] - start)
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user
    busy = (busy - before.children_system) / runs
    print(f"median of {runs}: {median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"processor time of a run: {busy:.2f} s")


if __name__ == "__main__":
    main()
