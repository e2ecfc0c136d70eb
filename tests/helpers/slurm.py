"""A SLURM cluster of two nodes on this machine, by Debian's packages slurmctld, slurmd, slurm-client and munge."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.ports import free_ports

NEEDED = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "squeue", "scancel")

_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/linear
ReturnToService=2
KillWait=10
MpiDefault=none
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs of SLURM that are not here."""
    folders = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    return [name for name in NEEDED if not shutil.which(name, path=folders)]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Runs a cluster with its files in `folder`; yields the variables by which a command finds it."""
    folder.chmod(0o755)  # munged refuses others
    configuration = folder / "slurm.conf"
    ports = free_ports(3)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, host=host, ports=ports, user=user)
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{option}={folder}/munge.{suffix}" for option, suffix in files.items()]
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}{os.pathsep}/usr/sbin",
        "SLURM_CONF": str(configuration),
    }
    running = []
    try:
        for command in (
            ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D", "-N", "one"],
            ["slurmd", "-D", "-N", "two"],
        ):
            running.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists())
        _until(lambda: _idle(environment) == ["idle", "idle"])
        yield {name: environment[name] for name in ("PATH", "SLURM_CONF")}
    finally:
        subprocess.run(["scancel", "--user", user], env=environment, capture_output=True)
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def _idle(environment: dict[str, str]) -> list[str]:
    question = ["sinfo", "--noheader", "--Node", "--format=%T"]
    answer = subprocess.run(question, env=environment, capture_output=True, text=True)
    return answer.stdout.split()


def _until(ready: object, seconds: float = 60) -> None:
    assert callable(ready)
    last = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < last, "SLURM does not come up"
        time.sleep(0.1)
