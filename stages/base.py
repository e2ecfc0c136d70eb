"""Put the student's starting checkpoint into models/base (stage `base`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing
from longwriter.core.workspace import Workspace
from longwriter.models.checkpoint import materialise


def base(settings: Settings, work: Workspace) -> None:
    path = work.output("models/base")
    with replacing(path) as (folder,):
        parameters = materialise(settings.student, folder)
    print(f"{settings.student.checkpoint}: {parameters / 1e6:.0f} M parameters in {path}")


if __name__ == "__main__":
    run_stage(base)
