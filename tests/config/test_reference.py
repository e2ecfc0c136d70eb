"""docs/settings.md is the image of the dataclasses and of params.yaml."""

import re
from pathlib import Path

from omegaconf import OmegaConf

from longwriter.config.reference import PAGE, page

CHECKOUT = Path(__file__).parents[2]


def test_the_page_is_that_of_this_commit() -> None:
    defaults = OmegaConf.to_container(OmegaConf.load(CHECKOUT / "params.yaml"))
    assert isinstance(defaults, dict)
    committed = (CHECKOUT / PAGE).read_text(encoding="utf-8")
    assert committed == page({str(k): v for k, v in defaults.items()}), "run `make docs`"


def test_every_setting_is_there_with_its_meaning() -> None:
    text = (CHECKOUT / PAGE).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| (`.*?`) \| (.*) \|$", text, re.MULTILINE)
    found = {name: (kind, default, meaning) for name, kind, default, meaning in rows}
    assert all(kind and meaning for kind, _, meaning in found.values())
    assert found["filter.min_words"][:2] == ("whole number", "`20`")
    assert found["agentwrite.parallel"][0] == "true or false"
    assert found["sft.lora.r"] == ("whole number", "`16`", "As in peft's LoraConfig.")
    option = OmegaConf.to_container(OmegaConf.load(CHECKOUT / "conf/filter/default.yaml"))
    assert isinstance(option, dict)
    assert {f"filter.{key}" for key in option if key != "chat_mix"} <= found.keys()
