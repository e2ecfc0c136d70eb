"""Declares all settings, with one field per group of conf/."""

from dataclasses import dataclass
from typing import Any

from longwriter.agentwrite.settings import AgentWriteSettings, ShortAnswersSettings
from longwriter.core.settings import RuntimeSettings, StatisticsSettings
from longwriter.dataset.settings import FilterSettings
from longwriter.evaluation.settings import (
    BenchSettings,
    ContaminationSettings,
    EvalSettings,
    JudgeAuditSettings,
    JudgeSettings,
    PredictSettings,
)
from longwriter.llm.settings import ServerSettings
from longwriter.models.settings import StudentSettings
from longwriter.preference.settings import DpoSettings, PairsSettings
from longwriter.sft.settings import SftSettings


@dataclass(kw_only=True)
class Settings:
    """All settings. Functions take only the groups they need; scripts and this package take all."""

    teacher: ServerSettings
    student: StudentSettings
    judge: JudgeSettings
    second_judge: JudgeSettings | None
    """Grades every text that `judge` grades; null: no second judge."""
    agentwrite: AgentWriteSettings
    short_answers: ShortAnswersSettings
    contamination: ContaminationSettings
    filter: FilterSettings
    sft: SftSettings
    pairs: PairsSettings
    dpo: DpoSettings
    bench: BenchSettings
    predict: PredictSettings
    eval: EvalSettings
    judge_audit: JudgeAuditSettings
    statistics: StatisticsSettings
    runtime: RuntimeSettings

    def groups(self, *names: str) -> dict[str, Any]:
        """Returns name → group for the given names."""
        return {name: getattr(self, name) for name in names}


RENAMED = {
    "general": "short_answers",
    "calibrate": "judge_audit",
    "agentwrite.select.min_words": "agentwrite.select.screen_with_teacher",
    "filter.general": "filter.chat_mix",
    "filter.held_out": "filter.validation_rows",
    "filter.benchmarks": "contamination.benchmarks",
    "filter.max_overlap": "contamination.max_overlap",
    "sft.held_out": "sft.validation",
    "pairs.general": "pairs.chat_mix",
    "pairs.held_out": "pairs.validation_fraction",
    "dpo.held_out": "dpo.validation",
    "bench.resamples": "statistics.resamples",
    **{f"{name}.server": f"{name}.kind" for name in ("teacher", "judge", "second_judge")},
    **{
        f"student.{name}": f"student.server.{name}"
        for name in ServerSettings.__dataclass_fields__
        if name != "kind"
    },
}
"""Setting names of version 0.1 → current names. Old names are refused with a message."""

RENAMED_VALUES = {
    ("sft.loss", "released"): "has been renamed to longwriter; set sft.loss=longwriter",
    ("sft.loss", "sequence"): "has been renamed to example; set sft.loss=example",
    **{
        ("student.server", kind): f"is a group now; set student.server.kind={kind}"
        for kind in ("llama_cpp", "endpoint", "vllm")
    },
    **{
        ("runtime.accelerate", f"conf/runtime/accelerate/{name}.yaml"): (
            f"its keys are settings now; set runtime={name}"
        )
        for name in ("cpu2", "fsdp2", "gpu", "machines", "zero3_offload", "zero3_sequence")
    },
}
"""(Key, value) of version 0.1 → what to do instead."""


def new_name(key: str) -> str | None:
    """Returns the current name of a setting of version 0.1; None if `key` was not renamed."""
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return None
