"""Model cards, written beside the weights in the Hugging Face hub's format."""

from pathlib import Path

from longwriter.core.files import write_text
from longwriter.core.templates import render


def write_card(folder: Path, template: str, **values: object) -> None:
    """Writes README.md into the checkpoint `folder`.

    The card holds no time and no path of this machine, so that the same run gives the same card.

    Args:
        template: a file of models/templates, without `.md.jinja`.
        values: the template's variables; each that it uses must be given.
    """
    write_text(folder / "README.md", render("longwriter.models", f"{template}.md.jinja", **values))
