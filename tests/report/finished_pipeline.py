"""A small finished pipeline on disk: what the stages write, made by hand."""

import json
from pathlib import Path
from typing import Any

LENGTHS = [50, 80, 150, 240, 400, 600]
WRITTEN = {
    "base": [300, 300, 310, 300, 300, 305],
    "sft": [52, 76, 120, 170, 210, 230],
    "dpo": [50, 82, 140, 200, 260, 300],
}
PLANTED = '<script>alert("planted")</script>'


def evaluation(s_l: float, s_q: float | None, cut_off: int, mean_words: float) -> dict[str, Any]:
    """metrics/eval/X.json with plausible groups and a key that nobody knows."""
    low, high = s_l - 8, s_l + 7
    cell = {"S_l": s_l, "S_q": s_q, "n": 3, "unscored": 0, "interval_S_l": [low, high]}
    return {
        "S_l": s_l,
        "S_q": s_q,
        "S_bar": None if s_q is None else (s_l + s_q) / 2,
        "n": 6,
        "unscored": 6 if s_q is None else 1,
        "cut_off": cut_off,
        "mean_words": mean_words,
        "intervals": {"S_l": [low, high], "S_q": None if s_q is None else [s_q - 3, s_q + 3]},
        "dimensions": {},
        "by_length": {"[0,200)": cell, "[200,∞)": {**cell, "S_l": s_l / 2, "interval_S_l": None}},
        "by_type": {},
        "by_language": {},
        "a key from the future": {"nested": [1, 2]},
    }


METRICS: dict[str, Any] = {
    "agentwrite": {
        "instructions": 40,
        "drafts": 36,
        "failures": 4,
        "words": 7200,
        "S_l": 91.2,
        "failures_by_error": {"BadCompletion": 3, "TimedOut": 1},
        "calls": 210,
        "prompt_tokens": 50000,
        "cached_prompt_tokens": 21000,
        "completion_tokens": 12000,
        "cost_usd": 0.125,
    },
    "filter": {
        "drafts": 36,
        "kept": 25,
        "words": 5000,
        "min_words": 48,
        "rejected": {"repetition": 7, "too_short": 4, "copied": 0},
    },
    "sft": {"rows": 25, "tokens": 9000, "target_tokens": 7000, "seconds": 61.4, "train_loss": 1.9},
    "pairs": {"instructions": 20, "candidates": 80, "pairs": 18, "without_pair": {"tie": 2}},
    "dpo": {"pairs": 18, "tokens": 6000, "seconds": 40.2, "train_loss": 0.6},
    "sft_curve": [{"step": step, "loss": 3.0 / step**0.2} for step in range(1, 13)],
    "dpo_curve": [{"step": step, "loss": 0.69 - 0.02 * step} for step in range(1, 9)],
    "eval/base": evaluation(46.0, 40.5, 5, 302.5),
    "eval/sft": evaluation(58.25, None, 0, 143.0),
    "eval/dpo": evaluation(60.0, 52.0, 0, 172.0),
    "comparison": {
        "sft-base": {"mean": 12.25, "low": 5.1, "high": 19.4},
        "dpo-sft": {"mean": 1.75, "low": -2.04, "high": 3.1},
    },
}


def judgement(model: str, place: int) -> dict[str, Any]:
    """A row of data/judgements/<model>.jsonl; the shortest of base holds a script."""
    planted = PLANTED if (model, place) == ("base", 0) else ""
    return {
        "prompt": f"Write about topic {place}.",
        "type": "News",
        "length": LENGTHS[place],
        "response": f"{planted}{model} writes." + " word" * WRITTEN[model][place],
        "response_length": WRITTEN[model][place],
        "finish_reason": "length" if model == "base" and place else "stop",
        "length_score": 10.0 * place + len(model),
        "unscored": "no JSON",
    }


def write_finished(root: Path) -> Path:
    """Makes `root` a checkout in which every stage but `report` has run, and returns it."""
    for name, content in METRICS.items():
        path = root / f"metrics/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    for model in WRITTEN:
        path = root / f"data/judgements/{model}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [json.dumps(judgement(model, place)) for place in range(len(LENGTHS))]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / "dvc.lock").write_text(
        "schema: '2.0'\n"
        "stages:\n"
        "  filter:\n"
        "    cmd: python stages/filter.py\n"
        "    outs:\n"
        "    - path: data/sft/train.jsonl\n"
        "      hash: md5\n"
        "      md5: 0123456789abcdef0123456789abcdef\n"
        "      size: 1234567\n"
        "  sft:\n"
        "    cmd: python stages/sft.py\n"
        "    outs:\n"
        "    - path: models/sft\n"
        "      hash: md5\n"
        "      md5: fedcba9876543210fedcba9876543210.dir\n"
        "      size: 538000000\n"
        "      nfiles: 4\n"
        "  report:\n"
        "    cmd: python stages/report.py\n"
        "    outs:\n"
        "    - path: reports\n"
        "      hash: md5\n"
        "      md5: 00000000000000000000000000000000.dir\n"
        "      size: 1\n",
        encoding="utf-8",
    )
    return root
