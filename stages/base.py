"""Put the student's starting checkpoint into models/base (stage `base`)."""

from longwriter.records import replacing
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.training.model import materialise


def base(settings: Settings, work: Workspace) -> None:
    path = work.output("models/base")
    with replacing(path) as (folder,):
        parameters = materialise(settings.student, folder)
    print(f"{settings.student.checkpoint}: {parameters / 1e6:.0f} M parameters in {path}")


if __name__ == "__main__":
    run_stage(base)
