"""`vllm serve` by a stand-in for the program (helpers/stand_in_vllm.py), and settings that start it."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from helpers.loopback import endpoint_settings

from longwriter.llm.client import ChatClient
from longwriter.llm.settings import ServerKind, ServerSettings, VllmSettings

MODEL = "org/model"


class StandIn:
    """The program, and what it records of itself."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "bin/vllm"
        self.program.parent.mkdir()
        code = Path(__file__).with_name("stand_in_vllm.py").read_text()
        self.program.write_text(f"#!{sys.executable}\n{code}")
        self.program.chmod(0o755)
        self.record = folder / "record.json"

    @property
    def started(self) -> dict[str, Any]:
        found = json.loads(self.record.read_text())
        assert isinstance(found, dict)
        return found

    def settings(self, start_s: float = 20.0, **changes: Any) -> ServerSettings:
        """Settings that start the stand-in."""
        return endpoint_settings(
            "", **{"kind": ServerKind.vllm, "model": MODEL, "vllm": self.vllm(start_s)} | changes
        )

    def vllm(self, start_s: float = 20.0) -> VllmSettings:
        return VllmSettings(
            executable=str(self.program),
            tensor_parallel_size=2,
            data_parallel_size=4,
            start_s=start_s,
        )

    def check_gone(self, within_s: float = 5) -> None:
        """Server and engine have ended."""
        deadline = time.monotonic() + within_s
        while alive := list(filter(runs, self.started["pids"])):
            assert time.monotonic() < deadline, alive
            time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie, which an orphan may stay for seconds."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def hello(client: ChatClient) -> str:
    return (await client.complete([{"role": "user", "content": "Who?"}])).text
