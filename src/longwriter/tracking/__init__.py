"""MLflow: one run a stage, and one comparable run for the whole pipeline.

Both kinds lie in the experiment `longwriter`; the tag `longwriter.kind` tells them apart. DVC owns
the bytes: checkpoints and data sets are linked by path and md5, never copied into MLflow.

MLflow takes seconds to import, so it is imported only where it is used.
"""

import os

for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",  # seconds: many a stage is short
    "MLFLOW_MAX_LOG_PARAMS": "0",  # the Trainer's own callback adds metrics, no parameters
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # what a server does not take is kept and sent later
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
}.items():
    os.environ.setdefault(_name, _value)

from longwriter.tracking.pipeline import log_pipeline_run, log_report, run_address  # noqa: E402
from longwriter.tracking.provenance import (  # noqa: E402
    SWEEP,
    SWEEP_JOB,
    GitState,
    git_state,
    locked_stages,
)
from longwriter.tracking.runs import (  # noqa: E402
    StageLog,
    StageRun,
    end_runs_of_sweep,
    stage_run,
    stage_runs,
)
from longwriter.tracking.store import tracking_uri  # noqa: E402
from longwriter.tracking.values import flatten, parameters  # noqa: E402

__all__ = [
    "SWEEP",
    "SWEEP_JOB",
    "GitState",
    "StageLog",
    "StageRun",
    "end_runs_of_sweep",
    "flatten",
    "git_state",
    "locked_stages",
    "log_pipeline_run",
    "log_report",
    "parameters",
    "run_address",
    "stage_run",
    "stage_runs",
    "tracking_uri",
]
