"""Put the student's starting checkpoint into models/base (stage `base`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing
from longwriter.core.workspace import Workspace
from longwriter.models.checkpoint import materialise
from longwriter.models.server_kind import server_kind


def base(settings: Settings, work: Workspace) -> None:
    path = work.output("models/base")
    with replacing(path) as (folder,):
        parameters = materialise(settings.student, folder)
    choice = server_kind(settings.student, path, work.cache)  # fail now, not after training
    print(f"{settings.student.checkpoint}: {parameters / 1e6:.0f} M parameters in {path}")
    print(f"its checkpoints will be served by {choice.kind.value}: {choice.reason}")


if __name__ == "__main__":
    run_stage(base)
