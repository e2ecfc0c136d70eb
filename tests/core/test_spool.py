from pathlib import Path

import pytest

from longwriter.core.rows import Instruction
from longwriter.core.spool import Spool


def instruction(name: str) -> Instruction:
    return Instruction(prompt=f"Write about {name}: 茶 😀\u2028\n.", id=name, length=9)


def test_records_come_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    spool = Spool(Instruction, tmp_path)
    for number, name in ((7, "c"), (2, "a"), (4, "b")):
        spool.add(number, instruction(name))
    assert spool == [instruction(name) for name in "abc"]
    spool.add(3, instruction("d"))
    assert [row.id for row in spool] == ["a", "d", "b", "c"]
    assert (spool[-1], spool[1:3]) == (instruction("c"), [instruction("d"), instruction("b")])
    assert len(spool) == 4
    with pytest.raises(IndexError):
        spool[4]
    assert list(tmp_path.iterdir()) == []  # the file has no name, and goes with the process


def test_an_empty_spool() -> None:
    assert Spool(Instruction) == []
    assert not Spool(Instruction)
