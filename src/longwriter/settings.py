"""Loads and validates settings, composes params.yaml, runs a script as a DVC stage or Hydra app.

People edit conf/. params.yaml is its resolved image. A stage that DVC runs reads params.yaml;
the same script run by hand is a Hydra app that composes conf/ with the overrides given.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.bounds import bounded, violations
from longwriter.chat.settings import ServerSettings
from longwriter.dataset.settings import FilterSettings, ShortSettings
from longwriter.errors import LongwriterError, SettingsError
from longwriter.evaluation.settings import (
    BenchSettings,
    CalibrateSettings,
    EvalSettings,
    JudgeSettings,
    PredictSettings,
)
from longwriter.records import write_text
from longwriter.training.settings import (
    DpoSettings,
    PairsSettings,
    SftSettings,
    StudentSettings,
)


@dataclass(kw_only=True)
class RuntimeSettings:
    """What holds for every stage."""

    seed: int
    threads: int | None
    """Threads that embedded servers and training on a CPU use; null: every core."""
    accelerate: str | None
    """File of `accelerate launch` for training in several processes or on several machines; null:
    one process. The batch of an optimiser step is per_device_train_batch_size ·
    gradient_accumulation_steps · processes."""
    peak_tflops: float | None = bounded(gt=0)
    """Peak of one device in the type that training computes in, for its utilisation; null: what
    TRL knows of the GPU, and no utilisation on a CPU."""
    system_metrics: bool
    """Log CPU, memory and GPU use to MLflow while a stage runs."""


@dataclass(kw_only=True)
class Settings:
    """All settings: one field a group of conf/."""

    teacher: ServerSettings
    student: StudentSettings
    judge: JudgeSettings
    second_judge: JudgeSettings | None
    """Grades every text that `judge` grades; null: there is none."""
    agentwrite: AgentWriteSettings
    general: ShortSettings
    filter: FilterSettings
    sft: SftSettings
    pairs: PairsSettings
    dpo: DpoSettings
    bench: BenchSettings
    predict: PredictSettings
    eval: EvalSettings
    calibrate: CalibrateSettings
    runtime: RuntimeSettings


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and writes."""

    root: Path
    """The checkout: inputs that no setting names lie here, where the DAG puts them."""
    out: Path
    """Outputs go below it with the DAG's relative paths: the checkout under DVC, else Hydra's
    run folder."""

    def input(self, given: str | None, default: str) -> Path:
        """The file or folder that a setting names, else `default` where the DAG puts it."""
        return Path(given).absolute() if given else self.root / default

    def output(self, relative: str) -> Path:
        """Where the output that the DAG calls `relative` is to be written."""
        return self.out / relative

    @property
    def cache(self) -> Path:
        """Folder of everything resumable, outside DVC's outs: LONGWRITER_CACHE, else .cache/."""
        main = Path(os.environ.get("DVC_ROOT", self.root))
        return Path(os.environ.get("LONGWRITER_CACHE", main / ".cache")).absolute()


INTERRUPTED = 130
"""Exit status after Ctrl-C."""

Stage = Callable[[Settings, Workspace], None]

S = TypeVar("S")


def validate(config: DictConfig, choices: dict[str, str] | None = None) -> Settings:
    """All settings from all groups of conf/; as `validate_as`."""
    return validate_as(Settings, config, choices)


def validate_as(kind: type[S], config: DictConfig, choices: dict[str, str] | None) -> S:
    """Turns a composed configuration into typed settings.

    Args:
        kind: a dataclass with a field a group.
        config: its groups of conf/, resolved or not.
        choices: group → chosen option, to name the very file in an error.

    Raises:
        SettingsError: unknown key, missing value, wrong type, out of range; the message holds the
            full key and the file to edit.
    """
    try:
        known = OmegaConf.structured(kind)
        unknown = [str(key) for key in config if key not in known.keys()]  # noqa: SIM118
        if unknown:
            raise SettingsError(_message(unknown[0], "is no group of settings", choices))
        merged = OmegaConf.merge(known, config)
        settings = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        what = (error.msg or str(error)).splitlines()[0]
        raise SettingsError(_message(error.full_key or "", what, choices)) from None
    assert isinstance(settings, kind)
    for key, what in violations(settings):
        raise SettingsError(_message(key, what, choices))
    return settings


def _message(key: str, what: str, choices: dict[str, str] | None) -> str:
    group = key.split(".")[0]
    if group == "sweep":
        file = "conf/sweep.yaml"
    elif group in ("predict", "eval", "second_judge") or "." not in key:
        file = "conf/config.yaml"
    elif choices and group in choices:
        file = f"conf/{group}/{choices[group]}.yaml"
    else:
        file = f"conf/{group}/"
    return f"{key}: {what}. Mend it in {file}, in the experiment or in the override that sets it."


def load_groups(
    kind: type[S], root: Path, choices: dict[str, str], changes: dict[str, dict[str, Any]]
) -> S:
    """The chosen options of some groups of conf/, with `changes`, as `kind`: for options without
    defaults of their own, and much faster than Hydra.

    Raises:
        SettingsError: a file is not there, is not YAML or does not validate.
    """
    mend = "install longwriter from its checkout (pip install -e .), with its conf/"
    config = OmegaConf.create(
        {name: _load(root / f"conf/{name}/{file}.yaml", mend) for name, file in choices.items()}
    )
    config.merge_with(changes)
    return validate_as(kind, config, choices)


def compose_params(root: Path) -> str:
    """Composes conf/ as `dvc exp run` does and returns the text of params.yaml.

    Raises:
        SettingsError: conf/ does not compose or does not validate.
    """
    import hydra
    from hydra.errors import HydraException

    try:
        with hydra.initialize_config_dir(str(root / "conf"), version_base=None):
            config = hydra.compose("config", return_hydra_config=True)
        choices = dict(config.hydra.runtime.choices)
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise SettingsError(f"conf/ cannot be composed: {error}") from None
    validate(config, choices)
    return OmegaConf.to_yaml(config)


def write_params(root: Path) -> None:
    """The `params` stage: writes params.yaml, or checks the one that `dvc exp run -S` composed."""
    params = root / "params.yaml"
    if os.environ.get("DVC_EXP_NAME") and params.exists():
        validate(_load(params))
    else:
        write_text(params, compose_params(root))


def _load(path: Path, mend: str = "`dvc repro params` writes it") -> DictConfig:
    try:
        config = OmegaConf.load(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; {mend}") from None
    except YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {error}; {mend}") from None
    assert isinstance(config, DictConfig)
    return config


def read_params(root: Path) -> Settings:
    """The settings in params.yaml, which the last `dvc repro` ran with.

    Raises:
        SettingsError: it is not there or does not validate.
    """
    return validate(_load(root / "params.yaml"))


def run_stage(stage: Stage) -> None:
    """Runs `stage` with params.yaml where DVC started the script, else as a Hydra app.

    Under DVC further arguments are overrides of the form key=value (dvc.yaml gives
    `predict.model=…` so). Prints one line and exits with 1 on an error that longwriter foresees,
    with 130 on Ctrl-C.
    """
    root = Path(sys.argv[0]).resolve().parent.parent
    for noisy in ("httpx2", "openai"):  # a line for every call
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if "DVC_STAGE" in os.environ:
        guarded(lambda: _run_for_dvc(stage, root))
    else:
        _hydra_app(stage, root)
    gc.freeze()  # else the interpreter goes through every object at its end: 0.8 s after MLflow


def _run_for_dvc(stage: Stage, root: Path) -> None:
    end_with_parent()
    config = _load(root / "params.yaml")
    config.merge_with_dotlist(sys.argv[1:])
    stage(validate(config), Workspace(root=root, out=root))


def end_with_parent() -> None:
    """Linux: asks for SIGTERM when DVC dies, so that a killed `dvc repro` leaves no stage behind
    that works beside the one that the next `dvc repro` starts."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG of <sys/prctl.h>


def _hydra_app(stage: Stage, root: Path) -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    @hydra.main(config_path=str(root / "conf"), config_name="config", version_base="1.3")
    def app(config: DictConfig) -> None:
        run = HydraConfig.get()
        out = Path(run.runtime.output_dir)
        guarded(lambda: stage(validate(config, dict(run.runtime.choices)), Workspace(root, out)))

    overrides = [n for n, word in enumerate(sys.argv) if "=" in word and not word.startswith("-")]
    place = overrides[0] if overrides else len(sys.argv)  # argparse wants overrides in one piece
    sys.argv.insert(place, f"hydra.job.name={Path(sys.argv[0]).stem}")
    app()


def guarded(work: Callable[[], Any]) -> None:
    """Runs `work`; errors that a person can mend end as one line on stderr, not a traceback."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        work()
    except LongwriterError as error:
        _stop(f"error: {error}", 1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        _stop(f"error: {error}. Earlier outputs are as they were.", 1)
    except KeyboardInterrupt:
        _stop(
            "stopped: finished calls and checkpoints are kept; the same command goes on",
            INTERRUPTED,
        )


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """Does what Ctrl-C would do now: under asyncio that lets calls in flight end."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def _stop(message: str, status: int) -> NoReturn:
    print(f"\n{message}", file=sys.stderr, flush=True)
    if status == INTERRUPTED:  # embedded servers and loaders may hold threads that never end
        os._exit(status)
    sys.exit(status)
