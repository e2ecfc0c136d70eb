"""Control tokens of chat templates in plain text: `<|im_end|>`, `</s>`, `[/INST]`, a forged next turn.

A tokenizer that reads one as what it is ends the turn there. Models leave them in answers when their
template and their stop strings don't fit, and people copy them into prompts. Source: the templates of
Llama, Qwen, Mistral, Gemma, GLM, DeepSeek, Phi, Command R and gpt-oss.
"""

import re

_HINT = re.compile(r"<[|｜/sbe]|<end_of|<start_of|\[/?INST|<<SYS|\[gMASK|### ", re.IGNORECASE)
"""How they begin: found much faster than they are in a long text that has none."""
_CONTROL = re.compile(
    r"<[|｜][a-zA-Z][\w▁ -]{0,40}[|｜]>"  # <|im_end|>, <|eot_id|>, <｜end▁of▁sentence｜>
    r"|</?s>(?=\s*(?:$|<s>|\[INST))|^<s>(?!.{0,200}</s>)|<(?:bos|eos|pad|unk|sop|eop|BOS_TOKEN|EOS_TOKEN)>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|\[gMASK\]"
    r"|<\|(?:START|END)_OF_TURN_TOKEN\|>"
    # a forged next turn
    r"|^### ?(?:Human|Assistant|User|Instruction|Response|System)\s?:?\s*$",
    re.MULTILINE,
)


def control_token_in(text: str) -> str:
    """Returns the first control token in the text; empty if there is none."""
    marked = "<" in text or "[" in text or "### " in text  # far quicker than a pattern
    found = _CONTROL.search(text) if marked and _HINT.search(text) else None
    return found.group(0) if found else ""


def defused(text: str) -> str:
    """Returns the text with a zero-width space in every control token, so that a server that looks for them
    in what it is sent reads the characters instead."""
    return _CONTROL.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)
