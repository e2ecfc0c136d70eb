"""`longwriter promote`: makes a model of the pipeline the champion in MLflow's registry."""

from argparse import Namespace
from pathlib import Path

from longwriter.core.errors import DataError, SettingsError
from longwriter.models.lineup import BY_NAME
from longwriter.tracking.comparing import compare, read_scores
from longwriter.tracking.logged_models import MD5
from longwriter.tracking.registry import ALIAS, find_champion, find_model, register


def promote(arguments: Namespace) -> None:
    """Registers a model as the champion if it beats the current one, or if there is none yet.

    With --anyway it is registered even if it is not shown to be better.

    Raises:
        SettingsError: the pipeline has no such model.
        DataError: the model has no scores in MLflow, or is not shown to beat the champion.
    """
    root, name, registered = Path.cwd(), arguments.model, arguments.name
    if name not in BY_NAME:
        raise SettingsError(f"{name!r} is no model of the pipeline; it has {', '.join(BY_NAME)}")
    model = find_model(root, name)
    champion = find_champion(registered)
    if champion and champion.md5 == model.tags[MD5]:
        print(f"models/{name} is {registered}'s champion already: {champion}, the same bytes")
        return
    comparison = None
    if champion is None:
        print(f"{registered} has no champion yet, so there is none to beat")
    else:
        comparison = compare(champion.scores, read_scores(model.model_id))
        if not (comparison.better or arguments.anyway):
            raise DataError(
                f"models/{name} is not shown to be better than {champion}: {comparison}. Nothing was "
                "registered; --anyway promotes it all the same, and its version says so"
            )
        print(f"models/{name} against the champion, {champion}: {comparison}")
    version = register(registered, model, champion, comparison)
    print(f"models/{name} ({model.tags[MD5]}) is {registered} version {version}, alias {ALIAS}")
    print(f"`make ui` shows it: http://127.0.0.1:5000/#/models/{registered}/versions/{version}")
