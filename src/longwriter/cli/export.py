"""`longwriter export`: exports a trained model for llama.cpp, Ollama or vLLM."""

import os
import shutil
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from longwriter.config.load import compose
from longwriter.core.errors import DataError, SettingsError
from longwriter.llm.gguf import QUANTISATIONS
from longwriter.models.export import export_gguf, export_ollama, vllm_command
from longwriter.models.server_kind import template_of
from longwriter.models.serving import models_named
from longwriter.models.settings import StudentSettings


@dataclass(kw_only=True)
class ExportSettings:
    """Config group needed to export."""

    student: StudentSettings


def export(arguments: Namespace) -> None:
    """Exports the model as a GGUF file or an Ollama folder, or prints the vLLM command for it.

    Raises:
        LongwriterError: the model doesn't exist or can't be exported in that form, or the output
            already exists.
    """
    [(name, checkpoint)] = models_named([arguments.model], Path.cwd()).items()
    settings = compose(ExportSettings, arguments.overrides)
    student, kind = settings.student, arguments.quantization
    if kind not in QUANTISATIONS:
        raise SettingsError(f"--quantization {kind}: there are {', '.join(QUANTISATIONS)}")
    if arguments.form == "vllm":
        print(vllm_command(checkpoint, name, student.server))
        return
    template = template_of(student, checkpoint)
    default = f"{name}-{kind}.gguf" if arguments.form == "gguf" else f"{name}-ollama"
    output = arguments.output or Path(default)
    if output.exists():
        raise SettingsError(f"{output}: exists already; remove it, or name another by --output")
    if not os.access(output.absolute().parent, os.W_OK):
        raise SettingsError(f"{output.absolute().parent}: not a writable folder")
    if arguments.form == "gguf":
        if checkpoint.is_file():
            raise DataError(f"{checkpoint}: is a GGUF file already")
        say_written(output, export_gguf(checkpoint, template, output, kind))
        print(f"longwriter serve {output}")
        return
    output.mkdir()
    try:
        gguf_file = output / f"{name}.gguf"
        if checkpoint.is_file():
            shutil.copyfile(checkpoint, gguf_file)
        else:
            say_written(gguf_file, export_gguf(checkpoint, template, gguf_file, kind))
        export_ollama(gguf_file, output, student.server)
    except BaseException:
        shutil.rmtree(output)
        raise
    print(f"ollama create {name} -f {output}/Modelfile")


def say_written(file: Path, error: float) -> None:
    """Reports a GGUF file's size and how far its weights are from the checkpoint's."""
    print(
        f"{file}: {file.stat().st_size / 1e6:,.0f} MB; read back, its weights are within {error:.2%} of the "
        "checkpoint's",
        file=sys.stderr,
    )
