"""`longwriter promote`: a model of the last `dvc repro` becomes MLflow's registered champion."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from longwriter.config.load import compose
from longwriter.core.errors import SettingsError
from longwriter.core.settings import StatisticsSettings
from longwriter.tracking.provenance import locked_stages
from longwriter.tracking.registry import CHAMPION, REGISTERED, promote


@dataclass(kw_only=True)
class PromoteSettings:
    """The group of conf/ that says how intervals are made."""

    statistics: StatisticsSettings


def promote_model(arguments: Namespace) -> None:
    """Promotes the model that the command line names.

    Raises:
        LongwriterError: it has no scores, or is not shown to be better than the champion.
    """
    root, name = Path.cwd(), arguments.model
    outs = [out for stage in locked_stages(root).values() for out in stage.get("outs", [])]
    md5 = next((out["md5"] for out in outs if out["path"] == f"models/{name}"), None)
    if md5 is None:
        raise SettingsError(f"models/{name}: dvc.lock knows none; `dvc repro {name}` makes it")
    settings = compose(PromoteSettings, arguments.overrides)
    done = promote(root, name, md5, settings.statistics, arguments.anyway)
    if not done.new:
        print(f"{name}: is the champion already, version {done.version} of {REGISTERED}")
        return
    found = done.difference
    print(
        f"S_l minus that of version {done.against}: {found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}] "
        f"over {done.prompts} prompts"
        if found
        else "there was no champion to compare with"
    )
    print(f"{name}: is version {done.version} of {REGISTERED}, alias {CHAMPION}")
    print("make ui shows it under Models")
