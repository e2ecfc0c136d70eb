"""Summarise the results in figures, one page and one MLflow run (stage `report`)."""

import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import write_json, write_text
from longwriter.core.settings import flatten_settings
from longwriter.core.workspace import Workspace
from longwriter.report.intervals import with_intervals
from longwriter.report.load import (
    Results,
    as_json,
    compare_models,
    compared_numbers,
    read_audit,
    read_results,
    row_table,
    summary,
)
from longwriter.report.render import ReportProvenance, judge_remark, render, render_markdown
from longwriter.report.tables import results_table
from longwriter.tracking.comparing import since_last_run
from longwriter.tracking.lineage import input_digests, walk_back
from longwriter.tracking.logged_models import model_scores
from longwriter.tracking.pipeline import (
    adopt,
    compared_settings,
    log_pipeline_run,
    log_report,
    run_address,
)
from longwriter.tracking.runs import maker_finder

if TYPE_CHECKING:
    from longwriter.report.style import ReportFigure

gc.disable()  # during imports it takes a fifth of this short process's time


def draw_all(folder: Path, results: Results) -> "list[ReportFigure]":
    from longwriter.report.figures import draw

    return draw(folder, results.evals, results.judgements, results.metrics)


def report(settings: Settings, work: Workspace) -> None:
    results = with_intervals(read_results(work.root), work.root, settings.statistics)
    # In parallel, as each takes seconds: matplotlib, and MLflow with the statistics.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        drawing = other.submit(draw_all, work.output("reports/figures"), results)
        comparisons = compare_models(results, settings.bench, settings.statistics)
        find_maker = maker_finder(work.root)
        figures = drawing.result()
    page, text, rows = (
        work.output(f"reports/{name}") for name in ("index.html", "report.md", "rows.json")
    )
    flat = flatten_settings(vars(settings))
    of_length = {step: found["S_l"] for step, found in comparisons.items()}
    table = results_table(results.evals, of_length, graded=results.graded)
    write_json(work.output("metrics/comparison.json"), as_json(comparisons))
    write_json(work.output("metrics/summary.json"), summary(results))
    write_json(rows, row_table(results.judgements, graded=results.graded))
    run = log_pipeline_run(
        work.root,
        params=compared_settings(flat),
        metrics=compared_numbers(results, comparisons),
        everything={**results.numbers, "comparison": as_json(comparisons)},
        description=f"{table}\n{judge_remark(read_audit(work.root))}\n\nThe page: artifact `index.html`.",
        figures=[figure.path for figure in figures],
        pointers=results.pointers,
        scores=model_scores(work.root, results.evals, results.judgements, graded=results.graded),
        settings=flat | input_digests(work.root),
    )
    change = since_last_run(work.root, run)
    result = f"{table}\n{change}" if change else table
    scores = [f"data/judgements/{model}.jsonl" for model in results.evals]
    links = walk_back(work.root, find_maker, *scores, "metrics/judge_audit.json")
    seconds = {link.run.stage: link.run.seconds for link in links if link.run}
    params = OmegaConf.to_yaml(OmegaConf.structured(settings))
    origin = ReportProvenance(run, run_address(work.root, run), links, params)
    said = (results, comparisons, figures, seconds, origin)
    write_text(page, render(*said))
    write_text(text, render_markdown(*said))
    log_report(work.root, run, rows, [page, text])
    adopt(work.root, run, [link.run.run_id for link in links if link.run])
    write_text(work.output("reports/results.md"), result)
    print(result)
    print(f"report: {page}")
    print(f"make ui shows the run in MLflow: {run_address(work.root, run)}")


if __name__ == "__main__":
    run_stage(report)
