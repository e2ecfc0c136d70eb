"""SFT in processes that the stage starts: the same model, one MLflow run, errors that come through."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import torch
import yaml
from helpers.checkpoints import (
    CHECKOUT,
    default_settings,
    packaged_tokenizer,
    train_in_float32,
    two_processes,
    write_tiny,
)
from helpers.ports import free_ports
from helpers.sft_runs import ROWS, four_steps, job, tune
from safetensors.torch import load_file

from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.workspace import Workspace
from longwriter.models import launch
from longwriter.models.settings import RopeScaling, RopeType
from longwriter.sft.settings import Method
from longwriter.sft.trainer import SftJob, loading_arguments
from longwriter.tracking.store import tracking_uri

TWO = default_settings("runtime=cpu2").runtime.accelerate


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT / "src"))


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Two packs a step, and one epoch of two steps over three packs."""
    threads = torch.get_num_threads()
    settings = default_settings()
    settings.sft = replace(
        settings.sft,
        learning_rate=1e-3,
        num_train_epochs=2.0,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        max_length=90,
        packing=True,
        save_steps=1,
    )
    yield settings
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "method"),
    [
        ("cpu2", Method.full),
        ("cpu2", Method.lora),
        ("fsdp2", Method.full),
        ("zero3_offload", Method.full),
        ("zero3_offload", Method.lora),
    ],
)
def test_two_processes_train_the_model_that_one_does(
    runtime: str,
    method: Method,
    settings: Settings,
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train_in_float32(tmp_path / "site", monkeypatch)
    evaluation = {"eval_strategy": "steps", "eval_steps": 1}
    settings.sft = replace(settings.sft, method=method, trl=evaluation)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    one = tune(base, tmp_path / "one/sft", settings, tmp_path, validation=ROWS)
    assert one.metrics["sequences"] == 3  # an odd number, for two processes

    settings.sft = replace(settings.sft, gradient_accumulation_steps=1)
    settings.runtime = replace(settings.runtime, accelerate=two_processes(runtime))
    two = tune(base, tmp_path / "two/sft", settings, tmp_path, validation=ROWS)
    keys = ["step", "loss", "grad_norm", "learning_rate", "eval_loss"]
    found, expected = (
        [[entry[key] for key in keys] for entry in tuned.trained.curve] for tuned in (two, one)
    )
    assert len(found) == 4
    assert found == [pytest.approx(row, rel=1e-4) for row in expected]
    timing = {"seconds", "tokens_per_s", "target_tokens_per_s", "peak_memory_mb", "train_loss"}
    assert {k: v for k, v in two.metrics.items() if k not in timing} == {
        k: v for k, v in one.metrics.items() if k not in timing
    }
    ours, theirs = (load_file(tmp_path / n / "sft/model.safetensors") for n in ("one", "two"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)

    if runtime in ("fsdp2", "zero3_offload") and method is Method.full:
        # From the checkpoint of step 3, of which each process has a part.
        shutil.rmtree(two.trained.checkpoints / "checkpoint-4")
        again = tune(base, tmp_path / "again/sft", settings, tmp_path, validation=ROWS)
        assert again.trained.share == 0.25
        resumed = load_file(tmp_path / "again/sft/model.safetensors")
        assert all(torch.equal(resumed[name], theirs[name]) for name in theirs)
        return
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    runs = client.search_runs(["1"])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    for run in runs:  # logged live by the first process
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [point.step for point in history] == [1, 2, 3, 4]
        assert {"target_tokens_per_s", "packing_efficiency", "grad_norm"} <= set(run.data.metrics)
    assert not list((own_cache / "checkpoints").glob("*.job"))


@pytest.mark.slow
def test_two_processes_on_one_sequence_train_the_model_that_one_does(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of odd lengths, two a step, cut in two; the loss counts every target once."""
    parallel = two_processes("zero3_sequence")
    train_in_float32(tmp_path / "site", monkeypatch)
    settings.sft = replace(settings.sft, packing=False, attn_implementation="sdpa")
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    one = tune(base, tmp_path / "one/sft", settings, tmp_path)
    settings.runtime = replace(settings.runtime, accelerate=parallel)
    two = tune(base, tmp_path / "two/sft", settings, tmp_path)
    found, expected = (
        [[entry["loss"], entry["grad_norm"]] for entry in done.trained.curve] for done in (two, one)
    )
    assert len(found) == 4
    assert found == [pytest.approx(row, rel=1e-4) for row in expected]
    ours, theirs = (load_file(tmp_path / n / "sft/model.safetensors") for n in ("one", "two"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)

    # From the middle of the second epoch, whose packs have another order than the first's.
    shutil.rmtree(two.trained.checkpoints / "checkpoint-4")
    again = tune(base, tmp_path / "again/sft", settings, tmp_path)
    assert again.trained.share == 0.25
    resumed = load_file(tmp_path / "again/sft/model.safetensors")
    assert all(torch.equal(resumed[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(("packing", "kernel"), [(True, None), (False, None), (True, "sdpa")])
def test_sequence_parallelism_is_refused_where_rows_would_meet(
    packing: bool, kernel: str | None, settings: Settings, tmp_path: Path
) -> None:
    settings.sft = replace(settings.sft, packing=packing, attn_implementation=kernel)
    parallel = {"parallelism_config": {"parallelism_config_sp_size": 2}}
    settings.runtime = replace(settings.runtime, accelerate=parallel)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    given = job(base, tmp_path / "sft", settings, Workspace(tmp_path, tmp_path))
    with pytest.raises(SettingsError, match=r"^sft\.attn_implementation: .* flash_attention_2"):
        loading_arguments(given)


MACHINE = """
import sys
from pathlib import Path
from dataclasses import replace
from helpers.checkpoints import default_settings
from helpers.sft_runs import four_steps, tune

settings, folder = four_steps(), Path(sys.argv[1])
accelerate = default_settings("runtime=cpu2").runtime.accelerate
accelerate |= {"num_machines": 2, "main_process_ip": "127.0.0.1", "main_process_port": int(sys.argv[2])}
settings.runtime = replace(settings.runtime, accelerate=accelerate)
settings.sft = replace(settings.sft, num_train_epochs=2)
tune(folder / "base", folder / "two/sft", settings, folder)
"""
"""SFT by a process on each of two machines; run on the first one."""


@pytest.mark.slow
@pytest.mark.parametrize("by", ["slurm", "hand"])
def test_two_machines_train_the_model_that_one_does(
    by: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_in_float32(tmp_path / "site", monkeypatch)
    settings = four_steps()
    settings.sft = replace(settings.sft, gradient_accumulation_steps=2, num_train_epochs=2)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    one = tune(base, tmp_path / "one/sft", settings, tmp_path)
    script = tmp_path / "machine.py"
    script.write_text(MACHINE)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT / "tests"), prepend=os.pathsep)
    first = [sys.executable, str(script), str(tmp_path), str(free_ports(1)[0])]
    if by == "slurm":
        cluster = request.getfixturevalue("slurm")
        job = ["salloc", "--nodes=2", "srun", "--nodes=1", "--ntasks=1", *first]
        subprocess.run(job, env={**os.environ, **cluster}, check=True, timeout=300)
    else:
        with subprocess.Popen(first, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            said = next(line for line in process.stdout if "accelerate.commands.launch" in line)
            second = shlex.split(said.replace("--machine_rank N", "--machine_rank 1"))
            assert subprocess.run(second, timeout=300).returncode == 0
        assert process.returncode == 0
    assert (one.trained.curve[-1]["step"], one.metrics["sequences"]) == (4, 4)
    ours, theirs = (load_file(tmp_path / n / "sft/model.safetensors") for n in ("one", "two"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)


@pytest.mark.slow
def test_an_error_of_the_processes_is_the_stage_s(settings: Settings, tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    settings.sft = replace(settings.sft, max_length=60)
    settings.runtime = replace(settings.runtime, accelerate=TWO)
    with pytest.raises(TrainingError, match=r"^row three: \d+ tokens, and sft\.max_length is 60"):
        tune(base, tmp_path / "sft", settings, tmp_path)
    settings.sft = replace(settings.sft, max_length=90, method=Method.qlora)
    with pytest.raises(TrainingError, match=r"^sft\.method=qlora: needs the package bitsandbytes"):
        tune(base, tmp_path / "sft", settings, tmp_path)
    settings.sft = replace(settings.sft, method=Method.full)
    settings.runtime = replace(settings.runtime, accelerate={"distributed_type": "NONE"})
    with pytest.raises(
        TrainingError, match=r"^`accelerate launch` ended with status 1; the reason"
    ):
        tune(base, tmp_path / "sft", settings, tmp_path)


def test_a_job_survives_its_folder(settings: Settings, tmp_path: Path) -> None:
    settings.student = replace(
        settings.student, rope_scaling=RopeScaling(rope_type=RopeType.yarn, factor=4.0)
    )
    settings.runtime = replace(settings.runtime, accelerate=TWO)
    base = write_tiny(tmp_path / "a base", packaged_tokenizer())
    given = job(base, Path("sft/ö"), settings, Workspace(tmp_path, tmp_path))
    with pytest.raises(TrainingError, match="ended with status"):
        launch.run_processes("longwriter.no_such_module", given, {})
    folder = given.checkpoints.with_name(f"{given.checkpoints.name}.job")
    assert launch.read_job(folder, SftJob) == given
    config = yaml.safe_load((folder / "accelerate.yaml").read_text())
    assert config == TWO
    assert config["mixed_precision"] == "no"  # which YAML reads as false where it is not quoted


RANK_1_FAILS = """
import os, sys
from pathlib import Path

from longwriter.models.launch import in_process
from longwriter.models.training_run import TrainResult

def train():
    print({name for name in os.environ if "API_KEY" in name or name == "MLFLOW_RUN_ID"}, flush=True)
    if os.environ["RANK"] == "1":
        raise ValueError("no such tensor")
    import time
    time.sleep(60)

in_process(Path(sys.argv[1]), train)
"""


def test_the_reason_of_any_process_is_told_and_no_key_reaches_it(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "fails.py").write_text(RANK_1_FAILS)
    monkeypatch.setenv("PYTHONPATH", f"{CHECKOUT / 'src'}{os.pathsep}{tmp_path}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    settings.runtime = replace(settings.runtime, accelerate=TWO)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    given = job(base, tmp_path / "sft", settings, Workspace(tmp_path, tmp_path))
    with pytest.raises(TrainingError, match=r"^process 1: ValueError: no such tensor$"):
        launch.run_processes("fails", given, {"MLFLOW_RUN_ID": "1"})
    assert capfd.readouterr().out.count("{'MLFLOW_RUN_ID'}") == 2
