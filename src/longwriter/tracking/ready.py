"""Waits for MLflow's server and prints the addresses of the runs and of the pipelines' charts.

    python -m longwriter.tracking.ready PORT

Without them MLflow opens in its view for agents, which shows no runs.
"""

import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

from longwriter.tracking.store import connect

_PATIENCE_S = 300
"""Maximum seconds to wait for the server."""

PIPELINES = quote("tags.longwriter.kind = 'pipeline'")
"""Filter for the runs of whole pipelines, as MLflow's page has it in its address."""


def main(port: int) -> None:
    """Waits for the server on loopback's `port`, then prints the address of the checkout's runs."""
    page = f"http://127.0.0.1:{port}"
    last = time.monotonic() + _PATIENCE_S
    while time.monotonic() < last:
        try:
            with urllib.request.urlopen(f"{page}/health", timeout=2):  # noqa: S310
                runs = (
                    f"{page}/#/experiments/{connect(Path.cwd())}/runs?workflowType=machine_learning"
                )
                print(f"\nMLflow is ready: {runs}", flush=True)
                print(
                    f"pipelines as charts: {runs}&compareRunsMode=CHART&searchFilter={PIPELINES}\n",
                    flush=True,
                )
                return
        except OSError:
            time.sleep(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
