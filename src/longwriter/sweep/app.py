"""The Hydra app of a sweep: a job for each combination of overrides, then a table of all jobs.

    python -m longwriter.sweep -m sft.learning_rate=1e-5,5e-5 filter.min_words=20,100
    python -m longwriter.sweep -m … hydra/launcher=joblib hydra.launcher.n_jobs=2

Without a launcher the jobs run one after the other.
"""

import hashlib
import math
import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import CHECKOUT, check_names, loosened, validate, validate_as
from longwriter.config.run import guarded
from longwriter.core.errors import LongwriterError, SettingsError
from longwriter.core.files import write_text
from longwriter.sweep.experiments import check_repository
from longwriter.sweep.job import Job, failed_job, run_job
from longwriter.sweep.records import FOLDER, read_records, table
from longwriter.sweep.settings import SweepConfig
from longwriter.tracking.runs import end_runs_of_sweep


def main() -> None:
    """Runs the sweep that the command line describes, prints its table and saves it.

    Exits with status 1 if a job failed; the other jobs have still run.
    """
    guarded(_sweep)


def _sweep() -> None:
    os.chdir(CHECKOUT)
    check_repository(CHECKOUT)
    name = _complete(sys.argv)
    check_names([word for word in sys.argv[1:] if not word.startswith("-")])
    sys.argv[1:] = loosened(sys.argv[1:])
    app = hydra.main(config_path=str(CHECKOUT / "conf"), config_name="sweep", version_base="1.3")
    app(job)()
    folder = CHECKOUT / FOLDER / name
    end_runs_of_sweep(CHECKOUT, name)
    records = read_records(folder)
    text = table(records)
    write_text(folder / "table.md", text)
    print(f"\n{text}\nsaved: {folder / 'table.md'}")
    failed = sum(record.error is not None for record in records)
    if not records:
        print("no job left a record; the same command tries them again")
    if failed:
        print(f"{failed} of {len(records)} jobs failed; the same command tries them again")
    if failed or not records:
        sys.exit(1)


def _complete(argv: list[str]) -> str:
    """Adds -m and the sweep's id to the command line if they are missing, and returns the id.

    The default id is a hash of the overrides.
    """
    if not {"-m", "--multirun"} & set(argv):
        argv.insert(1, "-m")
    words = [word for word in argv[1:] if "=" in word and not word.startswith("-")]
    given = [word.partition("=")[2] for word in words if word.startswith("sweep.id=")]
    if given:
        name = given[-1]
        if not name.replace("-", "").replace("_", "").isalnum():
            raise SettingsError(f"sweep.id: is {name!r}; use letters, digits, - and _ only")
        return name
    own = sorted(word for word in words if not word.startswith("hydra"))
    name = hashlib.sha256("\n".join(own).encode()).hexdigest()[:8]
    place = argv.index(words[0]) if words else len(argv)  # argparse wants overrides adjacent
    argv.insert(place, f"sweep.id={name}")
    return name


def job(config: DictConfig) -> float:
    """Runs one job; returns its score to Hydra's sweeper, or NaN if it has none."""
    run = HydraConfig.get()
    groups = OmegaConf.masked_copy(config, [str(key) for key in config if key != "sweep"])
    OmegaConf.resolve(groups)
    sweep = validate_as(SweepConfig, OmegaConf.masked_copy(config, "sweep"), None).sweep
    overrides = [word for word in run.overrides.task if not word.startswith("sweep.")]
    folder, planned = CHECKOUT / FOLDER / sweep.id, Job(sweep, overrides, groups)
    try:
        validate(groups, dict(run.runtime.choices))
        record = run_job(CHECKOUT, folder, planned)
    except LongwriterError as error:
        record = failed_job(folder, planned, str(error))
    return math.nan if record.score is None else record.score
