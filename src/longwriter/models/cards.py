"""The cards that lie beside the weights, in the form of the Hugging Face hub."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from longwriter.core.files import write_text


def write_card(folder: Path, template: str, **values: object) -> None:
    """Writes README.md into the checkpoint `folder`. It holds no time and no place, so that the same
    run gives the same card.

    Args:
        template: a file of models/templates, without `.md.jinja`.
        values: what the template shows.
    """
    environment = Environment(  # noqa: S701 (Markdown)
        loader=PackageLoader("longwriter.models"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(
        folder / "README.md", environment.get_template(f"{template}.md.jinja").render(**values)
    )
