"""`hydra/sweeper=optuna`: Optuna chooses the values of a sweep's next jobs by the scores so far.

Hydra finds sweepers in the package `hydra_plugins` only. Its own plugin for Optuna needs a version
before 3.0, whose databases today's SQLAlchemy cannot open. This one has the same name, the same syntax
for what is searched and the same file of results.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Direction = Literal["maximize", "minimize"]


class Space(NamedTuple):
    """What a search varies, and what it does not."""

    searched: "dict[str, BaseDistribution]"
    """Key of an override → its values."""
    fixed: list[str]
    """Overrides of every job."""


def search_space(overrides: Sequence[Override]) -> Space:
    """Returns what `overrides` say is searched: `a,b` and `choice(…)` are choices without an order,
    `range(…)` and `interval(…)` are numbers; `int(interval(…))` are whole numbers, and
    `tag(log,interval(…))` is on a logarithmic scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    searched: dict[str, BaseDistribution] = {}
    fixed = []
    for override in overrides:
        key, value = override.get_key_element(), override.value()
        if isinstance(value, IntervalSweep):
            low, high, log = value.start, value.end, "log" in value.tags
            assert low is not None and high is not None
            if isinstance(low, int) and isinstance(high, int):
                searched[key] = IntDistribution(low, high, log=log)
            else:
                searched[key] = FloatDistribution(low, high, log=log)
        elif isinstance(value, RangeSweep) and not value.shuffle:
            numbers, step = list(value.range()), abs(value.step)
            low, high = min(numbers), max(numbers)
            if all(isinstance(number, int) for number in numbers):
                searched[key] = IntDistribution(int(low), int(high), step=int(step))
            else:
                searched[key] = FloatDistribution(low, high, step=step)
        elif override.is_sweep_override():
            searched[key] = CategoricalDistribution(list(override.sweep_string_iterator()))
        else:
            fixed.append(f"{key}={override.get_value_element_as_str()}")
    return Space(searched, fixed)


class OptunaSweeper(Sweeper):
    """Asks Optuna for values, has a launcher run them as jobs, tells Optuna their scores.

    Every trial is written to the file `sweep/optuna.journal` of the cache at once, so a search that
    was stopped continues, on a network disk too. A search with other code, inputs, score or space starts anew.
    """

    def __init__(
        self, direction: "Direction", n_trials: int, n_jobs: int, seed: int, params: DictConfig
    ) -> None:
        self.direction, self.n_trials, self.n_jobs = direction, n_trials, n_jobs
        self.seed, self.params = seed, params
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keeps what the search needs; Hydra calls it first."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs as many trials as `n_trials` lacks, also where some of them fail; prints the best one and
        writes it into the sweep's folder.

        Raises:
            CompactHydraException: Optuna is not installed, nothing is searched, or the command is
                not a sweep of the pipeline, which returns a score.
        """
        from longwriter.config.load import CHECKOUT
        from longwriter.sweep.experiments import fingerprint

        if self.config is None or "sweep" not in self.config:
            raise CompactHydraException(
                "hydra/sweeper=optuna: a stage by hand has no score; `python -m longwriter.sweep`"
            )
        try:
            space = self._space(arguments)
        except ImportError:
            raise CompactHydraException(
                "hydra/sweeper=optuna: Optuna is not installed; pip install -e '.[optuna]'"
            ) from None
        if not space.searched:
            raise CompactHydraException(
                "hydra/sweeper=optuna: nothing to search; give an override several values, such as "
                "'sft.learning_rate=tag(log,interval(1e-5,1e-4))'"
            )
        cache = _cache(CHECKOUT)
        identity = repr((sorted(space.searched.items()), sorted(space.fixed)))
        identity += repr((self.config.sweep.score, self.config.sweep.targets, self.direction))
        search = hashlib.sha256(identity.encode()).hexdigest()[:6]
        name = f"{self.config.sweep.id}-{search}-{fingerprint(CHECKOUT)[:6]}"
        with FileLock(cache / f"{name}.search.lock"):
            study = self._open(cache / "optuna.journal", name)
            self._run(study, space)
        self._report(study)

    def _space(self, arguments: list[str]) -> Space:
        given = [f"{key!s}={value}" for key, value in self.params.items()] + arguments
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = {
            override.get_key_element(): override for override in parser.parse_overrides(given)
        }
        return search_space(list(parsed.values()))

    def _open(self, journal: Path, name: str) -> "Study":
        """Opens the study. Trials that a killed search left running are run again first."""
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=name,
            direction=self.direction,
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        # With the same seed the first trials would repeat those that exist.
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.trials))
        return study

    def _run(self, study: "Study", space: Space) -> None:
        from optuna.trial import TrialState

        assert self.launcher is not None
        done = len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
        for start in range(0, self.n_trials - done, self.n_jobs):
            number = min(self.n_jobs, self.n_trials - done - start)
            trials = [study.ask(space.searched) for _ in range(number)]
            jobs = [[*_overrides(trial), *space.fixed] for trial in trials]
            for trial, job in zip(
                trials, self.launcher.launch(jobs, initial_job_idx=start), strict=True
            ):
                if math.isfinite(job.return_value):
                    study.tell(trial, job.return_value)
                else:
                    study.tell(trial, state=TrialState.FAIL)

    def _report(self, study: "Study") -> None:
        from optuna.trial import TrialState

        assert self.config is not None
        done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if not done:
            return
        best = study.best_trial
        score, value = self.config.sweep.score, float(best.value or 0)
        print(f"\nbest of {len(done)}: {score} {value:g} with {' '.join(_overrides(best))}")
        found = {"name": "optuna", "best_params": best.params, "best_value": value}
        OmegaConf.save(
            OmegaConf.create(found), Path(self.config.hydra.sweep.dir) / "optimization_results.yaml"
        )


def _overrides(trial: "Trial | FrozenTrial") -> list[str]:
    return [f"{key}={value}" for key, value in trial.params.items()]


def _cache(root: Path) -> Path:
    from longwriter.core.workspace import Workspace

    folder = Workspace(root, root).cache / "sweep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
