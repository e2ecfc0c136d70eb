"""A data set of the Hugging Face hub in place of drafts. The hub is a server on loopback that answers
what `datasets` asks; in a process of its own, for HF_ENDPOINT is read at import."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.texts import TALES, ZH_TALES
from huggingface_hub import DatasetCard
from test_filter import read

NAME, REVISION = "org/LongWriter-6k", "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    ("Write about a market.", TALES[0]),
    ("Write 2000 words on soil.", TALES[7]),
    ("写一篇关于茶的文章。", ZH_TALES[5]),
    ("Tell of clocks.", "I'm sorry, but I can't help with that. " + TALES[4]),
]
FILES = {
    "README.md": b"# LongWriter-6k\n",
    "long.jsonl": "".join(
        json.dumps({"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]}) + "\n"
        for prompt, response in ROWS
    ).encode(),
}  # fmt: skip
SCRIPT = """
import sys
from pathlib import Path
from longwriter.dataset.stage import filter_rows
from longwriter.core.errors import LongwriterError
from longwriter.core.workspace import Workspace
from training.checkpoints import default_settings
settings = default_settings()
settings.filter.drafts, settings.filter.revision = sys.argv[2:]
settings.filter.licenses["org/LongWriter-6k"] = "Apache-2.0"
settings.filter.held_out, settings.filter.general.number = 0, 0
try:
    filter_rows(settings, Workspace(Path(sys.argv[1]), Path(sys.argv[1])), "0")
except LongwriterError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class Hub(BaseHTTPRequestHandler):
    """The repository NAME at REVISION; anything else is not there."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        api, files = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/{REVISION}/"
        path = self.path.split("?")[0]
        if path == f"{api}/revision/{REVISION}":
            siblings = [{"rfilename": name} for name in FILES]
            self._json({"id": NAME, "sha": REVISION, "siblings": siblings, "tags": []})
        elif path == f"{api}/tree/{REVISION}":
            self._json(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": REVISION}
                    for name, data in FILES.items()
                ]
            )
        elif path.startswith(files) and path.removeprefix(files) in FILES:
            headers = {"ETag": f'"{path}"', "X-Repo-Commit": REVISION}
            self._reply(200, FILES[path.removeprefix(files)], headers)
        else:
            known = f"/{REVISION}" in path
            code = "EntryNotFound" if known else "RevisionNotFound"
            self._reply(404, b"{}", {"X-Error-Code": code})

    def _json(self, value: Any) -> None:
        self._reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def filtered(folder: Path, hub: str, revision: str) -> subprocess.CompletedProcess[str]:
    tests = str(Path(__file__).parents[1])
    environment = os.environ | {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(folder / "hf-home"),
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, "-c", SCRIPT, str(folder), NAME, revision]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_longwriter_6k_from_the_hub(tmp_path: Path, hub: str) -> None:
    run = filtered(tmp_path, hub, REVISION)
    assert run.returncode == 0, run.stderr
    train = read(tmp_path / "data/sft/train.jsonl")
    assert {row["messages"][1]["content"] for row in train} == {TALES[0], ZH_TALES[5]}
    assert {row["source"] for row in train} == {f"{NAME} at {REVISION}"}
    rejected = {row["rule"] for row in read(tmp_path / "data/sft/rejected.jsonl")}
    assert rejected == {"length_missed", "refusal"}
    assert f"| {NAME} at {REVISION} | {REVISION} |" in (tmp_path / "data/sft/card.md").read_text()
    header = DatasetCard.load(tmp_path / "data/sft/hf/README.md").data
    assert (header.license, header["source_datasets"]) == ("apache-2.0", [NAME])


def test_a_revision_that_is_not_there(tmp_path: Path, hub: str) -> None:
    run = filtered(tmp_path, hub, "f" * 40)
    assert run.returncode == 1
    message = run.stderr.splitlines()[-1]
    assert message.startswith(f"DataError: {NAME} at {'f' * 40}: cannot be read after row 0 (")
    assert message.endswith("mend the data set's name or its revision")
    assert not (tmp_path / "data/sft").exists()
