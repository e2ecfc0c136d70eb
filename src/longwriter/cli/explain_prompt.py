"""`longwriter explain --prompt`: the length and the language that a prompt asks for."""

import json
from argparse import Namespace

from longwriter.text.demands import demand_in
from longwriter.text.languages import prompt_language


def show(arguments: Namespace) -> None:
    """Prints the length and the language read from the prompt on the command line."""
    print(explain_prompt(arguments.prompt, arguments.json))


def explain_prompt(prompt: str, as_json: bool) -> str:
    """Returns the length and the language that a prompt asks for, as text or as JSON.

    In the JSON, `length`, `min` and `max` are in words, null if the prompt states none in words;
    `stated` has the same three in the prompt's own `unit`; `read_from` quotes the prompt.
    """
    demand = demand_in(prompt)
    words = demand if demand.unit == "words" else None
    found = {
        "length": words and words.length,
        "min": words and words.least,
        "max": words and words.most,
        "language": prompt_language(prompt),
        "unit": demand.unit if demand.quotes else None,
        "stated": {"length": demand.length, "min": demand.least, "max": demand.most},
        "read_from": demand.quotes,
    }
    if as_json:
        return json.dumps(found, ensure_ascii=False, indent=2)
    bounds = [
        f"{name} {number:,}"
        for name, number in (
            ("length", demand.length),
            ("at least", demand.least),
            ("at most", demand.most),
        )
        if number is not None
    ]
    said = f"{', '.join(bounds)} {demand.unit}" if bounds else "no length"
    quotes = "; ".join(repr(quote) for quote in demand.quotes)
    lines = [f"{said}, read from {quotes}" if quotes else said, f"language {found['language']}"]
    if demand.unit != "words":
        lines.append(
            f"not a length in words: agentwrite.words_per_{demand.unit.removesuffix('s')} converts it"
        )
    return "\n".join(lines)
