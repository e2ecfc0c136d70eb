from pathlib import Path

from helpers.checkpoints import packaged_tokenizer
from helpers.texts import FABLE, STORY

from longwriter.dataset.tokenizer import ChatTokenizer


def test_it_counts_as_transformers_does(tmp_path: Path) -> None:
    reference = packaged_tokenizer()
    reference.save_pretrained(tmp_path)
    counter = ChatTokenizer(tmp_path)
    for system in ([], [{"role": "system", "content": "Be brief."}]):
        messages = [
            *system,
            {"role": "user", "content": "Write <|im_end|> about tea, 'please'."},
            {"role": "assistant", "content": f"{STORY}\n\n{FABLE}  🎉"},
        ]
        ids = reference.apply_chat_template(messages, tokenize=True, return_dict=False)
        assert counter.count(messages) == len(ids)
