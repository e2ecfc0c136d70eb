"""Names and numbers that MLflow takes."""

from mlflow.utils.validation import _validate_metric_name

from longwriter.tracking.values import flatten


def test_names_from_data_are_valid_and_none_is_lost() -> None:
    odd = [
        "creative/",
        "a//b",
        "a/b",
        "..",
        "../x",
        "x" * 300,
        "x" * 301,
        "a:b?",
        "诗歌",
        "",
        " ",
        ".",
        "/",
    ]
    flat = flatten({"by_type": {name: {"S_l": float(n)} for n, name in enumerate(odd)}})
    assert sorted(flat.values()) == [float(n) for n in range(len(odd))]
    for name in flat:
        _validate_metric_name(name)
    assert flat["by_type/a/b/S_l"] == 2.0  # a valid name stays as it is
    assert flat["by_type/creative/S_l"] == 0.0


def test_ordinary_names_stay() -> None:
    given = {"S_l": 1, "by_length": {"[0,100)": {"S_l": 2}, "[400,∞)": {"S_l": 3}}, "text": "x"}
    assert flatten(given) == {"S_l": 1.0, "by_length/0-100/S_l": 2.0, "by_length/400-up/S_l": 3.0}
