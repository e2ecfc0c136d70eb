"""Runs a script as a DVC stage, with params.yaml, or by hand as a Hydra app, with conf/."""

import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import yaml
from omegaconf import DictConfig

from longwriter.config import job
from longwriter.config.load import check_names, load_yaml, loosened, validate
from longwriter.config.schema import Settings
from longwriter.core.errors import LongwriterError, SettingsError
from longwriter.core.process import end_with_parent
from longwriter.core.workspace import Workspace
from longwriter.tracking.provenance import SWEEP_JOB

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
PIPE_CLOSED = 128 + signal.SIGPIPE
"""Exit status if standard output was closed early, as in a shell."""

GRACE_S = 5
"""Seconds in which calls in flight can end after SIGTERM."""


REMOVED = (
    "\nDVC removed this stage's earlier outputs before it began. `dvc checkout --force` brings back data "
    "and models, `git checkout -- metrics/` the metrics of the last commit; `dvc repro` with the earlier "
    "settings brings back both without running."
)

Stage = Callable[[Settings, Workspace], None]


def run_stage(stage: Stage) -> None:
    """Runs `stage` with params.yaml if DVC started the script, else as a Hydra app.

    Under DVC, further arguments are key=value overrides, such as `predict.model=…` in dvc.yaml. An
    error that longwriter anticipates prints one line and exits with 1; Ctrl-C exits with 130.
    """
    root = Path(sys.argv[0]).resolve().parent.parent
    for noisy in ("httpx2", "openai"):  # they log a line for every call
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if "DVC_STAGE" in os.environ:
        guarded(lambda: _run_for_dvc(stage, root), REMOVED)
    else:
        _hydra_app(stage, root)
    gc.freeze()  # else the interpreter visits every object at exit: 0.8 s after MLflow


def _run_for_dvc(stage: Stage, root: Path) -> None:
    end_with_parent()
    _check_folders(root)
    if SWEEP_JOB in os.environ:
        # In an experiment's own folder. If its sweep leaves out `report`, `dvc exp show` would
        # show the workspace's scores for it.
        (root / "metrics/summary.json").unlink(missing_ok=True)
    config = load_yaml(root / "params.yaml")
    config.merge_with_dotlist(sys.argv[1:])
    settings, work = validate(config), Workspace(root=root, out=root)
    name = os.environ["DVC_STAGE"]
    launcher, resources = job.wanted(settings.runtime, name.partition("@")[0])
    if launcher is None:
        stage(settings, work)
    elif status := job.run_as_job(name, launcher, resources, work.cache):
        sys.exit(status)


def _check_folders(root: Path) -> None:
    """Refuses output folders that are links out of the checkout, before any work is done.

    DVC would refuse them only after the stage has ended.

    Raises:
        SettingsError: an output folder in dvc.yaml is really outside the checkout.
    """
    stages = yaml.load((root / "dvc.yaml").read_bytes(), Loader=yaml.CSafeLoader)["stages"]
    for stage in stages.values():
        for out in [*stage.get("outs", ()), *stage.get("metrics", ())]:
            folder = (root / (out if isinstance(out, str) else next(iter(out)))).parent
            if not folder.resolve().is_relative_to(root.resolve()):
                raise SettingsError(
                    f"{folder.relative_to(root)}: resolves to {folder.resolve()}, and DVC does not "
                    "accept outputs in a linked folder; make it a real folder and link individual "
                    "outputs inside it"
                )


def _hydra_app(stage: Stage, root: Path) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    @hydra.main(config_path=str(root / "conf"), config_name="config", version_base="1.3")
    def app(config: DictConfig) -> None:
        run = HydraConfig.get()
        out = Path(run.runtime.output_dir)
        guarded(lambda: stage(validate(config, dict(run.runtime.choices)), Workspace(root, out)))

    overrides = [n for n, word in enumerate(sys.argv) if "=" in word and not word.startswith("-")]
    sweeps = bool({"-m", "--multirun"} & set(sys.argv))
    guarded(lambda: check_names([sys.argv[n] for n in overrides], sweeps))
    sys.argv[1:] = loosened(sys.argv[1:])
    place = overrides[0] if overrides else len(sys.argv)  # argparse wants overrides adjacent
    sys.argv.insert(place, f"hydra.job.name={Path(sys.argv[0]).stem}")
    app()


def guarded(work: Callable[[], Any], outputs: str = " Earlier outputs are as they were.") -> None:
    """Runs `work`; errors that the user can fix print one line on stderr instead of a traceback.

    Args:
        outputs: what happened to earlier outputs; added to the message of a disk error, and of
            other errors too if it is REMOVED.
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    for stream in (sys.stdout, sys.stderr):  # for terminals that can't show Chinese
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        work()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except LongwriterError as error:
        _stop(f"error: {error}{outputs if outputs is REMOVED else ''}", 1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        _stop(f"error: {error}.{outputs}", 1)
    except KeyboardInterrupt:
        _stop(
            "stopped: finished calls and checkpoints are kept; run the same command again to "
            "continue",
            INTERRUPTED,
        )


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """Does what Ctrl-C would do, which under asyncio lets calls in flight end.

    After SIGTERM they have GRACE_S seconds, because the sender will send SIGKILL next.
    """
    if number == signal.SIGTERM:
        signal.signal(signal.SIGALRM, _as_interrupt)
        signal.alarm(GRACE_S)
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def _stop(message: str, status: int) -> NoReturn:
    print(f"\n{message}", file=sys.stderr, flush=True)
    if status == INTERRUPTED:  # embedded servers and loaders may hold threads that never end
        os._exit(status)
    sys.exit(status)
