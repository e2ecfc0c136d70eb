"""SFT in several processes: `accelerate launch` as a process of this stage, and what each of its
processes does.

The stage reads, tracks and writes; the processes only train. They are told what by a folder, which
on several machines must lie on a disk that all of them see (LONGWRITER_CACHE).
"""

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from longwriter.chat.vllm import own_session
from longwriter.errors import LongwriterError, SettingsError, TrainingError
from longwriter.records import (
    PackedRow,
    TrainingRow,
    read_jsonl,
    write_json,
    write_jsonl,
    write_text,
)
from longwriter.settings import Settings, Workspace, validate
from longwriter.tracking import tracking_uri
from longwriter.training.sft import Tuned, train_here
from longwriter.training.trainer import Trained, checkpoint_folder

STDOUT = 1


def train_in_processes(
    base: Path, rows: list[TrainingRow], path: Path, settings: Settings, work: Workspace
) -> Tuned:
    """As `longwriter.training.sft.train`, in the processes that runtime.accelerate describes.

    They end with this process, however it ends.
    """
    config = _accelerate_file(settings, work)
    folder = checkpoint_folder(work, "sft", settings.sft, settings, rows, base)
    job = folder.with_name(f"{folder.name}.job")
    shutil.rmtree(job, ignore_errors=True)
    write_jsonl(job / "rows.jsonl", rows)
    write_text(job / "settings.yaml", OmegaConf.to_yaml(OmegaConf.structured(settings)))
    places = {"base": base, "path": path, "root": work.root, "out": work.out}
    write_json(job / "places.json", {name: str(place) for name, place in places.items()})
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["--module", "longwriter.training.launch", str(job)]
    with own_session(command, STDOUT, _environment(work)) as processes:
        status = processes.wait()
    if (job / "error.txt").exists():
        raise TrainingError((job / "error.txt").read_text(encoding="utf-8"))
    if status or not (job / "result.json").exists():
        raise TrainingError(
            f"`accelerate launch` ended with status {status}: the reason stands above; checkpoints "
            "are kept, the same command goes on"
        )
    result = json.loads((job / "result.json").read_bytes())
    packs = read_jsonl(job / "packs.jsonl", PackedRow)
    shutil.rmtree(job)
    trained = Trained(**result["trained"] | {"checkpoints": Path(result["trained"]["checkpoints"])})
    return Tuned(trained, result["metrics"], packs)


def _accelerate_file(settings: Settings, work: Workspace) -> Path:
    assert settings.runtime.accelerate
    path = work.root / settings.runtime.accelerate
    if not path.is_file():
        raise SettingsError(
            f"runtime.accelerate: {path}: no such file; see conf/runtime/accelerate/"
        )
    return path


def _environment(work: Workspace) -> dict[str, str]:
    """This process's environment, and the MLflow run that it has open: the first of the processes
    logs into it. Nothing else of MLflow belongs there."""
    import mlflow

    run = mlflow.active_run()
    tracking = {"MLFLOW_TRACKING_URI": tracking_uri(work.root)}
    if run is not None:
        tracking["MLFLOW_RUN_ID"] = run.info.run_id
    return dict(os.environ) | tracking


def work_off(job: Path) -> None:
    """What each of the processes does: the training that the folder `job` describes. The first one
    leaves the result there, or the reason why there is none."""
    config = OmegaConf.load(job / "settings.yaml")
    assert isinstance(config, DictConfig)
    places = {
        name: Path(place) for name, place in json.loads((job / "places.json").read_bytes()).items()
    }
    rows = read_jsonl(job / "rows.jsonl", TrainingRow)
    work = Workspace(root=places["root"], out=places["out"])
    first = os.environ.get("RANK", "0") == "0"
    try:
        tuned = train_here(places["base"], rows, places["path"], validate(config), work)
    except LongwriterError as error:
        if first:
            write_text(job / "error.txt", str(error))
        raise SystemExit(1) from None
    if first:
        write_jsonl(job / "packs.jsonl", tuned.packs)
        trained = asdict(tuned.trained) | {"checkpoints": str(tuned.trained.checkpoints)}
        write_json(job / "result.json", {"trained": trained, "metrics": tuned.metrics})


if __name__ == "__main__":
    work_off(Path(sys.argv[1]))
