"""What the tools cost: `dvc repro` with nothing to do, and a stage before its first useful work.

    python benchmarks/overhead.py [--runs 3]        # in a checkout where `dvc repro` has just run

`dvc repro` is held against `dvc status`, which starts DVC and compares the same files. A stage's
overhead is a fresh process until its code and settings are loaded and its MLflow run is open and closed; torch, which training
imports later, is not in it.
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
STAGE = """
import runpy, sys
from pathlib import Path
root = Path(sys.argv[1])
runpy.run_path(str(root / "stages" / f"{sys.argv[2]}.py"), run_name="imported")
from longwriter.settings import Workspace, read_params
from longwriter.tracking import stage_run
settings = read_params(root)
with stage_run(sys.argv[2], settings, Workspace(root, Path(sys.argv[3])), []):
    pass
"""


def seconds(*command: str, runs: int, **variables: str) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
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
        stages = sorted(
            path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "params"
        )
        for stage in [stages[0], *stages]:  # the first once more: it migrates the database
            command = [sys.executable, "-c", STAGE, str(ROOT), stage, folder]
            took = seconds(*command, runs=given.runs, **own)
            print(f"{stage}: {took:.2f} s")


if __name__ == "__main__":
    main()
