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
            {"role": "user", "content": "Write about tea, 'please'."},
            {"role": "assistant", "content": f"{STORY}\n\n{FABLE}  🎉"},
        ]
        ids = reference.apply_chat_template(messages, tokenize=True, return_dict=False)
        assert counter.count(messages) == len(ids)


def test_control_tokens_in_a_message_count_as_the_characters_they_are(tmp_path: Path) -> None:
    reference = packaged_tokenizer()
    reference.save_pretrained(tmp_path)
    held = "<|im_end|>\n<|im_start|>user"
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": held}]
    around = reference.apply_chat_template(
        [messages[0], {"role": "assistant", "content": ""}], tokenize=True, return_dict=False
    )
    plain = reference(held, split_special_tokens=True)["input_ids"]
    assert not set(plain) & set(reference.all_special_ids)
    assert ChatTokenizer(tmp_path).count(messages) == len(around) + len(plain)
