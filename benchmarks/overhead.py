"""Measures what `dvc repro` costs with nothing to do, and a stage before its first useful work.

    python benchmarks/overhead.py [--runs 3]        # in a checkout where `dvc repro` has just run

`dvc repro` is compared with `dvc status`, which starts DVC and compares the same files. A stage's
overhead is the time from a fresh process until its work begins: its code and settings are loaded,
its MLflow run opens in a thread, and `openai` is imported if it calls a model. A stage that trains
also waits for that run, and imports torch and TRL.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
ASK = ("agentwrite", "short_answers", "pairs", "predict", "eval", "judge_audit")
LATE = {"filter": "longwriter.dataset.stage"} | dict.fromkeys(ASK, "openai")
LATE |= {"sft": "longwriter.sft.loss", "dpo": "longwriter.preference.trainer"}
"""Stage → module that it imports as its work begins; the last two import torch and TRL."""
STAGE = """
import importlib, runpy, sys
from pathlib import Path
root, stage, late = Path(sys.argv[1]), sys.argv[2], sys.argv[4]
runpy.run_path(str(root / "stages" / f"{stage}.py"), run_name="imported")
from longwriter.core.workspace import Workspace
from longwriter.config.load import read_params
from longwriter.tracking.runs import stage_run
settings = read_params(root)
with stage_run(stage, {}, Workspace(root, Path(sys.argv[3])), settings.runtime) as run:
    if stage in ("sft", "dpo"):
        run.activate()
    importlib.import_module(late)
    print("begins", flush=True)
"""


def seconds(*command: str, runs: int, until: str = "", **variables: str) -> float:
    """Returns the median seconds from a start to the output line `until`, or to the end."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if until and line.strip() == until:
                    times.append(time.perf_counter() - start)
        if process.returncode:
            sys.exit(f"{' '.join(command[:3])}: ended with {process.returncode}")
        if not until:
            times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stages-only", action="store_true")
    given = parser.parse_args()
    if not given.stages_only:
        if (
            subprocess.run(
                [sys.executable, "-m", "dvc", "status", "--quiet", "report"], cwd=ROOT
            ).returncode
            > 1
        ):
            sys.exit("dvc status: the pipeline is not up to date; `dvc repro` first")
        dvc = [sys.executable, "-m", "dvc"]
        floor = seconds(*dvc, "status", runs=given.runs)
        again = seconds(*dvc, "repro", runs=given.runs)
        print(
            f"dvc repro, nothing to do: {again:.1f} s, dvc status {floor:.1f} s: {again - floor:.1f} s"
        )
    with tempfile.TemporaryDirectory() as folder:
        own = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        for stage in ["filter", *LATE]:  # the first, extra one migrates the database
            command = [sys.executable, "-c", STAGE, str(ROOT), stage, folder, LATE[stage]]
            took = seconds(*command, runs=given.runs, until="begins", **own)
            print(f"{stage}: {took:.2f} s")


if __name__ == "__main__":
    main()
