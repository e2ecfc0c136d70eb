"""`hydra/sweeper=optuna`, with a launcher that scores instead of running DVC; Optuna is real."""

import json
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf

pytest.importorskip("optuna", reason="needs the extra optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_plugins.longwriter_optuna import OptunaSweeper, search_space

Overrides = dict[str, str]


class Search:
    """Searches in a cache of the test's own; `score` stands for the jobs."""

    def __init__(self, folder: Path, score: Callable[[Overrides], float]) -> None:
        self.folder, self.score = folder, score
        self.ran: list[Overrides] = []
        self.batches: list[int] = []

    def __call__(self, *arguments: str, **settings: Any) -> None:
        given = {"direction": "maximize", "n_trials": 5, "n_jobs": 1, "seed": 7, "params": {}}
        sweeper = OptunaSweeper(**(given | settings))
        sweeper.launcher = SimpleNamespace(launch=self.launch)  # type: ignore[assignment]
        sweeper.hydra_context = SimpleNamespace(config_loader=None)  # type: ignore[assignment]
        sweep = {"id": "s", "score": "eval.dpo.S_l", "targets": []}
        where = {"sweep": {"dir": str(self.folder)}}
        sweeper.config = OmegaConf.create({"sweep": sweep, "hydra": where})
        sweeper.sweep(list(arguments))

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[Any]:
        self.batches.append(len(jobs))
        found = []
        for job in jobs:
            overrides = dict(word.split("=", 1) for word in job)
            self.ran.append(overrides)
            found.append(SimpleNamespace(return_value=self.score(overrides)))
        return found


def test_what_is_searched_is_said_in_hydras_words() -> None:
    words = [
        "a=int(interval(1,9))",
        "b=interval(0.5,2)",
        "c=tag(log,interval(1e-5,1e-4))",
        "d=range(10,40,10)",
        "e=null,100",
        "+experiment=choice(smoke,long)",
        "f=[1,2]",
        "g=x",
    ]
    assert search_space(OverridesParser.create().parse_overrides(words)) == (
        {
            "a": IntDistribution(1, 9),
            "b": FloatDistribution(0.5, 2),
            "c": FloatDistribution(1e-5, 1e-4, log=True),
            "d": IntDistribution(10, 30, step=10),  # without its end, as everywhere in Hydra
            "e": CategoricalDistribution(["null", "100"]),
            "+experiment": CategoricalDistribution(["smoke", "long"]),
        },
        ["f=[1,2]", "g=x"],
    )


def test_the_best_is_found_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = Search(tmp_path, lambda job: -abs(float(job["x"]) - 3))
    search("x=interval(0.0,10.0)", "y=4", n_trials=25, n_jobs=10)
    assert search.batches == [10, 10, 5]
    assert all(job["y"] == "4" for job in search.ran)
    best = min(search.ran, key=lambda job: abs(float(job["x"]) - 3))
    assert abs(float(best["x"]) - 3) < 0.5  # 25 at random come as near in 3 of 4 searches
    assert f"best of 25: eval.dpo.S_l -{abs(float(best['x']) - 3):g} with x={best['x']}\n" in (
        capsys.readouterr().out
    )
    saved = OmegaConf.load(tmp_path / "optimization_results.yaml")
    assert saved.best_params == {"x": float(best["x"])}


def test_what_is_small_is_best_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(tmp_path, lambda job: float(job["x"]))
    search("x=int(interval(1,1000))", direction="minimize")
    least = min(int(job["x"]) for job in search.ran)
    assert f"best of 5: eval.dpo.S_l {least} with x={least}\n" in capsys.readouterr().out


def test_a_killed_search_repeats_what_was_cut_off_and_nothing_else(tmp_path: Path) -> None:
    def killed(job: Overrides) -> float:
        (tmp_path / f"{len(search.ran)}.json").write_text(json.dumps(job))
        if len(search.ran) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(job["x"])

    search = Search(tmp_path, killed)
    process = multiprocessing.get_context("fork").Process(
        target=search, args=("x=interval(0.0,1.0)",)
    )
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    ran = [json.loads((tmp_path / f"{number}.json").read_text()) for number in (1, 2, 3)]
    again = Search(tmp_path, lambda job: float(job["x"]))
    again("x=interval(0.0,1.0)")
    assert len(again.ran) == 3  # five in all, two of which had finished
    assert again.ran[0] == ran[2]
    drawn = [job["x"] for job in ran[:2] + again.ran]
    assert len(set(drawn)) == 5
    more = Search(tmp_path, lambda job: float(job["x"]))
    more("x=interval(0.0,1.0)")
    assert more.ran == []
    more("x=interval(0.0,1.0)", n_trials=6)
    assert len(more.ran) == 1


def test_a_failed_trial_has_no_score_and_is_made_up_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = iter([math.nan, 1.0, math.nan, 5.0])
    search = Search(tmp_path, lambda job: next(fails))
    search("x=interval(0.0,1.0)", n_trials=3)
    assert "best of 1: eval.dpo.S_l 1 with" in capsys.readouterr().out
    again = Search(tmp_path, lambda job: 2.0)
    again("x=interval(0.0,1.0)", n_trials=3)
    assert len(again.ran) == 2
    assert "best of 3: eval.dpo.S_l 2 with" in capsys.readouterr().out


def test_another_space_is_another_search(tmp_path: Path) -> None:
    search = Search(tmp_path, lambda job: 1.0)
    search("x=1,2", n_trials=2)
    search("x=1,2,3", n_trials=2)
    assert len(search.ran) == 4


def test_an_experiment_may_say_what_is_searched(tmp_path: Path) -> None:
    search = Search(tmp_path, lambda job: 1.0)
    search(params={"filter.max_words": "50,100"}, n_trials=1)
    assert search.ran[0].keys() == {"filter.max_words"}


def test_nothing_to_search_is_said(tmp_path: Path) -> None:
    with pytest.raises(CompactHydraException, match="nothing to search"):
        Search(tmp_path, lambda job: 1.0)("x=1")
