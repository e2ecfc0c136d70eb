"""Sum up what the stages found: figures, one page, one MLflow run (stage `report`)."""

from longwriter.records import write_json, write_text
from longwriter.report.alignment import what_dpo_changed
from longwriter.report.figures import draw
from longwriter.report.page import render, results_table
from longwriter.report.results import compare_models, compared_settings, read_results
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_pipeline_run


def report(settings: Settings, work: Workspace) -> None:
    results = read_results(work.root)
    comparisons = compare_models(results, settings.bench, settings.runtime.seed)
    table = results_table(results.evals, comparisons)
    alignment = what_dpo_changed(results.judgements, settings.bench, settings.runtime.seed)
    figures = draw(
        work.output("reports/figures"),
        results.evals,
        results.judgements,
        {**results.metrics, "alignment": alignment},
    )
    differences = {step: found._asdict() for step, found in comparisons.items()}
    write_json(work.output("metrics/comparison.json"), differences)
    write_text(work.output("reports/results.md"), table)
    page = work.output("reports/index.html")
    write_text(page, render(settings, results, comparisons, figures))
    log_pipeline_run(
        work.root,
        params=compared_settings(settings),
        metrics={**results.numbers, "comparison": differences, "alignment": alignment},
        figures=[page, *(figure.path for figure in figures)],
        pointers=results.pointers,
    )
    print(table)
    print(f"report: {page}")
    print("make ui opens MLflow")


if __name__ == "__main__":
    run_stage(report)
