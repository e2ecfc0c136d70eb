"""MLflow tracking: one run per stage, and one comparable run for the whole pipeline.

Both kinds are in the experiment `longwriter` and have the tag `longwriter.kind` (`stage` or
`pipeline`). DVC owns the bytes: checkpoints and data sets are linked by path and md5, never copied
into MLflow.

MLflow takes seconds to import, so it is imported only where it is used.
"""

import os

for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",  # seconds; many stages are short
    "MLFLOW_MAX_LOG_PARAMS": "0",  # the Trainer's own callback logs metrics, no parameters
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # artifacts are a few kilobytes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # what a server rejects is kept and sent later
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
}.items():
    os.environ.setdefault(_name, _value)
