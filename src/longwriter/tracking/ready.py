"""Waits for MLflow's server and prints the address of the runs.

    python -m longwriter.tracking.ready PORT

Without that address MLflow opens in its view for agents, which shows no runs.
"""

import sys
import time
import urllib.request
from pathlib import Path

from longwriter.tracking.store import connect

_PATIENCE_S = 300
"""Maximum seconds to wait for the server."""


def main(port: int) -> None:
    """Waits for the server on loopback's `port`, then prints the address of the checkout's runs."""
    page = f"http://127.0.0.1:{port}"
    last = time.monotonic() + _PATIENCE_S
    while time.monotonic() < last:
        try:
            with urllib.request.urlopen(f"{page}/health", timeout=2):  # noqa: S310
                runs = f"{page}/#/experiments/{connect(Path.cwd())}?workflowType=machine_learning"
                print(f"\nMLflow is ready: {runs}\n", flush=True)
                return
        except OSError:
            time.sleep(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
