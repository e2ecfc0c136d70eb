"""Composes and validates conf/, and reads and writes its resolved form, params.yaml.

Users edit conf/. A stage that DVC runs reads params.yaml; the same script run by hand is a Hydra
app that composes conf/ with the overrides given (`config.run`).
"""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from longwriter.config.inputs import input_digests
from longwriter.config.schema import RENAMED, RENAMED_VALUES, Settings, new_name
from longwriter.core.errors import SettingsError
from longwriter.core.files import write_text
from longwriter.core.settings import violations

S = TypeVar("S")

_PACKAGE = Path(__file__).parents[1]
CHECKOUT = Path(__file__).parents[3]
"""The checkout that contains this code; meaningless for an installed package."""
ROOT = CHECKOUT if (CHECKOUT / "conf/config.yaml").is_file() else _PACKAGE
"""Folder that holds conf/: the checkout, or the installed package."""


def validate(config: DictConfig, choices: dict[str, str] | None = None) -> Settings:
    """Returns all settings, from all groups of conf/; see `validate_as`."""
    return validate_as(Settings, config, choices)


def validate_as(kind: type[S], config: DictConfig, choices: dict[str, str] | None) -> S:
    """Turns a composed configuration into typed settings.

    Args:
        kind: a dataclass with one field per group.
        config: the composed groups, resolved or not.
        choices: group → chosen option, to name the exact file in an error.

    Raises:
        SettingsError: a key is unknown, or a value is missing, out of range or of the wrong type.
            The message has the full key, the file to edit and a renamed setting's new name.
    """
    try:
        known = OmegaConf.structured(kind)
        unknown = [str(key) for key in config if key not in known.keys()]  # noqa: SIM118
        if unknown:
            raise SettingsError(_message(unknown[0], "is no group of settings", choices))
        merged = OmegaConf.merge(known, config)
        settings = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key, what = error.full_key or "", (error.msg or str(error)).splitlines()[0]
        new = RENAMED_VALUES.get((key, str(OmegaConf.select(config, key)))) if key else None
        raise SettingsError(_message(key, f"{what}; {new}" if new else what, choices)) from None
    assert isinstance(settings, kind)
    for key, what in violations(settings):
        raise SettingsError(_message(key, what, choices))
    return settings


def _message(key: str, what: str, choices: dict[str, str] | None) -> str:
    new = new_name(key)
    if new:
        return f"{key}: has been renamed to {new}. Rename it where it is set."
    group = key.split(".")[0]
    if group == "sweep":
        file = "conf/sweep.yaml"
    elif group in ("predict", "eval", "second_judge") or "." not in key:
        file = "conf/config.yaml"
    elif choices and group in choices:
        served = (option for name, option in choices.items() if name.startswith(f"server@{group}"))
        files = [f"{group}/{choices[group]}", *(f"server/{option}" for option in served)]
        file = " or ".join(f"conf/{name}.yaml" for name in files)
    else:
        file = f"conf/{group}/"
    return f"{key}: {what}. Fix it in {file}, in the experiment or in the override that sets it."


def check_names(overrides: Sequence[str], sweeps: bool = True) -> None:
    """Refuses overrides of renamed settings, and overrides that Hydra's grammar cannot read.

    Hydra would only call a renamed setting unknown. An example of unreadable overrides is a path
    with a bracket.

    Args:
        sweeps: whether an override may give several values.

    Raises:
        SettingsError: an override is refused; the message has the new name, or the override in
            quotes.
    """
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        key = key.partition("@")[0].replace("/", ".")
        new = new_name(key)
        if new:
            raise SettingsError(f"{key}: has been renamed to {new}; set {new}={value}")
        for choice in value.split(","):  # several in a sweep
            if (key, choice) in RENAMED_VALUES:
                raise SettingsError(f"{key}={choice}: {RENAMED_VALUES[key, choice]}")
        _check_grammar(override, sweeps)


def _check_grammar(override: str, sweeps: bool) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        read = OverridesParser.create().parse_override(override)
    except HydraException:
        fault = "Hydra cannot read it"
    else:
        if sweeps or not read.is_sweep_override():
            return
        fault = "Hydra takes it for several values"
    key, equals, value = override.partition("=")
    if equals:
        [quoted] = assignment(key, value)
        shell = shlex.quote(quoted) if re.search(r'["$`\\!]', quoted) else f'"{quoted}"'
        raise SettingsError(f"{override}: {fault}; with quotes for Hydra and the shell: {shell}")


def loosened(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides, with `++` before `extra_body`, `extra_headers` and `extra_query`.

    Hydra requires the `++` for keys that are not in conf/ yet.
    """
    return [re.sub(r"^(?=[\w.]+\.extra_(?:body|headers|query)[.=])", "++", o) for o in overrides]


def compose(kind: type[S], overrides: Sequence[str]) -> S:
    """Returns the groups of conf/ that `kind` has as fields, with Hydra `overrides` applied.

    Raises:
        SettingsError: conf/ with the overrides cannot be composed or is not valid.
    """
    config, choices = _compose(ROOT, overrides)
    names = list(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    return validate_as(kind, OmegaConf.masked_copy(config, names), choices)


def assignment(key: str, value: object) -> list[str]:
    """Returns the override that sets `key` to `value`, quoted for Hydra; no override for None."""
    if value is None:
        return []
    if isinstance(value, str):
        # In Hydra's grammar a backslash is literal, except before a quote.
        quoted = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
        return [f"{key}='{quoted}'"]
    return [f"{key}={value}"]


def compose_params(root: Path) -> str:
    """Composes conf/ as `dvc exp run` does and returns the text of params.yaml.

    Raises:
        SettingsError: conf/ cannot be composed or is not valid.
    """
    config, choices = _compose(root, [])
    validate(config, choices)
    return OmegaConf.to_yaml(config)


def _compose(root: Path, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """Returns all groups, resolved, and a mapping group → chosen option."""
    import hydra
    from hydra.errors import HydraException, MissingConfigException

    check_names(overrides, sweeps=False)
    try:
        with hydra.initialize_config_dir(str(root / "conf"), version_base=None):
            config = hydra.compose("config", loosened(overrides), return_hydra_config=True)
        choices = dict(config.hydra.runtime.choices)
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        OmegaConf.resolve(config)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        new = f"; {group} has been renamed to {RENAMED[group]}" if group in RENAMED else ""
        known = f"; there are {', '.join(error.options)}" if error.options else ""
        raise SettingsError(
            f"conf/ cannot be composed: conf/{group}/ has no option {option!r}{known}{new}"
        ) from None
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise SettingsError(f"conf/ cannot be composed: {error}") from None
    return config, choices


def write_params(root: Path) -> None:
    """Runs the `params` stage, which writes params.yaml and inputs.yaml.

    A params.yaml that `dvc exp run -S` composed is only validated. inputs.yaml has the digests of
    all files that settings name.
    """
    params = root / "params.yaml"
    if os.environ.get("DVC_EXP_NAME") and params.exists():
        settings = read_params(root)
    else:
        text = compose_params(root)
        settings = validate(OmegaConf.create(text))  # type: ignore[arg-type]
        write_text(params, text)
    write_text(root / "inputs.yaml", OmegaConf.to_yaml(input_digests(settings, root)))


def load_yaml(path: Path) -> DictConfig:
    """Returns the content of a YAML file that a stage wrote.

    Raises:
        SettingsError: the file doesn't exist or is not YAML.
    """
    fix = "`dvc repro params` writes it"
    try:
        config = OmegaConf.load(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; {fix}") from None
    except YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {error}; {fix}") from None
    assert isinstance(config, DictConfig)
    return config


def read_params(root: Path) -> Settings:
    """Returns the settings in params.yaml, with which the last `dvc repro` ran.

    Raises:
        SettingsError: the file doesn't exist or is not valid.
    """
    return validate(load_yaml(root / "params.yaml"))
