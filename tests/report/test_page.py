import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers.finished_pipeline import METRICS, PLANTED, judgement, write_finished
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, RejectedRow
from longwriter.core.statistics import Interval
from longwriter.core.tables import Table, markdown
from longwriter.report.figures import draw
from longwriter.report.intervals import with_intervals
from longwriter.report.load import (
    Output,
    Results,
    as_json,
    compare_models,
    read_results,
    row_table,
)
from longwriter.report.render import (
    ReportProvenance,
    headline,
    judge_remark,
    render,
    render_markdown,
)
from longwriter.report.samples import pick_rejected, pick_samples
from longwriter.report.tables import bin_title, costs_table, results_table
from longwriter.tracking.lineage import Link
from longwriter.tracking.runs import StageRun

EVALS = {model: METRICS[f"eval/{model}"] for model in ("base", "sft", "dpo")}
COMPARISONS = {
    step: Interval(found["mean"], found["low"], found["high"])
    for step, found in METRICS["comparison"].items()
}
ALL_COMPARISONS = {
    "sft-base": {"S_l": COMPARISONS["sft-base"]},
    "dpo-sft": {"S_l": COMPARISONS["dpo-sft"], "S_l_shortest": Interval(-4.0, -6.0, -2.0)},
}
ADDRESS = "http://127.0.0.1:5000/#/experiments/1/runs/abc"
ORIGIN = ReportProvenance(
    "abc",
    ADDRESS,
    [
        Link("models/sft", "fedc.dir", "sft", StageRun("run9", "sft", "c0ffee", 61.2)),
        Link("agentwrite.instructions", "sha256:0a1b", "", None),
    ],
    "filter:\n  min_length_score: 80\n",
)
VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return write_finished(tmp_path)


@pytest.fixture(scope="module")
def settings() -> Settings:
    config = OmegaConf.create(compose_params(Path(__file__).parents[2]))
    assert isinstance(config, DictConfig)
    return validate(config)


@pytest.fixture
def results(finished: Path, settings: Settings) -> Results:
    return with_intervals(read_results(finished), finished, settings.statistics)


@pytest.fixture
def page(finished: Path, results: Results) -> str:
    figures = draw(finished / "reports/figures", results.evals, results.judgements, results.metrics)
    seconds = {"eval dpo": 61.2}
    return render(results, ALL_COMPARISONS, figures, seconds, ORIGIN)


class Reader(HTMLParser):
    """Collects attributes and visible text, and checks that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_table() -> None:
    assert results_table(EVALS, COMPARISONS, graded=True) == (
        "| model | S_l [95 %] | within ±20 % [95 %] | rank correlation [95 %] | cut off | looping | mean words | n "
        "| S_q [95 %] | S̄ | unscored |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        "| base | 46.0 [38.0, 53.0] | 67% [30%, 90%] | 0.50 [0.25, 0.75] | 5 | 2 | 302 | 6 "
        "| 40.5 [37.5, 43.5] | 43.2 | 1 |\n"
        "| sft | 58.2 [50.2, 65.2] | 67% [30%, 90%] | 0.50 [0.25, 0.75] | 0 | 2 | 143 | 6 | – | – | 6 |\n"
        "| dpo | 60.0 [52.0, 67.0] | 67% [30%, 90%] | 0.50 [0.25, 0.75] | 0 | 2 | 172 | 6 "
        "| 52.0 [49.0, 55.0] | 56.0 | 1 |\n"
        "\n"
        "Paired difference of S_l [95 %]: sft − base +12.2 [+5.1, +19.4]; "
        "dpo − sft +1.8 [−2.0, +3.1].\n"
    )


def test_table_of_one_model_whose_judge_cannot_be_trusted() -> None:
    assert results_table({"base": EVALS["base"]}, {}, graded=False).splitlines() == [
        "| model | S_l [95 %] | within ±20 % [95 %] | rank correlation [95 %] | cut off | looping | mean words | n |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| base | 46.0 [38.0, 53.0] | 67% [30%, 90%] | 0.50 [0.25, 0.75] | 5 | 2 | 302 | 6 |",
    ]


def test_headline_says_whether_the_interval_excludes_0() -> None:
    assert headline(EVALS, COMPARISONS) == (
        "Supervised fine-tuning raised the length score S_l from 46.0 to 58.2 (+12.2, 95 % "
        "interval +5.1 to +19.4, which excludes 0); DPO moved the length score S_l from 58.2 to "
        "60.0 (+1.8, 95 % interval −2.0 to +3.1, which includes 0: no change is shown)."
    )
    worse = {"sft-base": Interval(-9.0, -12.0, -6.0)}
    assert "lowered the length score" in headline(EVALS, worse)
    touching = {"sft-base": Interval(5.0, 0.0, 9.0)}
    assert "includes 0" in headline(EVALS, touching)
    assert headline({"base": EVALS["base"]}, {}) == "base has S_l 46.0."


def test_page_is_whole_and_needs_no_other_file(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    references = [
        value
        for _, name, value in reader.attributes
        if name in ("src", "href", "data", "srcset") and value != ADDRESS
    ]
    assert len(references) == 12  # the figures
    assert all(value.startswith("data:image/svg+xml;base64,") for value in references)
    assert not re.search(
        r"https?://|url\(|@import", page.replace(ADDRESS, "", 1)
    )  # a link, no file
    assert {tag for tag, _, _ in reader.attributes}.isdisjoint({"script", "link", "iframe"})


def test_page_says_what_was_found(page: str) -> None:
    text = " ".join(" ".join(Reader(page).texts).split())
    for expected in (
        headline(EVALS, COMPARISONS),
        "50.2, 65.2",
        "Paired difference of S_l [95 %]: sft − base +12.2 [+5.1, +19.4]",
        "scrambled texts graded lower 4 75% [30%, 95%]",
        "agentwrite 210 50,000 (21,000 cached) 12,000 – 0.12 –",  # 0.125 to two decimals
        "sft – – – 9,000 – 61",
        "50 words required; base 300; sft 52; dpo 50: Write about topic 0.",
        "Mean words: required 253; written by base 302, sft 143, dpo 172.",
        "only requests with an answer that cut off loops",
        "600 words required",
        "305 words, S_l 54 cut off",
        "S_l of the shortest bin – −4.0 [−6.0, −2.0]",
        "base −25% −20% 50% 67% 50% of 2 at least 50% of 2 605",
        "base 12% 5% 6% 25% 50% 0% 90% 5",
        "base 40.5 3.2 0.8 1 BadCompletion 1",
        "length: whole text − its first half 4 +6.2 [+2.0, +10.0]",
        "all 12 0.50 [0.12, 0.75] 0.40 [0.10, 0.70] 0.30",
        "under 200 words 3",
        "length constraints met",
        "models/sft fedc.dir sft run9 c0ffee",
        "longwriter explain data/predictions/dpo.jsonl:1",
        "no commit",
        "data/sft/train.jsonl 0123456789abcdef0123456789abcdef 1,234,567",
        "min_length_score:",
    ):
        assert expected in text, expected


def test_text_of_models_is_escaped(page: str) -> None:
    assert "<script" not in page
    assert PLANTED in "".join(Reader(page).texts)


def test_nothing_that_a_judge_said_is_shown_where_it_cannot_be_trusted(
    finished: Path, results: Results
) -> None:
    audit = {"trusted": False, "faults": ["audited on only 1 texts; at least 10 are needed"]}
    untrusted = replace(results, metrics={**results.metrics, "judge_audit": audit})
    graded = {
        step: {**found, "S_q": Interval(1.0, 0.5, 1.5)} for step, found in ALL_COMPARISONS.items()
    }
    figures = draw(finished / "figures", untrusted.evals, untrusted.judgements, untrusted.metrics)
    assert "dimensions.svg" not in {drawn.path.name for drawn in figures}
    text = render_markdown(untrusted, graded, figures, {}, ORIGIN)
    remark = "because the judge failed its audit: audited on only 1 texts; at least 10 are needed."
    assert remark in text
    assert "S_q" not in text.replace("S_q, the judge's quality score, is hidden", "")
    assert "S̄" not in text
    assert "graded" not in " ".join(row_table(results.judgements, graded=False)["columns"])
    assert judge_remark(None).startswith("S_q is not shown: the judge was not audited")


def test_costs_are_read_where_a_stage_has_them() -> None:
    numbers = {
        "filter": {"kept": 3},
        "sft_curve": [],
        "predict": {"base": {"calls": 40, "completion_tokens": 1000}},
        "eval": {"dpo": {"calls": 1200}},
    }
    assert costs_table(numbers, {"eval dpo": 61.2}).rows == [
        ["predict base", "40", "1,000", "–"],
        ["eval dpo", "1,200", "–", "61"],
    ]  # columns of dashes are left out


def test_bins_of_lengths_in_words() -> None:
    labels = ("[0,150)", "[150,400)", "[4000,20000)", "[400,∞)", "News")
    assert [bin_title(label) for label in labels] == [
        "under 150 words",
        "150 to 399 words",
        "4,000 to 19,999 words",
        "400 words or more",
        "News",
    ]


def test_every_request_from_the_shortest_to_the_longest() -> None:
    rows = {
        model: [Judgement(**judgement(model, place)) for place in (5, 3, 0, 1, 4, 2)]
        for model in ("base", "dpo")
    }
    found = pick_samples(rows)
    assert [request.length for request in found] == [50, 80, 150, 240, 400, 600]
    assert [sample.model for sample in found[1].samples] == ["base", "dpo"]
    assert found[5].samples[0].text.startswith("base writes. word")
    assert found[5].samples[0].marks == ["cut off", "repeats itself", "loops", "unfinished"]
    assert [request.length for request in pick_samples({"base": rows["base"][:1]})] == [600]
    assert found[5].marks == ["cut off", "loops", "repeats itself", "unfinished"]


def test_markdown_says_the_same(finished: Path, results: Results) -> None:
    figures = draw(finished / "reports/figures", results.evals, results.judgements, results.metrics)
    text = render_markdown(results, ALL_COMPARISONS, figures, {}, ORIGIN)
    for expected in (
        headline(EVALS, COMPARISONS),
        "| base | 46.0 [38.0, 53.0] |",
        "| S_l of the shortest bin | – | −4.0 [−6.0, −2.0] |",
        "](figures/scores.svg)",
        "| data/sft/train.jsonl | 0123456789abcdef0123456789abcdef | 1,234,567 |",
        "| models/sft | fedc.dir | sft | run9 | c0ffee |",
        "| agentwrite.instructions | sha256:0a1b | – | – | – |",
        "| padding: text twice − text | 4 | −1.5 [−4.0, +1.0] |",
    ):
        assert expected in text, expected
    links = re.findall(r"\]\((.*?)\)", text)
    assert all((finished / "reports" / link).is_file() for link in links if link != ADDRESS)


def test_a_cell_cannot_break_a_markdown_table() -> None:
    found = markdown(Table(["a", "b"], [["x|y", "1\n2"]]))
    assert found == "| a | b |\n|---|---:|\n| x\\|y | 1 2 |"


def test_rows_for_mlflow_have_a_line_an_answer(finished: Path) -> None:
    table = row_table(read_results(finished).judgements, graded=True)
    assert len(table["data"]) == 18
    first = dict(zip(table["columns"], table["data"][0], strict=True))
    assert (first["model"], first["required"], first["written"], first["S_l"]) == (
        "base",
        50,
        300,
        4.0,
    )
    assert first["unscored"] == "no JSON"
    assert table["columns"][:2] == ["answer", "result"]
    assert first["answer"] == "base: Write about topic 0."
    assert first["result"].startswith("300 of 50 words, S_l 4: <script>")
    assert "loops" in first["marks"]
    assert all(len(row) == len(table["columns"]) for row in table["data"])


def test_a_long_sample_is_cut_and_says_so() -> None:
    row = Judgement(**judgement("base", 1) | {"response": "x" * 100_001})
    [request] = pick_samples({"base": [row]})
    assert (len(request.samples[0].text), request.samples[0].rest) == (100_000, 1)


def test_results_hold_what_the_stages_left(finished: Path) -> None:
    results = read_results(finished)
    assert list(results.evals) == ["base", "sft", "dpo"]
    stages = ["agentwrite", "filter", "sft", "pairs", "dpo", "judge_audit"]
    stages += ["dpo_curve", "sft_curve", "sft_position"]
    assert list(results.metrics) == stages  # the report's own are none of them
    assert results.outputs == [
        Output("data/sft/train.jsonl", "0123456789abcdef0123456789abcdef", 1234567),
        Output("models/sft", "fedcba9876543210fedcba9876543210.dir", 538000000),
    ]


def test_comparison_is_paired_by_prompt(finished: Path, settings: Settings) -> None:
    # the fixture gives every answer of sft and dpo one point less than base's to the same prompt
    found = compare_models(read_results(finished), settings.bench, settings.statistics)
    assert found["sft-base"]["S_l"] == found["sft-base"]["S_l_shortest"] == Interval(-1.0)
    assert found["dpo-sft"]["S_l"] == Interval(0.0)
    assert as_json(found)["sft-base"]["mean"] == -1.0
    assert as_json(found)["sft-base"]["S_l_shortest"] == {"mean": -1.0, "low": None, "high": None}


def test_results_without_any_score_are_refused(finished: Path) -> None:
    for path in (finished / "metrics/eval").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="holds no scores"):
        read_results(finished)


def test_a_broken_metric_file_is_named(finished: Path) -> None:
    (finished / "metrics/sft.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics/sft\.json: not JSON"):
        read_results(finished)


def test_ten_rejected_drafts_of_each_rule() -> None:
    rows = [
        RejectedRow.model_validate(
            {"id": f"{n}", "rule": rule, "detail": "why", "prompt": "p", "response": text}
        )
        for rule, number, text in (("copied", 2, "short"), ("opener", 12, "a" * 400 + "b" * 400))
        for n in range(number)
    ]
    opener, copied = pick_rejected(rows)
    assert (opener.rule, opener.number, len(opener.examples)) == ("opener", 12, 10)
    assert opener.examples[0].text == "a" * 300 + " […] " + "b" * 300
    assert (copied.rule, copied.number) == ("copied", 2)
    assert copied.examples[0] == ("0", "why", "p", "short")


def test_a_rejected_chat_row_shows_its_answer() -> None:
    messages = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "the answer"}]
    row = {"id": "1", "rule": "copied", "detail": "why", "messages": messages}
    (found,) = pick_rejected([RejectedRow.model_validate(row)])
    assert found.examples == [("1", "why", "p", "the answer")]
