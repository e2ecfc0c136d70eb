"""The length score S_l: how near a text comes to the length that was asked for."""


def length_score(required: int, written: int) -> float:
    """S_l of one text, 0 to 100.

    With x words required and y written:
        y > x:      100 · max(0, 1 - (y/x - 1) / 3)    0 from four times the length on
        0 < y ≤ x:  100 · max(0, 1 - (x/y - 1) / 2)    0 from a third of the length down
        y = 0:      0

    Args:
        required: words asked for, above 0.
        written: words in the text, as `count_words` counts them.

    Source: LongWriter (arXiv 2408.07055); its released evaluation/eval_length.py at commit ca6ccd4.
    """
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)
