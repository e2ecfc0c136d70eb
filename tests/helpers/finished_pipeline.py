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

HEALTH = {
    "repetition": 0.12,
    "copied": 0.05,
    "loop": 0.03,
    "said_again": 0.0625,
    "uncounted": 0.0,
    "mostly_uncounted": 0.0,
    "looping": 0.25,
    "distinct_1": 0.6,
    "distinct_2": 0.9,
    "unfinished": 0.5,
    "other_language": 0.0,
    "drift": 0.0,
}
DIMENSIONS = ("Relevance", "Accuracy", "Coherence", "Clarity", "Breadth and Depth")


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
        "dimensions": dict.fromkeys((*DIMENSIONS, "Reading Experience"), s_q),
        "unscored_reasons": {"BadCompletion": 6 if s_q is None else 1},
        "length": {
            "deviation": -0.25,
            "deviation_median": -0.2,
            "within_10": 0.5,
            "within_20": 0.667,
            "within_20_interval": [0.3, 0.9],
            "rank_correlation": {"value": 0.5, "interval": [0.25, 0.75]},
            "obedience": {"share": 0.5, "n": 2, "at least": {"share": 0.5, "n": 2}},
            "longest_words": int(mean_words * 2),
        },
        "health": HEALTH,
        "spread": {
            "samples_S_l": None,
            "samples_S_q": None,
            "repeats_S_q": 3.25,
            "repeats_mean_S_q": 0.75,
            "repeats_failed": 1,
        },
        "by_required": {
            "100": {"mean_words": mean_words / 2, "longest_words": int(mean_words), "n": 3},
            "400": {"mean_words": mean_words, "longest_words": int(mean_words * 2), "n": 3},
        },
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
    "sft_position": {
        "rows": 2,
        "ends": [32, 64],
        "targets": [[32, 8], [32, 0]],
        "nll": {"base": [[96.0, 24.0], [128.0, 0]], "sft": [[64.0, 12.0], [96.0, 0]]},
    },
    "pairs": {
        "instructions": 4,
        "candidates": 16,
        "pairs": 3,
        "without_pair": {"tie": 2},
        "without_pair_share": 0.5,
        "margin": 30.0,
        "histograms": {
            "score": {"edges": [0, 50, 100], "counts0": [0, 3], "counts1": [2, 1]},
            "words": {"edges": [0, 90, 180], "counts0": [1, 2], "counts1": [3, 0]},
            "margin": {"edges": [0, 30, 60], "counts0": [2, 1]},
        },
    },
    "dpo": {
        "pairs": 2,
        "tokens": 6000,
        "seconds": 40.2,
        "train_loss": 0.6,
        "validation": {
            "pairs": 3,
            "instructions": 2,
            "margin": 0.35,
            "accuracy": 1.0,
            "ids": ["a", "a", "b"],
            "margins": [0.25, 0.75, 0.2],
        },
    },
    "judge_audit": {
        "trusted": True,
        "faults": [],
        "labels": 12,
        "unscored": 0,
        "bias": {
            "length": {"n": 4, "mean": 6.25, "interval": [2.0, 10.0], "dimensions": {}},
            "padding": {"n": 4, "mean": -1.5, "interval": [-4.0, 1.0]},
            "position": {"n": 0, "mean": None, "interval": None},
            "planted": {"n": 4, "share": 0.75, "interval": [0.3, 0.95]},
            "failed": 0,
        },
        "agreement": {
            "all": {
                "n": 12,
                "spearman": {"value": 0.5, "interval": [0.125, 0.75]},
                "kendall": {"value": 0.4, "interval": [0.1, 0.7]},
                "kappa": {"value": 0.3, "interval": None},
            }
        },
        "calls": 16,
        "prompt_tokens": 9000,
        "completion_tokens": 800,
        "cost_usd": 0.0,
    },
    "sft_curve": [{"step": step, "loss": 3.0 / step**0.2} for step in range(1, 13)],
    "dpo_curve": [{"step": step, "loss": 0.69 - 0.02 * step} for step in range(1, 9)],
    "eval/base": evaluation(46.0, 40.5, 5, 302.5),
    "eval/sft": evaluation(58.25, None, 0, 143.0),
    "eval/dpo": evaluation(60.0, 52.0, 0, 172.0),
    "summary": {"base": {"S_l": 46.0}},
    "comparison": {
        "sft-base": {"mean": 12.25, "low": 5.1, "high": 19.4},
        "dpo-sft": {
            "mean": 1.75,
            "low": -2.04,
            "high": 3.1,
            "S_l_shortest": {"mean": -4.0, "low": -6.0, "high": -2.0},
        },
    },
}


DRAFTS = [(100, 100), (100, 50), (200, 100), (None, 70)]
"""Required and written words: S_l 100, 50, 50, and none."""
PAIRS = {
    "pairs": [("one", 30, 60, 40), ("one", 10, 50, 50)],
    "validation": [("two", 50, 30, 90), ("chat", None, None, None)],
}
"""File of data/dpo/ → id, margin, words of the chosen and of the rejected answer."""


def draft(place: int) -> dict[str, Any]:
    """A row of data/agentwrite/drafts.jsonl."""
    required, written = DRAFTS[place]
    return {
        "id": f"d{place}",
        "prompt": "Write.",
        "length": required,
        "language": "en",
        "plan": [{"main_point": "All.", "word_count": written}],
        "paragraphs": ["Text."],
        "response": "Text.",
        "response_length": written,
        "usage": {},
    }


def pair(name: str, margin: int | None, chosen: int | None, rejected: int | None) -> dict[str, Any]:
    """A row of data/dpo/pairs.jsonl; without a margin one of a chat row."""
    row: dict[str, Any] = {
        "id": name,
        "prompt": [{"role": "user", "content": "Write."}],
        "chosen": [{"role": "assistant", "content": "Better."}],
        "rejected": [{"role": "assistant", "content": "Worse."}],
    }
    if margin is None:
        return row
    scores = {"chosen_score": 50.0 + margin, "rejected_score": 50.0}
    return row | scores | {"chosen_length": chosen, "rejected_length": rejected}


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
    rows = {
        f"judgements/{model}": [judgement(model, place) for place in range(len(LENGTHS))]
        for model in WRITTEN
    }
    rows |= {f"dpo/{name}": [pair(*found) for found in pairs] for name, pairs in PAIRS.items()}
    rows["agentwrite/drafts"] = [draft(place) for place in range(len(DRAFTS))]
    for name, found in rows.items():
        path = root / f"data/{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in found), encoding="utf-8")
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
