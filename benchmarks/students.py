"""Prints a Markdown table of what was tested with tiny random models of each family.

It reads the results of those tests:

    pytest -m "" --junitxml=students.xml tests/sft/test_attention.py \\
        tests/llm/test_conversion.py tests/models/test_any_student.py
    python benchmarks/students.py students.xml

A cell is empty where nothing was tested, and `no` where a test failed.
"""

import argparse
import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import transformers

TRIED = {
    "test_logits_of_a_pack_are_those_of_each_row_alone": "a pack's logits are each row's",
    "test_the_text_is_the_checkpoint_s": "llama.cpp writes the same",
    "test_a_student_goes_through_the_stages": "all stages, served by",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="files of pytest --junitxml")
    options = parser.parse_args()
    table: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in options.results:
        for case in ElementTree.parse(file).iter("testcase"):
            found = re.fullmatch(r"(\w+)\[(.+)\]", case.get("name", ""))
            if not found or found[1] not in TRIED:
                continue
            family, what = named(found[2])
            failed = any(case.find(outcome) is not None for outcome in ("failure", "error"))
            table[family][found[1]].append(f"no ({what})" if failed else what)
    print("| family |", " | ".join(TRIED.values()), "|")
    print("|---" * (len(TRIED) + 1) + "|")
    for family in sorted(table):
        cells = [", ".join(dict.fromkeys(table[family][test])) for test in TRIED]
        print(f"| {family} |", " | ".join(cells), "|")


def named(case: str) -> tuple[str, str]:
    """Returns the `model_type` and what was tested with it, from the name of a test case.

    A case is a class of configurations (`Phi3Config`), or a family with a variant (`qwen3, yarn`)
    or with what serves it (`phi3-transformers`).
    """
    if case.endswith("Config"):
        return str(getattr(transformers, case).model_type), "yes"
    family, _, server = case.partition("-")
    family, _, variant = family.partition(", ")
    return family, server or variant or "yes"


if __name__ == "__main__":
    main()
