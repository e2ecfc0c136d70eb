"""Writes docs/settings.md, which lists every setting with its type, default and meaning.

    python -m longwriter.config.reference

Types and meanings come from the dataclasses that declare the settings, defaults from params.yaml.
"""

import ast
import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from longwriter.config.load import load_yaml
from longwriter.config.schema import Settings
from longwriter.core.files import write_text
from longwriter.llm.settings import ServerSettings

PAGE = Path("docs/settings.md")
_LONGEST = 60
"""Maximum characters shown of a default value."""

_HEAD = """# Settings

Every setting of the pipeline, with its type and its default (`conf/`). `longwriter.config.reference` makes this page of the
dataclasses that declare them. `null` is a value of those whose type says `or null`. How they are changed is in
[first run](guide/first-run.md) and [sweeps](guide/sweep.md).
"""


def page(defaults: Mapping[str, Any]) -> str:
    """Returns the content of docs/settings.md.

    Args:
        defaults: the content of params.yaml.
    """
    parts, hints = [_HEAD], typing.get_type_hints(Settings)
    server = defaults["teacher"]
    parts.append(
        "\n".join(
            _section(
                "server",
                ServerSettings,
                server,
                "of `teacher`; `judge` and `student.server` have the same",
            )
        )
    )
    for field in dataclasses.fields(Settings):
        kind = _dataclass_of(hints[field.name])
        if kind is not None and kind is not ServerSettings:
            parts.append("\n".join(_section(field.name, kind, defaults.get(field.name) or {})))
    return "\n\n".join(parts) + "\n"


def _section(key: str, kind: type, defaults: Mapping[str, Any], remark: str = "") -> Iterator[str]:
    yield f"## {key}\n"
    yield f"{_one_line(inspect.getdoc(kind) or '')}{f' Defaults {remark}.' if remark else ''}\n"
    if kind is not ServerSettings and issubclass(kind, ServerSettings):
        yield "Those of [server](#server), and:\n"
    yield "| setting | type | default | meaning |\n|---|---|---|---|"
    yield from _rows(key, kind, defaults)


def _rows(key: str, kind: type, defaults: Mapping[str, Any]) -> Iterator[str]:
    hints, said = typing.get_type_hints(kind), _meanings(kind)
    common = (
        set() if kind is ServerSettings else {f.name for f in dataclasses.fields(ServerSettings)}
    )
    inherited = common if issubclass(kind, ServerSettings) else set()
    for field in dataclasses.fields(kind):
        if field.name in inherited:
            continue
        inner = _dataclass_of(hints[field.name])
        name, default = f"{key}.{field.name}", defaults.get(field.name)
        if inner is None or issubclass(inner, ServerSettings):
            cells = (
                f"`{name}`",
                _type(hints[field.name]),
                _default(default),
                said.get(field.name) or _of_choice(hints[field.name]) or _elsewhere(name),
            )
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        else:
            yield from _rows(name, inner, default or {})


def _elsewhere(key: str) -> str:
    """Says which library's argument a setting without a description corresponds to."""
    if ".lora." in key:
        return "As in peft's LoraConfig."
    return "As in transformers' and TRL's arguments." if key.startswith(("sft.", "dpo.")) else ""


def _of_choice(hint: Any) -> str:
    """Returns the docstring of a setting's enum, for settings without a description."""
    choices = [each for each in (hint, *typing.get_args(hint)) if hasattr(each, "__members__")]
    return _one_line(inspect.getdoc(choices[0]) or "") if choices else ""


def _dataclass_of(hint: Any) -> type | None:
    for each in typing.get_args(hint) or (hint,):
        if dataclasses.is_dataclass(each) and isinstance(each, type):
            return each
    return None


def _type(hint: Any) -> str:
    if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(_type(each) for each in typing.get_args(hint))
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and hasattr(hint, "__members__"):
        return ", ".join(f"`{name}`" for name in hint.__members__)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "mapping"
    if dataclasses.is_dataclass(hint):
        return "as [server](#server)"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    return names.get(getattr(hint, "__name__", ""), "any")


def _default(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}`"


def _meanings(kind: type) -> dict[str, str]:
    """Returns field name → the text below the field, for the class and its base classes."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(each):
            continue
        [declared] = ast.parse(inspect.getsource(each)).body
        assert isinstance(declared, ast.ClassDef)
        for before, after in zip(declared.body, declared.body[1:], strict=False):
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                match after:
                    case ast.Expr(ast.Constant(str(text))):
                        found[before.target.id] = _one_line(text)
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def main() -> None:
    """Writes docs/settings.md in the checkout that is the working directory."""
    defaults = load_yaml(Path("params.yaml"))
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(defaults)
    assert isinstance(plain, dict)
    write_text(PAGE, page({str(key): value for key, value in plain.items()}))


if __name__ == "__main__":
    main()
