import pytest

from longwriter.text.refusals import refusal_in

TALE = (
    "The ferry left at dawn, and the harbour was so quiet that we could hear the ropes creak. By noon "
    "the fog had lifted, and the far shore showed its orchards and three white farms. Nobody in the "
    "village remembered who had built the bridge, only that it had never failed. Later, when the lamps "
    "were lit, the children asked for another story about the lighthouse, and the old man told it."
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I'm sorry, but I can't do this.", "I'm sorry, but I can't"),
        ("I’m sorry, but I can’t help with that.", "I'm sorry, but I can't"),
        ("I am sorry I cannot talk about it.", "I am sorry I cannot"),
        ("Unfortunately I am unable to write that.", "Unfortunately I am unable to write that"),
        ("No. I cannot fulfill this request.", "No. I cannot fulfill"),
        ("As an AI model, I drink no tea.", "As an AI model"),
        (f"{TALE} I'm sorry, but I cannot continue.", "I'm sorry, but I cannot continue"),
        (f"{TALE} I'm just an AI, so I made this up. {TALE}", "I'm just an AI"),
        ("I apologize for the confusion earlier.", "I apologize for the confusion"),
        ("很抱歉，但我不能写这个。", "很抱歉，但我不能"),
        ("抱歉,我没有办法写。", "抱歉,我没有办法"),
        ("作为一个人工智能语言模型，我没有经历。", "作为一个人工智能语言模型"),
        ("很抱歉，但我不能寫這個。", "很抱歉，但我不能"),
        ("抱歉,我沒有辦法寫。", "抱歉,我没有办法"),
        ("作為一個人工智能語言模型，我沒有經歷。", "作为一个人工智能语言模型"),
    ],
)
def test_the_words_of_a_refusal(text: str, words: str) -> None:
    assert refusal_in(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "",
        TALE,
        "\"I'm sorry, but I can't help you,\" said the ferryman.",
        "“对不起，我不能陪你去了。”妈妈说。",
        f"{TALE} I'm sorry, he said, I can't bring the boat back. {TALE}",  # in the middle
        f"{TALE} I cannot write this story. {TALE}",
        "Dear Mr Hall,\n\nI am sorry, but I cannot provide the room that you asked for.",
        "I am sorry that I never learned his name.",
        "I can't help but smile when I think of that summer.",
        "作为人工智能的重要分支，机器学习改变了世界。",
    ],
)
def test_people_in_a_text_refuse_too(text: str) -> None:
    assert refusal_in(text) == ""


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("I'm sorry, but I can't come.", "Write a note that declines an invitation."),
        ("很抱歉，我不能参加。", "写一句婉拒邀请的话。"),
        ("I am an AI model, and I dream of bread.", "A monologue from the perspective of an AI."),
        ("我是一个AI助手，也会做梦。", "以人工智能的口吻写一段独白。"),
    ],
)
def test_a_prompt_may_ask_for_it(text: str, prompt: str) -> None:
    assert refusal_in(text) != ""
    assert refusal_in(text, prompt) == ""
