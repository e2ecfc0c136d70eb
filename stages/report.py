"""Sum up what the stages found: figures, one page, one MLflow run (stage `report`)."""

import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from longwriter.lineage import chain
from longwriter.records import write_json, write_text
from longwriter.report.page import Origin, render, render_markdown, results_table
from longwriter.report.results import (
    Results,
    as_json,
    compare_models,
    compared_settings,
    read_results,
    row_table,
)
from longwriter.report.table import Drawn
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_pipeline_run, log_report, run_address, stage_runs

gc.disable()  # through the imports of so short a process it takes a fifth of the time


def drawn(folder: Path, results: Results) -> list[Drawn]:
    from longwriter.report.figures import draw

    return draw(folder, results.evals, results.judgements, results.metrics)


def report(settings: Settings, work: Workspace) -> None:
    results = read_results(work.root)
    # Two halves that take seconds each: matplotlib, and MLflow with the statistics.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        drawing = other.submit(drawn, work.output("reports/figures"), results)
        comparisons = compare_models(results, settings.bench, settings.runtime.seed)
        runs = stage_runs(work.root)
        figures = drawing.result()
    table = results_table(results.evals, {step: c["S_l"] for step, c in comparisons.items()})
    seconds = {stage: run.seconds for stage, run in runs.items()}
    page, text, rows = (
        work.output(f"reports/{name}") for name in ("index.html", "report.md", "rows.json")
    )
    write_json(work.output("metrics/comparison.json"), as_json(comparisons))
    write_text(work.output("reports/results.md"), table)
    write_json(rows, row_table(results.judgements))
    run = log_pipeline_run(
        work.root,
        params=compared_settings(settings),
        metrics={**results.numbers, "comparison": as_json(comparisons)},
        figures=[figure.path for figure in figures],
        pointers=results.pointers,
    )
    origin = Origin(run, run_address(work.root, run), chain(work.root, runs))
    said = (settings, results, comparisons, figures, seconds, origin)
    write_text(page, render(*said))
    write_text(text, render_markdown(*said))
    log_report(work.root, run, rows, [page, text])
    print(table)
    print(f"report: {page}")
    print("make ui opens MLflow")


if __name__ == "__main__":
    run_stage(report)
