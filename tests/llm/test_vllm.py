"""`vllm serve` with a stand-in for the program: nothing here needs vLLM or a GPU."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import pytest
from helpers.vllm import MODEL, StandIn, hello, runs

from longwriter.config.load import validate
from longwriter.core import process as vllm
from longwriter.core.errors import DataError, ServerError, ServerFault, SettingsError
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerKind, VllmSettings
from longwriter.models.serving import with_student

TESTS = Path(__file__).parent.parent


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path)
    monkeypatch.setenv("VLLM_STAND_IN", str(found.record))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of the logs
    return found


def test_it_is_started_with_what_the_settings_say(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("VLLM_API_KEY", "sk-2")
    monkeypatch.setenv("HF_TOKEN", "hf")
    with serve(stand_in.settings(concurrency=6, context=512)) as address:
        port = int(address.base_url.removeprefix("http://127.0.0.1:").removesuffix("/v1"))
        assert (address.model, address.identity) == (MODEL, f"vllm {MODEL}")
        assert address.api_key == "none"
    assert stand_in.started["options"] == {
        "command": "serve",
        "model": MODEL,
        "host": "127.0.0.1",
        "port": port,
        "served_model_name": MODEL,
        "max_model_len": 512,
        "max_num_seqs": 6,
        "tensor_parallel_size": 2,
        "data_parallel_size": 4,
        "generation_config": "vllm",
        "enable_prefix_caching": True,
        "enable_prompt_tokens_details": True,
        "disable_uvicorn_access_log": True,
    }
    environment = stand_in.started["environment"]
    assert not {"OPENAI_API_KEY", "VLLM_API_KEY"} & set(environment)
    assert environment["HF_TOKEN"] == "hf"
    assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"
    assert environment["PATH"].split(os.pathsep)[0] == str(stand_in.program.parent)
    stand_in.check_gone(within_s=0)
    assert not list(tmp_path.glob("longwriter-vllm-*"))  # the log of what went well


def test_it_answers_and_ends_with_the_work(stand_in: StandIn, tmp_path: Path) -> None:
    answer, spent = with_client(
        hello, stand_in.settings(), CallContext(tmp_path, 0, None), name="teacher"
    )
    assert (answer, spent["calls"]) == (f"I am {MODEL}.", 1)
    stand_in.check_gone(within_s=0)


def test_it_ends_with_an_error_of_the_work(stand_in: StandIn) -> None:
    with pytest.raises(ZeroDivisionError), serve(stand_in.settings()):
        raise ZeroDivisionError
    stand_in.check_gone(within_s=0)


def test_it_is_killed_where_sigterm_does_not_end_it(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN_DOES", "stay")
    monkeypatch.setattr(vllm, "GRACE_S", 1)
    with serve(stand_in.settings()):
        began = time.monotonic()
    assert 1 <= time.monotonic() - began < 5
    stand_in.check_gone()


def test_engines_end_where_their_api_server_was_killed(stand_in: StandIn) -> None:
    with serve(stand_in.settings()):
        api_server, engine = stand_in.started["pids"]
        os.kill(api_server, signal.SIGKILL)
        assert runs(engine)
    stand_in.check_gone()


def test_a_student_s_checkpoint_is_served_under_the_name_that_the_dag_gives_it(
    stand_in: StandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "models/sft"
    folder.mkdir(parents=True)
    (folder / "model-2.safetensors").write_bytes(b"two")
    (folder / "model-1.safetensors").write_bytes(b"one")
    student = composed().student
    student.server = replace(
        student.server, kind=ServerKind.vllm, model=None, vllm=stand_in.vllm(), max_retries=0
    )

    async def ask(client: ChatClient) -> tuple[str, str]:
        return client.address.identity, await hello(client)

    answer, _ = with_student(ask, folder, student, CallContext(tmp_path, 0, None))
    sums = [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]
    assert answer == (f"vllm {''.join(sums)}", "I am models/sft.")
    options = stand_in.started["options"]
    assert (options["model"], options["served_model_name"]) == (str(folder), "models/sft")


def test_a_local_folder_is_known_by_its_weights(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/model").mkdir(parents=True)
    with pytest.raises(DataError) as raised, serve(stand_in.settings()):
        pass
    assert str(raised.value) == (
        f"{tmp_path}/org/model: holds no safetensors; name a checkpoint's folder"
    )
    (tmp_path / "org/model/model.safetensors").write_bytes(b"one")
    with serve(stand_in.settings()) as address:
        assert address.identity == f"vllm {hashlib.sha256(b'one').hexdigest()}"
    assert stand_in.started["options"]["model"] == f"{tmp_path}/org/model"


def test_it_needs_a_model_and_its_settings(stand_in: StandIn) -> None:
    with pytest.raises(SettingsError) as raised, serve(stand_in.settings(model=None)):
        pass
    assert str(raised.value) == (
        "model: null, and kind=vllm needs a Hugging Face hub id or a folder"
    )
    with pytest.raises(SettingsError) as raised, serve(stand_in.settings(vllm=None)):
        pass
    assert str(raised.value) == (
        "vllm: null, and kind=vllm needs its settings, as in conf/server/vllm.yaml"
    )


def test_a_program_that_is_not_there(stand_in: StandIn) -> None:
    stand_in.program.unlink()
    with pytest.raises(ServerError) as raised, serve(stand_in.settings()):
        pass
    message = str(raised.value)
    assert message.startswith(f"{stand_in.program}: no such program. Install vLLM in an environ")
    assert message.endswith("vllm.executable=$PWD/vllm-env/bin/vllm")


def log_of(tmp_path: Path) -> Path:
    (found,) = tmp_path.glob("longwriter-vllm-*.log")
    return found


def test_it_dies_as_it_starts(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN_DOES", "die")
    with pytest.raises(ServerError) as raised, serve(stand_in.settings()):
        pass
    assert str(raised.value).splitlines() == [
        "vLLM ended with status 1 as it started.",
        f"The end of vLLM's log, {log_of(tmp_path)}:",
        *(f"line {number} of the log" for number in range(11, 30)),
        "ValueError: no memory is left",
    ]
    stand_in.check_gone()


def test_it_is_never_ready(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN_DOES", "load")
    began = time.monotonic()
    with pytest.raises(ServerError) as raised, serve(stand_in.settings(start_s=1)):
        pass
    assert 1 <= time.monotonic() - began < 5
    assert str(raised.value).splitlines() == [
        "vLLM was not ready after 1 s; a large model or a download may need more: set "
        "vllm.start_s.",
        f"The end of vLLM's log, {log_of(tmp_path)}:",
        *(f"line {number} of the log" for number in range(10, 30)),
    ]
    stand_in.check_gone()


def test_it_dies_in_the_middle_of_a_run(stand_in: StandIn, tmp_path: Path) -> None:
    async def work(client: ChatClient) -> None:
        with pytest.raises(ServerFault):
            await client.complete([{"role": "user", "content": "Die."}])
        await hello(client)

    # The call after it meets a closed port, or is in the backlog of one that closes.
    gone = "cannot be reached|the connection broke"
    with pytest.raises((ServerError, ServerFault), match=gone) as raised:
        with_client(work, stand_in.settings(), CallContext(tmp_path, 0, None), name="teacher")
    assert str(raised.value).splitlines()[1:] == [
        f"The end of vLLM's log, {log_of(tmp_path)}:",
        *(f"line {number} of the log" for number in range(11, 30)),
        "CUDA error: an illegal memory access was encountered",
    ]
    stand_in.check_gone()


# How this process may end

DRIVER = """
import sys
import time
from pathlib import Path

from helpers.vllm import StandIn, hello
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.servers import serve
from longwriter.config.run import guarded

stand_in = object.__new__(StandIn)
stand_in.program = Path(sys.argv[1]) / "bin/vllm"
if sys.argv[2] == "serve":
    with serve(stand_in.settings()) as address:
        print(address.base_url, flush=True)
        time.sleep(60)
guarded(lambda: with_client(hello, stand_in.settings(), CallContext(Path(sys.argv[1]), 0, None), name="teacher"))
"""


def driver(folder: Path, what: str) -> "subprocess.Popen[str]":
    """A process that serves with the stand-in in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), what],
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS),
            "TMPDIR": str(folder),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_nothing_is_left_where_this_process_is_killed(stand_in: StandIn, tmp_path: Path) -> None:
    process = driver(tmp_path, "serve")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        assert all(map(runs, stand_in.started["pids"]))
    finally:
        process.kill()
        process.communicate()
    stand_in.check_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_where_it_ends_while_vllm_loads(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN_DOES", "load")
    process = driver(tmp_path, "with_client")
    try:
        deadline = time.monotonic() + 30
        while not stand_in.record.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == (-9 if number is signal.SIGKILL else 130)
    stand_in.check_gone()


# Settings


def composed(*overrides: str) -> Any:
    with hydra.initialize_config_dir(str(TESTS.parent / "conf"), version_base=None):
        return validate(hydra.compose("config", overrides=list(overrides)))


def test_the_paper_s_student_is_served_on_every_gpu() -> None:
    student = composed("+experiment=paper").student
    assert student.server.vllm == VllmSettings(
        executable="vllm", tensor_parallel_size=1, data_parallel_size=8, start_s=1800
    )


@pytest.mark.parametrize("role", ["teacher", "judge"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("executable", "null"),
        ("executable", "???"),
        ("tensor_parallel_size", "0"),
        ("data_parallel_size", "1.5"),
        ("start_s", "0"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(role: str, key: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        composed(f"{role}=vllm", f"{role}.vllm.{key}={value}")
    assert str(raised.value).startswith(f"{role}.vllm.{key}: ")
