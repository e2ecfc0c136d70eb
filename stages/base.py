"""Put the student's starting checkpoint into models/base (stage `base`)."""

from longwriter.settings import Settings, Workspace, run_stage
from longwriter.training.model import materialise


def base(settings: Settings, work: Workspace) -> None:
    path = work.output("models/base")
    parameters = materialise(settings.student, path)
    print(f"{settings.student.checkpoint}: {parameters / 1e6:.0f} M parameters in {path}")


if __name__ == "__main__":
    run_stage(base)
