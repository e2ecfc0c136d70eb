"""Renders the Jinja templates of cards and reports; needs jinja2, which the base install lacks."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from longwriter.core.tables import count, markdown


def render(package: str, template: str, **values: object) -> str:
    """Renders a template; a variable that it uses and that is not given is an error.

    In `*.html` templates, values are escaped. Filters: `count` (thousands separators), `markdown`
    (a Table).

    Args:
        package: the package whose folder templates/ holds it, e.g. `longwriter.report`.
        template: its file name.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": count, "markdown": markdown}
    return environment.get_template(template).render(**values)
