"""`longwriter promote`: a model of the pipeline becomes the champion of MLflow's registry."""

from argparse import Namespace
from pathlib import Path

from longwriter.config.load import read_params
from longwriter.core.errors import DataError, SettingsError
from longwriter.models.lineup import BY_NAME
from longwriter.tracking.logged_models import MD5
from longwriter.tracking.registry import (
    ALIAS,
    compare,
    find_champion,
    find_model,
    read_scores,
    register,
)


def promote(arguments: Namespace) -> None:
    """Registers the model that the command line names as the champion, where it beats the present one
    or there is none.

    Raises:
        SettingsError: the pipeline has no such model, or there is no params.yaml.
        DataError: it has no scores in MLflow, or it is not shown to be better than the champion.
    """
    root, name, registered = Path.cwd(), arguments.model, arguments.name
    if name not in BY_NAME:
        raise SettingsError(f"{name!r} is no model of the pipeline; it has {', '.join(BY_NAME)}")
    statistics = read_params(root).statistics
    model = find_model(root, name)
    champion = find_champion(registered)
    if champion and champion.md5 == model.tags[MD5]:
        print(f"models/{name} is {registered}'s champion already: {champion}, the same bytes")
        return
    comparison = None
    if champion is None:
        print(f"{registered} has no champion yet, so there is none to beat")
    else:
        comparison = compare(champion.scores, read_scores(model.model_id), statistics)
        if not (comparison.better or arguments.anyway):
            raise DataError(
                f"models/{name} is not shown to be better than {champion}: {comparison}. Nothing was "
                "registered; --anyway promotes it all the same, and its version says so"
            )
        print(f"models/{name} against the champion, {champion}: {comparison}")
    version = register(registered, model, champion, comparison)
    print(f"models/{name} ({model.tags[MD5]}) is {registered} version {version}, alias {ALIAS}")
    print(f"`make ui` shows it: http://127.0.0.1:5000/#/models/{registered}/versions/{version}")
