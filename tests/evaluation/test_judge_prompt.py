import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.core.errors import SettingsError
from longwriter.evaluation.judge import DIMENSIONS, JudgePrompt, read_prompt
from longwriter.evaluation.settings import JudgeSettings

PAPERS = "<User Request>\n\n$INST$\n\n<Response>\n\n$RESPONSE$\n\nJSON, please."


@pytest.fixture(scope="module")
def judge() -> JudgeSettings:
    config = OmegaConf.create(compose_params(Path(__file__).parents[2]))
    assert isinstance(config, DictConfig)
    return validate(config).judge


def test_the_dimensions_are_asked_for_in_the_order_given() -> None:
    asked = JudgePrompt().of("r", "t")
    places = [asked.index(f"\n{name}:") for name in DIMENSIONS]
    assert places == sorted(places)
    turned = JudgePrompt(order=tuple(reversed(DIMENSIONS)))
    places = [turned.of("r", "t").index(f"\n{name}:") for name in DIMENSIONS]
    assert places == sorted(places, reverse=True)
    assert list((turned.schema or {})["properties"]) == list(reversed(DIMENSIONS))


def test_a_file_s_places_are_filled_once() -> None:
    prompt = JudgePrompt(PAPERS)
    # What stands in the material is no place of the prompt.
    asked = prompt.of("Explain $RESPONSE$.", "See $INST$.")
    assert (
        asked
        == "<User Request>\n\nExplain $RESPONSE$.\n\n<Response>\n\nSee $INST$.\n\nJSON, please."
    )
    assert prompt.schema is None


def test_a_prompt_file_is_read_from_the_checkout(judge: JudgeSettings, tmp_path: Path) -> None:
    (tmp_path / "judge.txt").write_text(PAPERS)
    digest = hashlib.sha256(PAPERS.encode()).hexdigest()
    given = replace(judge, prompt_path="judge.txt", prompt_sha256=digest.upper())
    assert read_prompt(given, tmp_path) == JudgePrompt(PAPERS)
    assert read_prompt(judge, tmp_path) == JudgePrompt()


@pytest.mark.parametrize(
    ("content", "sha256", "message"),
    [
        (None, None, r"judge\.prompt_path: .*judge\.txt: cannot be read"),
        ("Grade $RESPONSE$", None, r"judge\.prompt_path: .*lacks \$INST\$"),
        (PAPERS, "0" * 64, r"judge\.prompt_sha256: .* has [0-9a-f]{64}, not 0{64}"),
    ],
)
def test_a_wrong_prompt_file_is_named(
    judge: JudgeSettings, tmp_path: Path, content: str | None, sha256: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "judge.txt").write_text(content)
    given = replace(judge, prompt_path="judge.txt", prompt_sha256=sha256)
    with pytest.raises(SettingsError, match=message):
        read_prompt(given, tmp_path)
