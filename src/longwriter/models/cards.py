"""Model cards, written beside the weights in the Hugging Face hub's format."""

from pathlib import Path

from longwriter.core.files import write_text
from longwriter.core.templates import render


def write_card(folder: Path, template: str, **values: object) -> None:
    """Writes README.md into the checkpoint `folder`.

    The card has no timestamps or local paths, so identical runs write identical cards.

    Args:
        template: name of a file in models/templates, without `.md.jinja`.
        values: the template's variables; every one that it uses is required.
    """
    write_text(folder / "README.md", render("longwriter.models", f"{template}.md.jinja", **values))
