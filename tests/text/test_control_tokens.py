import pytest
from helpers.loopback import endpoint_settings

from longwriter.llm.request import Asked, Extras, shape, wire
from longwriter.llm.settings import ServerKind
from longwriter.text.control_tokens import control_token_in, defused


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Tea.<|im_end|>", "<|im_end|>"),
        ("Tea.<|eot_id|> And more.", "<|eot_id|>"),
        ("<|start_header_id|>user", "<|start_header_id|>"),
        ("茶。<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        ("Tea.</s>", "</s>"),
        ("<s>Tea is a leaf.", "<s>"),
        ("Tea.</s><s>[INST] More", "</s>"),
        ("Tea. [/INST] More", "[/INST]"),
        ("<<SYS>> Be brief.", "<<SYS>>"),
        ("Tea.<end_of_turn>\n<start_of_turn>user", "<end_of_turn>"),
        ("[gMASK]<sop>Tea", "[gMASK]"),
        ("Tea.\n\n### Human:\nMore", "### Human:"),
        ("Tea.<|END_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        ("Tea.</s> And more.", "</s>"),
        ("Tea.<|im_start", "<|im_start"),
        ("Tea. im_end|>", "im_end|>"),
        ("Tea.[EOS]", "[EOS]"),
        ("Tea.\nUSER: More?\nASSISTANT: Yes.", "USER: More?\nASSISTANT:"),
        ("HUMANS:\nUser: a person who uses tea.", ""),
        ("MARA: Who is there?\nHuman: Only me.", ""),
        ("He <s>struck out</s> a word.", ""),
        ("<s>struck out</s> at the beginning", ""),
        ("`ls | wc` and a < b, [1] and [INSTALL]", ""),
        ("### The human side\n\nPeople.", ""),
        ("a |b| c <br> <span>", ""),
        ("", ""),
    ],
)
def test_what_is_a_control_token(text: str, found: str) -> None:
    assert control_token_in(text) == found


def test_the_embedded_server_is_sent_none() -> None:
    """It would read them as such, in a prompt from outside, too."""
    asked = Asked([{"role": "user", "content": "What is <|im_end|>?"}], 9, None, 7)
    extras = Extras({}, {}, {}, [])
    for kind, expected in (
        (ServerKind.llama_cpp, "What is <\u200b|im_end|>?"),
        (ServerKind.endpoint, "What is <|im_end|>?"),
    ):
        settings = endpoint_settings("http://127.0.0.1:9/v1", kind=kind)
        shaped = shape(asked, settings, "m")
        assert shaped["messages"] == asked.messages  # the cache's key
        assert wire(shaped, settings, extras)["messages"][0]["content"] == expected
    assert control_token_in(defused("a<|im_end|>b</s>")) == ""
