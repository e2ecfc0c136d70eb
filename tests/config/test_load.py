"""Every file in conf/ composes and validates; what is wrong in one is named with key and file."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any

import hydra
import pytest
from dvc.utils.hydra import compose_and_dump
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import assignment, compose, compose_params, validate
from longwriter.config.schema import RENAMED, Settings
from longwriter.core.errors import SettingsError
from longwriter.library import WriteSettings
from longwriter.preference.settings import Loss

CHECKOUT = Path(__file__).parents[2]
CONF = CHECKOUT / "conf"
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
SWEEPS = {
    name: OmegaConf.to_container(params)
    for name in EXPERIMENTS
    if (
        params := OmegaConf.select(
            OmegaConf.load(CONF / f"experiment/{name}.yaml"), "hydra.sweeper.params"
        )
    )
}
OPTIONS = sorted(
    f"{file.parent.name}={file.stem}"
    for file in CONF.glob("*/*.yaml")
    if file.parent.name not in ("experiment", "server", "prompts")
    and file.stem != "grading"  # part of the judges beside it
)


def composed(*overrides: str) -> Settings:
    """The settings that conf/ and `overrides` make."""
    with hydra.initialize_config_dir(str(CONF), version_base=None):
        return validate(hydra.compose("config", overrides=list(overrides)))


def composed_by_dvc(path: Path, *overrides: str) -> str:
    """The text of params.yaml as `dvc exp run -S …` writes it."""
    compose_and_dump(path, str(CONF), None, "config", str(CHECKOUT), list(overrides))
    return path.read_text(encoding="utf-8")


def value(settings: Settings, key: str) -> Any:
    """The setting that a full key names, an enum as its value."""
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found.value if isinstance(found, Enum) else found


def test_default_composes_and_validates() -> None:
    settings = composed()
    assert value(settings, "student.checkpoint").startswith("package:")  # no network
    for model, kind in (
        ("teacher", "llama_cpp"),
        ("student.server", "auto"),
        ("judge", "llama_cpp"),
    ):
        assert value(settings, f"{model}.kind") == kind
        assert value(settings, f"{model}.api_key_env") is None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_composes_and_validates(name: str, tmp_path: Path) -> None:
    settings = composed(f"+experiment={name}")
    text = composed_by_dvc(tmp_path / "params.yaml", f"+experiment={name}")
    by_dvc = OmegaConf.create(text)
    assert isinstance(by_dvc, DictConfig)
    assert validate(by_dvc) == settings
    assert settings != composed() or name in SWEEPS  # which differs from job to job


@pytest.mark.parametrize("name", SWEEPS)
def test_every_job_of_a_ready_sweep_is_valid_and_its_own(name: str) -> None:
    varied = [
        [f"{key}={each}" for each in str(values).split(",")] for key, values in SWEEPS[name].items()
    ]
    jobs = [composed(f"+experiment={name}", *job) for job in product(*varied)]
    assert len({repr(job) for job in jobs}) == len(jobs) > 1


def test_experiments_that_the_readme_names_exist() -> None:
    assert {"smoke", "long", "paper"} <= set(EXPERIMENTS)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_every_group_composes_and_validates(option: str) -> None:
    composed(option)


@pytest.mark.parametrize("option", sorted(file.stem for file in CONF.glob("server/*.yaml")))
@pytest.mark.parametrize("group", ["teacher", "judge"])
def test_a_server_s_settings_serve_teacher_and_judge(group: str, option: str) -> None:
    def kind_of(name: str) -> str:
        server = OmegaConf.load(CONF / f"server/{name}.yaml")
        made_of = [part for part in server.get("defaults", []) if part != "_self_"]
        return str(server.get("kind") or kind_of(made_of[0]))

    with hydra.initialize_config_dir(str(CONF), version_base=None):
        config = hydra.compose("config", overrides=[f"server@{group}={option}"])
    assert validate(config)
    assert config[group].kind == kind_of(option)


def plain(file: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(found, dict)
    return {str(key): each for key, each in found.items()}


def test_an_option_states_only_what_differs_from_those_it_is_made_of() -> None:
    """What an option says again would have to be changed twice."""
    for file in sorted(CONF.glob("*/*.yaml")):
        own = plain(file)
        if "defaults" not in own or file.parent.name == "experiment":
            continue
        parts = [name for name in own["defaults"] if isinstance(name, str) and name != "_self_"]
        inherited = {
            key: each
            for part in parts
            for key, each in plain(file.with_name(f"{part}.yaml")).items()
        }
        repeated = {
            key
            for key, each in own.items()
            if key in inherited and each == inherited[key] and key != "defaults"
        }
        assert repeated == set(), f"{file}: {repeated}"


def test_a_second_judge_is_any_option_of_judge(tmp_path: Path) -> None:
    assert composed().second_judge is None
    settings = composed("judge=openai", "judge@second_judge=vllm", "second_judge.repeats=3")
    assert settings.second_judge is not None
    assert value(settings, "second_judge.kind") == "vllm"
    assert (settings.second_judge.repeats, settings.judge.repeats) == (3, 1)
    text = composed_by_dvc(tmp_path / "params.yaml", "judge@second_judge=openai")
    by_dvc = OmegaConf.create(text)
    assert isinstance(by_dvc, DictConfig)
    assert value(validate(by_dvc), "second_judge.model") == "gpt-6.1-sol"


PAPER = {
    # section 3: AgentWrite
    # but for GPT-4o and its temperatures, for it was shut down
    "teacher.max_tokens": 4096,
    "agentwrite.limit": None,
    "agentwrite.min_step_words": 200,
    "agentwrite.max_step_words": 1000,
    "agentwrite.max_steps": 50,
    "filter.min_words": 2000,
    # section 4.1: supervised fine-tuning
    "sft.learning_rate": 1e-5,
    "sft.num_train_epochs": 4,
    "sft.max_length": 32768,
    "sft.packing": True,
    "sft.loss": "token",
    "sft.method": "full",
    "sft.lr_scheduler_type": "cosine",
    "sft.warmup_steps": 0.03,
    "sft.weight_decay": 0.1,
    "sft.adam_beta1": 0.9,
    "sft.adam_beta2": 0.95,
    # section 4.2: preference optimisation
    "pairs.samples": 4,
    "pairs.weights.length": 1,  # with the next two: the mean of S_l and S_q
    "pairs.weights.quality": 1,
    "pairs.weights.repetition": 0,
    "pairs.select": "best_against_random",
    "pairs.max_pairs": 1,
    "dpo.loss_type": [Loss.sigmoid],
    # section 2: LongBench-Write
    "student.server.temperature": 0.5,
    "student.server.max_tokens": 32768,
    "bench.limit": None,
    "bench.languages": ["en", "zh"],
    "bench.samples": 1,
    "judge.repeats": 1,
    "bench.length_bins": [0, 500, 2000, 4000],
    "bench.sha256": "1f6e99497cc24d65894d65e014062f398ba946ebdd254b7f8b339e48d3ab5779",
}


def test_paper_has_the_paper_s_numbers() -> None:
    settings = composed("+experiment=paper")
    assert {key: value(settings, key) for key in PAPER} == PAPER
    sft, accelerate = settings.sft, settings.runtime.accelerate
    assert accelerate
    batch = sft.per_device_train_batch_size * sft.gradient_accumulation_steps
    assert batch * accelerate["num_processes"] == 8
    server = settings.student.server
    assert (server.kind.value, server.vllm and server.vllm.data_parallel_size) == ("vllm", 8)


def test_committed_params_are_the_image_of_conf(tmp_path: Path) -> None:
    committed = (CHECKOUT / "params.yaml").read_bytes()
    assert committed.decode() == compose_params(CHECKOUT)
    composed_by_dvc(tmp_path / "params.yaml")
    assert committed == (tmp_path / "params.yaml").read_bytes()


# What is wrong in conf/


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a copy of conf/ to spoil."""
    shutil.copytree(CONF, tmp_path / "conf")
    return tmp_path


def edit(root: Path, file: str, pattern: str, replacement: str) -> None:
    path = root / file
    text, number = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert number == 1, f"{file} has no {pattern}"
    path.write_text(text)


FILTER, DPO = "conf/filter/default.yaml", "conf/dpo/default.yaml"
SERVER = "conf/server/smollm2.yaml"


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "key"),
    [
        pytest.param(FILTER, r"\Z", "min_wrods: 3\n", "filter.min_wrods", id="unknown key"),
        pytest.param(DPO, r"^  r: ", "  rank: ", "dpo.lora.rank", id="unknown nested key"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: many", "filter.min_words", id="text"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: 2.5", "filter.min_words", id="half"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: [1]", "filter.min_words", id="list"),
        pytest.param(FILTER, r"^min_words: .*\n", "", "filter.min_words", id="missing"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: ???", "filter.min_words", id="???"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: null", "filter.min_words", id="null"),
        pytest.param(FILTER, r"^min_words: .*", "min_words: -1", "filter.min_words", id="below"),
        pytest.param(
            FILTER, r"^max_copied: .*", "max_copied: 1.01", "filter.max_copied", id="above"
        ),
        pytest.param(
            FILTER, r"^max_copied: .*", "max_copied: .nan", "filter.max_copied", id="not a number"
        ),
        pytest.param(DPO, r"^  r: .*", "  r: 0", "dpo.lora.r", id="nested below"),
        pytest.param(DPO, r"^beta: .*", "beta: 0", "dpo.beta", id="bound excluded"),
        pytest.param(
            DPO, r"^loss_type: .*", "loss_type: [sigmoidal]", "dpo.loss_type[0]", id="unknown loss"
        ),
        pytest.param(SERVER, r"^kind: .*", "kind: llamacpp", "teacher.kind", id="unknown server"),
    ],
)
def test_what_is_wrong_is_named_with_key_and_file(
    root: Path, file: str, pattern: str, replacement: str, key: str
) -> None:
    edit(root, file, pattern, replacement)
    with pytest.raises(SettingsError) as raised:
        compose_params(root)
    message = str(raised.value)
    assert message.startswith(f"{key}: ")
    assert f" {file}," in message
    assert "\n" not in message


def test_the_file_named_is_that_of_the_option_chosen(root: Path) -> None:
    edit(root, "conf/config.yaml", "filter: default", "filter: paper")
    edit(root, "conf/filter/paper.yaml", r"^min_words: .*", "min_words: -1")
    with pytest.raises(SettingsError, match=r"^filter\.min_words: .* conf/filter/paper\.yaml,"):
        compose_params(root)


def test_unknown_group_is_named_with_config_yaml(root: Path) -> None:
    edit(root, "conf/config.yaml", "^predict:", "predictions:\n  model: null\npredict:")
    with pytest.raises(SettingsError, match=r"^predictions: .* conf/config\.yaml,"):
        compose_params(root)


def test_a_file_that_is_no_yaml_is_named(root: Path) -> None:
    (root / "conf/sft/default.yaml").write_text("data: [null\n")
    with pytest.raises(SettingsError, match=r"cannot be composed") as raised:
        compose_params(root)
    assert "conf/sft/default.yaml" in str(raised.value)


def test_unknown_option_is_named(root: Path) -> None:
    edit(root, "conf/config.yaml", "filter: default", "filter: defualt")
    with pytest.raises(SettingsError, match="defualt"):
        compose_params(root)


@pytest.mark.parametrize(
    "path",
    [
        "a,b.jsonl",
        "a (1).jsonl",
        "a[1].jsonl",
        "it's.jsonl",
        'a"b.jsonl',
        "a=b.jsonl",
        "文 稿（一）.jsonl",
        "a{1}.jsonl",
    ],
)
def test_a_path_that_hydra_cannot_read_is_shown_quoted(path: str) -> None:
    try:
        found = compose(Settings, [f"agentwrite.instructions={path}"]).agentwrite.instructions
    except SettingsError as error:
        shown = str(error).partition("for Hydra and the shell: ")[2]
        [override] = shlex.split(shown)
        found = compose(Settings, [override]).agentwrite.instructions
    assert found == path


# Secrets

SECRET = re.compile(
    r"""\b(sk|pk|rk|ghp|gho|hf|xox[bap]|glpat|AKIA|AIza)[-_]?[A-Za-z0-9_-]{12,}  # known prefixes
    | \b(?=\w*[0-9])(?=\w*[A-Za-z])[A-Za-z0-9+_-]{24,}={0,2}                     # a random string
    | //[^/\s]+:[^/\s]+@                                                         # user:password@
    | oc\.env                                              # would be resolved into params.yaml
    """,
    re.VERBOSE,
)
CHECKSUMS = ("sha256", "revision")


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Full key and value of everything below `node`."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for inner in node:
            yield from leaves(inner, key)
    else:
        yield key, node


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: file.stem)
def test_conf_holds_names_of_variables_and_no_secret(file: Path) -> None:
    for key, found in leaves(OmegaConf.to_container(OmegaConf.load(file), resolve=False)):
        name = key.split(".")[-1]
        if name.endswith("_env"):
            assert found is None or re.fullmatch("[A-Z][A-Z0-9_]*", found), key
        if isinstance(found, str):
            checksum = name in CHECKSUMS and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", found)
            assert checksum or not SECRET.search(found), key


@pytest.mark.parametrize(
    "planted",
    [
        "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "0f8fad5bd9cb469fa16570867728950e",
        "https://me:secret@host/v1",
        "${oc.env:OPENAI_API_KEY}",
    ],
)
def test_a_planted_secret_would_be_seen(planted: str) -> None:
    assert SECRET.search(planted)


# Parts of conf/, and overrides


def test_a_command_s_groups_are_those_of_the_whole() -> None:
    settings, all_settings = compose(WriteSettings, ["agentwrite.attempts=2"]), composed()
    assert settings.teacher == all_settings.teacher
    assert settings.agentwrite == replace(all_settings.agentwrite, attempts=2)
    assert settings.runtime == all_settings.runtime


def test_a_wrong_override_of_a_command_is_named() -> None:
    with pytest.raises(SettingsError) as raised:
        compose(WriteSettings, ["agentwrite.attempts=0"])
    assert str(raised.value) == (
        "agentwrite.attempts: is 0 and must be at least 1. Fix it in conf/agentwrite/default.yaml, "
        "in the experiment or in the override that sets it."
    )


@pytest.mark.parametrize("text", ["a b", "it's", 'say "x"', "a=b,c", "[x]", "back\\slash", "中文"])
def test_any_text_can_be_assigned(text: str) -> None:
    settings = compose(WriteSettings, assignment("teacher.model", text))
    assert settings.teacher.model == text


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str) -> None:
    message = rf"^{re.escape(old)}: has been renamed to {re.escape(new)};"
    with pytest.raises(SettingsError, match=message):
        compose(WriteSettings, [f"{old}=x"])
    assert value(composed("judge@second_judge=smollm2"), new) is not ...  # the new name exists


def test_an_old_name_in_conf_is_refused_with_the_new_one(root: Path) -> None:
    edit(root, FILTER, r"\Z", "held_out: 3\n")
    with pytest.raises(
        SettingsError, match=r"^filter\.held_out: has been renamed to filter\.validation_rows"
    ):
        compose_params(root)


def test_an_old_group_in_a_defaults_list_is_refused_with_the_new_one(root: Path) -> None:
    edit(root, "conf/config.yaml", "- judge_audit: default", "- calibrate: default")
    with pytest.raises(
        SettingsError, match=r"composed: .*; calibrate has been renamed to judge_audit"
    ):
        compose_params(root)


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("sft.loss=released", "set sft.loss=longwriter"),
        ("sft.loss=example,sequence", "sft.loss=sequence: has been renamed to example"),
        ("runtime.accelerate=conf/runtime/accelerate/fsdp2.yaml", "set runtime=fsdp2"),
        ("student.server=endpoint", "student.server.kind=endpoint"),
    ],
)
def test_an_old_value_is_refused_with_the_new_one(override: str, advice: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(advice)):
        compose(WriteSettings, [override])
