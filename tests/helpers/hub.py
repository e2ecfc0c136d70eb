"""A Hugging Face hub on loopback with one data set, and Python code that uses it. The code runs in a
process of its own, for `huggingface_hub` reads HF_ENDPOINT at its import."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
REVISION = "0123456789abcdef0123456789abcdef01234567"
"""The only commit of the data set."""


@contextmanager
def hub(name: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Yields the address of a hub whose only repository is the data set `name` with these files."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            api, folder = f"/api/datasets/{name}", f"/datasets/{name}/resolve/{REVISION}/"
            path = self.path.split("?")[0]
            if path == f"{api}/revision/{REVISION}":
                siblings = [{"rfilename": file} for file in files]
                self._json({"id": name, "sha": REVISION, "siblings": siblings, "tags": []})
            elif path == f"{api}/tree/{REVISION}":
                self._json(
                    [
                        {"type": "file", "path": file, "size": len(data), "oid": REVISION}
                        for file, data in files.items()
                    ]
                )
            elif path.startswith(folder) and path.removeprefix(folder) in files:
                headers = {"ETag": f'"{path}"', "X-Repo-Commit": REVISION}
                self._reply(200, files[path.removeprefix(folder)], headers)
            else:
                known = f"/{REVISION}" in path
                code = "EntryNotFound" if known else "RevisionNotFound"
                self._reply(404, b"{}", {"X-Error-Code": code})

        def _json(self, value: Any) -> None:
            self._reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_with_hub(
    address: str, folder: Path, code: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Runs Python code that may import from tests/; its cache of the hub is in `folder`."""
    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(folder / "hf-home"),
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
