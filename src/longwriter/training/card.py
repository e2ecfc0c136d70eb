"""The tuned model's card, which lies beside its weights."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from longwriter.records import write_text
from longwriter.settings import Settings
from longwriter.tracking import parameters


def write_card(
    folder: Path, metrics: dict[str, Any], position: dict[str, Any], settings: Settings
) -> None:
    """Writes README.md into the checkpoint `folder`, in the form of the Hugging Face hub.

    It holds no time and no place, so that the same run gives the same card.

    Args:
        metrics: as in metrics/sft.json.
        position: as in metrics/sft_position.json.
    """
    environment = Environment(  # noqa: S701 (Markdown)
        loader=PackageLoader("longwriter.training", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("card.md.jinja").render(
        student=settings.student,
        sft=parameters(settings, ["sft"]),
        seed=settings.runtime.seed,
        metrics=metrics,
        last=position["bins"][-1] if position["bins"] else None,
        held_out=position["rows"],
    )
    write_text(folder / "README.md", text)
