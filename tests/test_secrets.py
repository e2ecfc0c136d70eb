"""No key and no password is written down, not even where a server sends it back."""

import json
import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer
from helpers.sweeping import CHECKOUT, PIPELINE, call, git, make_repository

KEY = "sk-planted0123456789"
PASSWORD = "planted-password"
FILES = ("stages/agentwrite.py", "data/instructions_long.jsonl")


def found_in(folder: Path, secret: str) -> list[str]:
    """Files below `folder` that hold the secret, plain or as git packs it."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            with suppress(zlib.error):
                data += zlib.decompress(data)
            if secret.encode() in data:
                found.append(str(path.relative_to(folder)))
    return found


def test_a_planted_secret_is_seen(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    (root / "data/key.txt").write_text(KEY)
    git(root, "add", "--all")
    assert len(found_in(root, KEY)) == 2  # the file and git's object


@pytest.mark.slow
def test_keys_and_passwords_stay_out_of_everything(
    tmp_path: Path, chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer]
) -> None:
    root = make_repository(tmp_path / "root")
    for name in FILES:
        shutil.copyfile(CHECKOUT / name, root / name)
    real = PIPELINE.replace("stages/stage.py", "stages/agentwrite.py", 1)
    real = real.replace(
        "outs: [data/agentwrite/drafts.jsonl: {persist: true}]",
        "outs: [data/agentwrite/drafts.jsonl, data/agentwrite/failures.jsonl]",
    )
    (root / "dvc.yaml").write_text(
        real.replace("params: [agentwrite]", "params: [agentwrite, teacher]")
    )
    row = {"prompt": "Write 40 words about bees.", "length": 40}
    (root / "data/instructions.jsonl").write_text(json.dumps(row) + "\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "a real teacher")

    def refuse(request: dict[str, Any]) -> Answer:
        error = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
        return 401, json.dumps(error).encode()

    def write(request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return json.dumps({"plan": [{"main_point": "The bees fly out.", "word_count": 40}]})
        return " ".join(f"bee{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(40))

    server = chat_server(refuse)
    command = ["-m", "longwriter.sweep", "-m", "teacher=endpoint", "teacher.model=m"]
    command += [f"teacher.base_url={server.base_url}", "teacher.api_key_env=LW_PLANTED_KEY"]
    command += ["sweep.targets=[agentwrite]", "sweep.score=agentwrite.drafts"]
    planted = {
        "LW_PLANTED_KEY": KEY,
        "MLFLOW_TRACKING_URI": f"http://someone:{PASSWORD}@127.0.0.1:9",
    }
    refused, printed = call(root, *command, **planted)
    assert refused == 1, printed
    assert "LW_PLANTED_KEY" in printed
    server.answer = write
    status, again = call(root, *command, **planted)
    assert status == 0, again
    assert "agentwrite.drafts 1" in again
    assert "mlruns/mlflow.db" in again + (next(root.glob("multirun/sweep/*/*.log")).read_text())

    assert KEY not in printed + again
    assert PASSWORD not in printed + again
    for folder in (root, tmp_path / "cache"):
        assert found_in(folder, KEY) == []
        assert found_in(folder, PASSWORD) == []
