"""Model cards: what a reader of the hub is told of a tuned and of an aligned model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from helpers.checkpoints import default_settings

from longwriter.core.settings import flatten_settings
from longwriter.core.statistics import interval
from longwriter.models.cards import write_card

SETTINGS = default_settings()
HUB = replace(SETTINGS.student, checkpoint="org/model-8b", revision="abc", eos_token="<|end|>")
SFT_METRICS = {
    "rows": 52,
    "skipped_rows": 2,
    "tokens": 61_234,
    "target_tokens": 58_000,
    "steps": 14,
    "train_loss": 2.5,
}


def sft_card(folder: Path, **changes: Any) -> str:
    values: dict[str, Any] = {
        "student": HUB,
        "sft": flatten_settings({"sft": SETTINGS.sft}),
        "metrics": SFT_METRICS,
        "validation_rows": 0,
        "losses": {},
    }
    write_card(folder, "sft", **values | changes)
    return (folder / "README.md").read_text(encoding="utf-8")


def dpo_card(folder: Path, **changes: Any) -> str:
    values: dict[str, Any] = {
        "dpo": SETTINGS.dpo,
        "student": HUB,
        "start": "models/sft",
        "weights": "c0ffee",
        "metrics": {"pairs": 9, "tokens": 12_345, "steps": 3},
        "losses": "1 · sigmoid",
        "adapter": False,
        "method": "all weights",
        "validation": None,
        "interval": None,
    }
    write_card(folder, "dpo", **values | changes)
    return (folder / "README.md").read_text(encoding="utf-8")


def front(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_tuned_model_s_card(tmp_path: Path) -> None:
    card = sft_card(tmp_path)
    assert front(card) == {
        "base_model": "org/model-8b",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["longwriter", "sft", "trl"],
    }
    assert (
        "\n# model-8b, fine-tuned by longwriter\n\n`org/model-8b` at revision `abc` after" in card
    )
    assert "\n| training rows | 50 |\n" in card
    assert "\n| tokens | 61,234 |\n| of these targets | 58,000 |\n" in card
    assert (
        "\n| mean training loss, nats a target | 2.5 |\n\n| setting | value |\n|---|---|\n" in card
    )
    assert f"\n| `sft.seed` | {SETTINGS.sft.seed} |\n" in card
    assert (
        "\nPrompts must be rendered with the tokenizer's chat template. An answer ends with\n"
        in card
    )
    assert card.endswith("\n`<|end|>`.\n")
    assert "validation" not in card.replace("sft.validation", "")
    assert "\n\n\n" not in card


def test_the_tuned_model_s_loss_on_validation_rows(tmp_path: Path) -> None:
    card = sft_card(tmp_path, validation_rows=3, losses={"base": 3.25, "sft": 2.75})
    assert "\n| mean loss on 3 validation rows, base | 3.25 |\n| the same, tuned | 2.75 |\n" in card


def test_a_base_that_is_a_gguf_file_is_no_model_of_the_hub(tmp_path: Path) -> None:
    for card in (
        sft_card(tmp_path, student=SETTINGS.student),
        dpo_card(tmp_path, student=SETTINGS.student),
    ):
        assert "base_model" not in front(card)
    title = "# SmolLM2-135M-Instruct.Q4_1, fine-tuned by longwriter"
    assert f"\n{title}\n" in sft_card(tmp_path, student=SETTINGS.student)
    assert "the tokenizer's end-of-text token" in sft_card(tmp_path, student=SETTINGS.student)


def test_the_aligned_model_s_card(tmp_path: Path) -> None:
    # Margins 0.1 and 0.3: mean 0.2, half of the interval t(0.975, 1) · 0.1 = 1.27062
    card = dpo_card(
        tmp_path,
        validation={"pairs": 4, "instructions": 2, "margin": 0.2, "accuracy": 0.75},
        interval=interval([0.1, 0.3]),
    )
    assert front(card)["base_model"] == "org/model-8b"
    assert "\n# models/sft, aligned by DPO\n" in card
    assert (
        "\n`c0ffee`), after direct preference optimisation on\n9 pairs of its own samples" in card
    )
    assert "Trained: all weights; saved: whole weights.\n" in card
    assert "\n| loss | 1 · sigmoid |\n| beta | 0.1 |\n| ld_alpha | none |\n" in card
    assert (
        "from 0 to 0.200 (95 % t interval over instructions: -1.071 to 1.471).\n"
        "The chosen answer has the higher reward in 75% of the pairs.\n\nLoad it with" in card
    )
    assert "\n\n\n" not in card


def test_one_instruction_has_no_interval_and_none_is_said_to_be_unmeasured(tmp_path: Path) -> None:
    one = {"pairs": 1, "instructions": 1, "margin": 0.2, "accuracy": 1.0}
    assert "from 0 to 0.200.\n" in dpo_card(tmp_path, validation=one)
    assert "No validation pairs were set aside" in dpo_card(tmp_path)


def test_an_adapter_says_how_it_is_loaded(tmp_path: Path) -> None:
    card = dpo_card(tmp_path, adapter=True)
    assert front(card)["library_name"] == "peft"
    assert "saved: the adapter alone.\n" in card
    assert "`AutoPeftModelForCausalLM.from_pretrained`" in card


def test_a_value_that_a_template_lacks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError):
        write_card(tmp_path, "dpo", student=HUB)
    assert not (tmp_path / "README.md").exists()
