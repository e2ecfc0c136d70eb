"""What `make ui` says once MLflow answers."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mlflow import MlflowClient

from longwriter.tracking.store import connect


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_addresses_are_said_when_the_server_answers(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    experiment = connect(tmp_path)
    client = MlflowClient()
    pipeline = client.create_run(experiment, tags={"longwriter.kind": "pipeline"}).info.run_id
    client.create_run(experiment, tags={"longwriter.kind": "stage"})
    port = free_port()
    command = [sys.executable, "-m", "longwriter.tracking.ready", str(port)]
    waiting = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE
    )
    address = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--workers",
            "1",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--backend-store-uri",
            address,
        ],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        printed, _ = waiting.communicate(timeout=120)
    finally:
        waiting.kill()
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
    runs, charts = re.findall(r"http://\S+", printed)
    assert runs.startswith(f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?")
    page = urlsplit(charts).fragment
    assert page.startswith(f"/experiments/{experiment}/runs?")
    [search] = parse_qs(urlsplit(page).query)["searchFilter"]
    found = client.search_runs([experiment], search)
    assert [run.info.run_id for run in found] == [pipeline]
