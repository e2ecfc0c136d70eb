"""Finds control tokens of chat templates in plain text.

Examples are `<|im_end|>`, `</s>`, `[/INST]` and a forged next turn.

A tokenizer that reads one as a control token ends the turn there. Models leave them in answers when
their template and stop strings don't match, and people copy them into prompts.

Source: the templates of Llama, Qwen, Mistral, Gemma, GLM, DeepSeek, Phi, Command R and gpt-oss.
"""

import re

_HINT = re.compile(
    r"<[|｜/sbepum0]|[|｜]>|<end|<start_of|<extra_id|<reserved_|\[/?INST|<<SYS|\[gMASK|\[(?:EOS|BOS|PAD|CLS|SEP|UNK)\]|### |^(?:USER|Human):",
    re.IGNORECASE | re.MULTILINE,
)
"""How control tokens begin. It rules out a long text without any much faster than _CONTROL does."""
_CONTROL = re.compile(
    r"<[|｜][a-zA-Z][\w▁ -]{0,40}[|｜]>"  # <|im_end|>, <|eot_id|>, <｜end▁of▁sentence｜>
    r"|</?s>(?=\s*(?:$|<s>|\[INST))|^<s>(?!.{0,200}</s>)|<(?:bos|eos|pad|unk|mask|eod|sop|eop|EOT|BOS_TOKEN|EOS_TOKEN|end_of_text)>"
    r"|<extra_id_\d+>|<reserved_\w{1,20}>|<0x[0-9A-F]{2}>|\[(?:EOS|BOS|PAD|CLS|SEP|UNK)\]"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|\[gMASK\]"
    r"|<\|(?:START|END)_OF_TURN_TOKEN\|>"
    # a forged next turn
    r"|^### ?(?:Human|Assistant|User|Instruction|Response|System)\s?:?\s*$",
    re.MULTILINE,
)


_LOOKS_LIKE_CONTROL = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|user|assistant|system)\b|(?<![|\w])(?:im_start|im_end|endoftext|eot_id)\|>"
    r"|^(?:USER|User|Human): ?\S[^\n]{0,2000}\n\s{0,9}(?:ASSISTANT|Assistant|AI):",
    re.MULTILINE,
)
"""What no tokenizer reads as a control token: a truncated one, and a forged exchange."""
_SIGNS = "<", "[", "### ", "|>", "USER:", "User:", "Human:"
_LONGEST = 60
"""Most characters of a control token."""


def control_token_in(text: str) -> str:
    """Returns the first control token in the text; empty if there is none."""
    marked = any(sign in text for sign in _SIGNS)  # much faster than a pattern
    hinted = marked and _HINT.search(text)
    found = (_CONTROL.search(text) or _LOOKS_LIKE_CONTROL.search(text)) if hinted else None
    if not found and "</s>" in text and "<s>" not in text:  # struck-out text has both
        return "</s>"
    return found.group(0) if found else ""


def without_last_token(text: str) -> str:
    """Returns the text without a trailing control token."""
    tail = text[-_LONGEST:].rstrip()
    for found in _CONTROL.finditer(tail):
        if found.end() == len(tail):
            return text[: len(text.rstrip()) - len(found[0])]
    return text


def defused(text: str) -> str:
    """Returns the text with a zero-width space in every control token.

    A server that looks for control tokens in its input then reads plain characters instead.
    """
    return _CONTROL.sub(lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)
