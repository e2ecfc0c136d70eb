"""Sum up what the stages found: figures, one page, one MLflow run (stage `report`)."""

from longwriter.records import write_json, write_text
from longwriter.report.figures import draw
from longwriter.report.page import render, render_markdown, results_table
from longwriter.report.results import (
    as_json,
    compare_models,
    compared_settings,
    read_results,
    row_table,
)
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_pipeline_run, log_table, stage_seconds


def report(settings: Settings, work: Workspace) -> None:
    results = read_results(work.root)
    comparisons = compare_models(results, settings.bench, settings.runtime.seed)
    table = results_table(results.evals, {step: c["S_l"] for step, c in comparisons.items()})
    figures = draw(
        work.output("reports/figures"), results.evals, results.judgements, results.metrics
    )
    seconds = stage_seconds(work.root)
    page, text, rows = (
        work.output(f"reports/{name}") for name in ("index.html", "report.md", "rows.json")
    )
    write_json(work.output("metrics/comparison.json"), as_json(comparisons))
    write_text(work.output("reports/results.md"), table)
    write_text(page, render(settings, results, comparisons, figures, seconds))
    write_text(text, render_markdown(settings, results, comparisons, figures, seconds))
    write_json(rows, row_table(results.judgements))
    run = log_pipeline_run(
        work.root,
        params=compared_settings(settings),
        metrics={**results.numbers, "comparison": as_json(comparisons)},
        figures=[page, text, *(figure.path for figure in figures)],
        pointers=results.pointers,
    )
    log_table(work.root, run, rows)
    print(table)
    print(f"report: {page}")
    print("make ui opens MLflow")


if __name__ == "__main__":
    run_stage(report)
