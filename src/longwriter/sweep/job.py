"""Runs a job of a sweep as a DVC experiment in a temporary folder, and records its results."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from longwriter.config.inputs import input_digests
from longwriter.config.load import validate
from longwriter.core.files import write_json
from longwriter.core.settings import file_settings, flatten_settings
from longwriter.core.workspace import Workspace
from longwriter.sweep.experiments import (
    experiment_ref,
    fingerprint,
    read_json,
    read_text,
    untracked_inputs,
)
from longwriter.sweep.records import JobRecord
from longwriter.sweep.settings import SweepSettings
from longwriter.sweep.stage_locks import NAMED, StageLocks, stage_keys
from longwriter.tracking.pipeline import compared_settings, log_pipeline_run
from longwriter.tracking.provenance import SWEEP, SWEEP_JOB

DVC = """
from dvc.cli import main
from longwriter.core.process import end_with_parent

end_with_parent()
raise SystemExit(main())
"""
"""DVC's command line, as a program that also ends when the job that started it dies (Linux)."""


@dataclass(frozen=True)
class Job:
    """A job to run."""

    sweep: SweepSettings
    overrides: Sequence[str]
    """Overrides with one value each, such as `sft.learning_rate=1e-5`."""
    config: DictConfig
    """All settings with the overrides applied, resolved."""

    @property
    def key(self) -> str:
        """Returns the job's short name within its sweep."""
        text = "\n".join([*sorted(self.overrides), *self.sweep.targets])
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


def failed_job(folder: Path, job: Job, reason: str) -> JobRecord:
    """Writes a record into `folder` for a job that could not be run, and returns it."""
    name = f"{job.sweep.id}-{job.key}"
    record = JobRecord(experiment=name, overrides=list(job.overrides), error=reason)
    write_json(folder / f"{job.key}.json", record.model_dump())
    print(f"{name}: {reason}", flush=True)
    return record


def run_job(root: Path, folder: Path, job: Job) -> JobRecord:
    """Runs `job` and writes its record into `folder`.

    A job that has already finished with the same code, settings and files is not run again. A job
    that fails is recorded with the reason, and nothing is raised.
    """
    inputs = input_digests(validate(job.config), root)
    code = fingerprint(root)
    name = f"{job.sweep.id}-{job.key}-{_short_hash([code, inputs])}"
    path, log = folder / f"{job.key}.json", folder / f"{job.key}.log"
    cache = Workspace(root, root).cache / "sweep"
    folder.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{name}.lock"):
        ref, error, seconds = experiment_ref(root, name), None, None
        keys = stage_keys(root, job.sweep.targets, job.config, inputs, code)
        if ref is None:
            print(f"{name}: {' '.join(job.overrides)}", flush=True)
            start = time.monotonic()
            with StageLocks(cache, keys) as locks:
                error = _run_dvc(root, name, job, locks, log)
            seconds = round(time.monotonic() - start, 1)
            ref = experiment_ref(root, name)
            if ref is None and error is None:
                error = f"DVC made no experiment {name}; see {log}"
        elif path.exists():
            seconds = json.loads(path.read_bytes()).get("seconds")
        record = JobRecord(
            experiment=name, overrides=list(job.overrides), error=error, seconds=seconds
        )
        if ref is not None:
            _read_results(root, ref, job, list(keys), record)
        write_json(path, record.model_dump())
    print(f"{name}: {error or f'{job.sweep.score} {record.score}'}", flush=True)
    return record


def _run_dvc(root: Path, name: str, job: Job, locks: StageLocks, log: Path) -> str | None:
    """Runs the experiment; returns why it failed, or None."""
    command = [sys.executable, "-c", DVC, "--wait-for-lock", "exp", "run", "--temp", "--name", name]
    for override in job.overrides:
        command += ["--set-param", override]
    for path in untracked_inputs(root, _named_files(job)):
        command += ["--copy-paths", path]
    # `src` first, so that stages run the code in the experiment's folder and not the checkout's,
    # which may be edited meanwhile.
    paths = os.pathsep.join(["src", *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "PYTHONUNBUFFERED": "1",
        SWEEP: job.sweep.id,
        SWEEP_JOB: json.dumps(job.overrides),
    }
    lines: list[str] = []
    with log.open("w", encoding="utf-8") as file, _one_starts(root) as started:
        process = subprocess.Popen(  # noqa: S603
            [*command, *job.sweep.targets],
            cwd=root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            for line in process.stdout or ():
                file.write(line)
                file.flush()
                lines.append(line.strip())
                if NAMED.match(line):
                    started.release(force=True)
                if line.startswith("Running stage"):
                    print(f"{name}: {line.strip().rstrip(':')}", flush=True)
                locks.read(line)
            if process.wait() == 0:
                locks.finish()
                return None
        finally:
            process.terminate()
            process.wait()
    return _reason(lines) or f"DVC ended with {process.returncode}; see {log}"


def _named_files(job: Job) -> Iterator[str]:
    """Every file and folder that the job's settings name."""
    for setting in file_settings(validate(job.config)):
        value = setting.value
        if isinstance(value, str):
            yield value
        elif value:
            yield from value.values() if isinstance(value, Mapping) else value


@contextmanager
def _one_starts(root: Path) -> Iterator[FileLock]:
    """Lets only one job at a time start its experiment.

    DVC moves an experiment from its stash to its folder without taking a lock.
    """
    lock = FileLock(root / ".dvc/tmp/longwriter-sweep.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    with lock:
        yield lock


def _reason(lines: Sequence[str]) -> str | None:
    """Returns the line that says why DVC failed: a stage's own, else DVC's, else None."""
    for start in ("error: ", "ERROR: "):
        found = [line.removeprefix(start) for line in lines if line.startswith(start)]
        if found:
            return found[-1]
    return None


def _read_results(root: Path, ref: str, job: Job, stages: Sequence[str], record: JobRecord) -> None:
    """Fills `record` from the experiment's metric files.

    Also logs a run to MLflow if the sweep's targets leave out stage `report`, which would log it.
    """
    metrics = {
        name: read_json(root, ref, f"metrics/{name.replace('@', '/')}.json") for name in stages
    }
    metrics = {name: found for name, found in metrics.items() if found is not None}
    *file, key = job.sweep.score.split(".")
    found = read_json(root, ref, f"metrics/{'/'.join(file)}.json") or {}
    record.score = found.get(key)
    if record.score is None and record.error is None:
        record.error = f"sweep.score: metrics/{'/'.join(file)}.json has no {key}"
    if file[0] == "eval":
        record.S_l = found.get("S_l")
    costs = [numbers["cost_usd"] for numbers in metrics.values() if "cost_usd" in numbers]
    record.cost_usd = sum(costs) if costs else None
    if job.sweep.targets and "report" not in job.sweep.targets:
        _log_run(root, ref, job, metrics)


def _log_run(root: Path, ref: str, job: Job, metrics: dict[str, Any]) -> None:
    """Logs the run that `report` logs for the whole pipeline, for a sweep of selected stages."""
    params = OmegaConf.create(read_text(root, ref, "params.yaml"))
    assert isinstance(params, DictConfig)
    stages = yaml.safe_load(read_text(root, ref, "dvc.lock"))["stages"].values()
    pointers = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    os.environ |= {
        SWEEP: job.sweep.id,
        SWEEP_JOB: json.dumps(job.overrides),
        "DVC_EXP_NAME": ref.rpartition("/")[2],
    }
    log_pipeline_run(
        root, compared_settings(flatten_settings(vars(validate(params)))), metrics, [], pointers
    )
