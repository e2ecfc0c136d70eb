"""Runs training in the processes that `accelerate launch` starts.

The stage handles input, tracking and output; the processes only train. They communicate through a
folder, which has to be on a shared disk if there are several machines (LONGWRITER_CACHE):

    job.yaml          the job, written by the stage
    accelerate.yaml   runtime.accelerate, as the config file of `accelerate launch`
    result.json       the return value of the first process
    error-RANK.txt    the message of the error that ended a process
"""

import json
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from longwriter.core.errors import LongwriterError, SettingsError, TrainingError
from longwriter.core.files import write_json, write_text
from longwriter.core.process import own_session, without_keys
from longwriter.core.workspace import cores
from longwriter.models.training_run import TrainResult

J = TypeVar("J")

STDOUT = 1
JOB, ACCELERATE, RESULT = "job.yaml", "accelerate.yaml", "result.json"


def read_job(folder: Path, kind: type[J]) -> J:
    """Returns the job that `run_processes` wrote to `folder`, equal to what it was given."""
    typed = OmegaConf.merge(OmegaConf.structured(kind), OmegaConf.load(folder / JOB))
    job = OmegaConf.to_object(typed)
    assert isinstance(job, kind)
    return job


def run_processes(module: str, job: Any, tracking: Mapping[str, str]) -> tuple[Any, ...]:
    """Runs `module` in the processes that the job's runtime.accelerate describes.

    Each process gets the job's folder as its argument. The processes are stopped when this one
    ends, however it ends. The folder is removed on success.

    Args:
        job: has `runtime` and `checkpoints`.
        tracking: environment variables that name the MLflow run to log into.

    Returns:
        What training returned in the first process.

    Raises:
        TrainingError: a process failed; the message is that of the first error.
        SettingsError: the SLURM job's number of nodes differs from `num_machines`.
    """
    folder = job.checkpoints.with_name(f"{job.checkpoints.name}.job")
    shutil.rmtree(folder, ignore_errors=True)
    write_text(folder / JOB, OmegaConf.to_yaml(OmegaConf.structured(job)))
    configuration = _on_slurm(job.runtime.accelerate or {})
    write_text(folder / ACCELERATE, OmegaConf.to_yaml(configuration))
    command = _command(configuration, module, folder)
    # The total, which the processes share; unset, `accelerate launch` gives each one thread.
    # API keys are left out: with several machines accelerate writes all variables to a file
    # (.deepspeed_env).
    threads = {"OMP_NUM_THREADS": str(job.runtime.threads or cores())}
    environment = {**without_keys(os.environ), **threads, **tracking}
    with own_session(command, STDOUT, environment) as processes:
        status = processes.wait()
    errors = sorted(folder.glob("error-*.txt"), key=lambda file: file.stat().st_mtime_ns)
    if errors:
        raise TrainingError(errors[0].read_text(encoding="utf-8"))
    if status or not (folder / RESULT).exists():
        raise TrainingError(
            f"`accelerate launch` ended with status {status}; the reason is printed above. "
            "Checkpoints are kept: the same command resumes from the last one"
        )
    trained, *others = json.loads((folder / RESULT).read_bytes())
    shutil.rmtree(folder)
    return TrainResult(**trained | {"checkpoints": job.checkpoints}), *others


def _on_slurm(configuration: dict[str, Any]) -> dict[str, Any]:
    """Returns `runtime.accelerate`, with this node's address if a SLURM job has several nodes.

    This node is then the first one of the job.

    Raises:
        SettingsError: the job's number of nodes differs from `num_machines`.
    """
    nodes, machines = _nodes(), configuration.get("num_machines", 1)
    if nodes == 1:
        return configuration
    if machines != nodes:
        raise SettingsError(
            f"runtime.accelerate.num_machines={machines}, and SLURM gave this job {nodes} nodes: "
            "set both to the same number"
        )
    address = {"main_process_ip": socket.gethostname(), "main_process_port": _port()}
    return {**configuration, **address}


def _nodes() -> int:
    return int(os.environ.get("SLURM_JOB_NUM_NODES", 1))


def _port() -> int:
    """Returns a port specific to this SLURM job, because two jobs may have the same first node."""
    return 20_000 + int(os.environ["SLURM_JOB_ID"]) % 10_000


def _command(configuration: dict[str, Any], module: str, folder: Path) -> list[str]:
    """Returns the command that starts the processes, here or on all nodes of a SLURM job.

    If processes on other machines have to be started by hand, prints the command for that.
    """
    program = [sys.executable, "-m", "accelerate.commands.launch"]
    arguments = ["--config_file", str(folder / ACCELERATE), "--module", module, str(folder)]
    if (nodes := _nodes()) > 1:  # a shell on each node, which knows the node's number
        each = 'exec "$0" -m accelerate.commands.launch --machine_rank "$SLURM_NODEID" "$@"'
        # --overlap: the stage itself is a step of this job and occupies the first node.
        step = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--kill-on-bad-exit"]
        return [*step, "sh", "-c", each, sys.executable, *arguments]
    deepspeed = configuration.get("deepspeed_config") or {}
    pdsh = deepspeed and deepspeed.get("deepspeed_multinode_launcher", "pdsh") != "standard"
    if configuration.get("num_machines", 1) > 1 and not pdsh:
        print("run this on every other machine, with N replaced by its rank (1, 2, …):", flush=True)
        print(shlex.join([*program, "--machine_rank", "N", *arguments]), flush=True)
    return [*program, *arguments]


def in_process(folder: Path, train: Callable[[], tuple[Any, ...]]) -> None:
    """Runs the training of one process, start to end.

    The process of rank 0 writes the result to `folder`; any process that fails writes its error
    message there.

    Args:
        train: returns a TrainResult, followed by values that can be written as JSON.

    Raises:
        SystemExit: training failed; `accelerate launch` then ends the other processes.
    """
    rank = os.environ.get("RANK", "0")
    error_file = folder / f"error-{rank}.txt"
    try:
        trained, *others = train()
    except LongwriterError as error:
        write_text(error_file, str(error))
        raise SystemExit(1) from None
    except Exception as error:
        write_text(error_file, f"process {rank}: {type(error).__name__}: {error}")
        raise
    if rank == "0":
        numbers = asdict(trained) | {"checkpoints": str(trained.checkpoints)}
        write_json(folder / RESULT, [numbers, *others])
