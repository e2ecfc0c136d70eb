import random
from typing import Any

from longwriter.dataset.filter import card, describe, filter_drafts
from longwriter.dataset.settings import FilterSettings
from longwriter.records import Draft, Step, Usage
from longwriter.text import count_words

SETTINGS = FilterSettings(
    drafts=None, min_words=10, min_length_score=70.0, max_repetition=0.1, max_copied=0.25
)


def words(number: int, name: str) -> str:
    """So many different words, none of which another name's words share."""
    return " ".join(name + chr(97 + i // 26) + chr(97 + i % 26) for i in range(number))


def draft(name: str, response: str, **fields: Any) -> Draft:
    defaults = {
        "prompt": f"Write {name}.",
        "plan": [Step(main_point="all", word_count=9)],
        "paragraphs": [response],
        "response_length": count_words(response),
        "usage": Usage(calls=2),
    }
    return Draft(**defaults | {"id": name, "response": response} | fields)


DRAFTS = [
    draft("short", "Too short."),
    draft("good", words(20, "g"), length=20, source="own"),
    draft("c", "Same  text\n" + words(12, "s")),
    draft("missed", words(20, "m"), length=99),
    draft("b", "same TEXT " + words(12, "s")),
    draft("refusal", "I'm sorry, but I cannot fulfill " + words(20, "r")),
    draft("loop", words(20, "l") + " " + words(20, "l")),
    draft("copied", "\n".join(["Come to the sea."] * 3 + [words(60, "k")])),
    draft("诗", "春眠不觉晓，处处闻啼鸟。夜来风雨声。"),
    draft("a", "Same text. " + words(12, "s")),  # the full stop makes it another text
]


def test_kept_rows() -> None:
    kept = filter_drafts(DRAFTS, SETTINGS).kept
    assert [row.id for row in kept] == ["good", "b", "诗", "a"]
    assert kept[0].model_dump() == {
        "messages": [
            {"role": "user", "content": "Write good."},
            {"role": "assistant", "content": words(20, "g")},
        ],
        "id": "good",
        "source": "own",
        "length": 20,
        "response_length": 20,
    }
    assert [row.source for row in kept[1:]] == ["agentwrite"] * 3


def test_rejected_rows_say_why_and_keep_the_draft() -> None:
    rejected = filter_drafts(DRAFTS, SETTINGS).rejected
    reasons = {
        "short": ("too_short", "2 words"),
        "c": ("duplicate", "the same response as b"),
        "missed": ("length_missed", "20 words for 99: S_l 0"),  # 99/20 = 4.95
        "refusal": ("refusal", 'says "I\'m sorry, but I cannot"'),
        "loop": ("repetition", "39% of 8-grams repeated"),  # 13 of 40 - 7
        "copied": ("copied", "50% of sentences copied"),  # 2 of 4
    }
    drafts = {draft.id: draft for draft in DRAFTS}
    assert [row.model_dump() for row in rejected] == [
        drafts[name].model_dump() | {"rule": rule, "detail": detail}
        for name, (rule, detail) in reasons.items()
    ]


def test_a_rejected_draft_owns_no_response() -> None:
    # "a" is refused for its length; "b" says the same and is what it should be.
    text = words(20, "x")
    filtered = filter_drafts([draft("a", text, length=99), draft("b", text, length=20)], SETTINGS)
    assert [row.id for row in filtered.kept] == ["b"]
    assert [row.rule for row in filtered.rejected] == ["length_missed"]


def test_of_three_alike_one_stays() -> None:
    rows = [draft(name, words(12, "x")) for name in ("n3", "n1", "n2")]
    filtered = filter_drafts(rows, SETTINGS)
    assert [row.id for row in filtered.kept] == ["n1"]
    assert [row.detail for row in filtered.rejected] == ["the same response as n1"] * 2


def test_the_order_of_the_drafts_does_not_matter() -> None:
    expected = filter_drafts(DRAFTS, SETTINGS)
    kept = {row.id: row for row in expected.kept}
    rejected = {row.id: row for row in expected.rejected}
    for seed in range(20):
        shuffled = random.Random(seed).sample(DRAFTS, len(DRAFTS))
        filtered = filter_drafts(shuffled, SETTINGS)
        assert {row.id: row for row in filtered.kept} == kept
        assert {row.id: row for row in filtered.rejected} == rejected
        order = [draft.id for draft in shuffled]
        assert [row.id for row in filtered.kept] == [name for name in order if name in kept]
        assert [row.id for row in filtered.rejected] == [name for name in order if name in rejected]


def test_describe() -> None:
    assert describe(filter_drafts(DRAFTS, SETTINGS)) == {
        "drafts": 10,
        "kept": 4,
        "rejected": {
            "too_short": 1,
            "duplicate": 1,
            "length_missed": 1,
            "refusal": 1,
            "repetition": 1,
            "copied": 1,
        },
        "words": 63,  # 20 + 14 + 14 + 15
        "shortest_words": 14,
        "longest_words": 20,
    }


def test_nothing_is_kept() -> None:
    assert describe(filter_drafts(DRAFTS[:1] * 2, SETTINGS)) == {
        "drafts": 2,
        "kept": 0,
        "rejected": {"too_short": 2},
        "words": 0,
        "shortest_words": 0,
        "longest_words": 0,
    }


def test_card() -> None:
    assert card(filter_drafts(DRAFTS, SETTINGS), SETTINGS, "org/teacher") == (
        "# Training set\n"
        "\n"
        "Drafts that AgentWrite wrote with the teacher `org/teacher`, kept by rule.\n"
        "\n"
        "- rows: 4 of 10 drafts\n"
        "- words: 63 (14 to 20 a row)\n"
        "- thresholds: 10 words, S_l 70, repeated 8-grams 10%, copied sentences 25%\n"
        "\n"
        "| removed by | rows |\n"
        "|---|---|\n"
        "| copied | 1 |\n"
        "| duplicate | 1 |\n"
        "| length_missed | 1 |\n"
        "| refusal | 1 |\n"
        "| repetition | 1 |\n"
        "| too_short | 1 |\n"
    )
