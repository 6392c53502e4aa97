from __future__ import annotations

from gateway.client.ids import run_name, uuid7


def test_run_ids_are_version_7_and_sort_by_time() -> None:
    found = [uuid7() for _ in range(1_000)]

    assert {(one[14], one[19] in "89ab", len(one)) for one in found} == {("7", True, 36)}
    assert [one[:13] for one in found] == sorted(one[:13] for one in found)
    assert len(set(found)) == 1_000


def test_run_names_can_be_said() -> None:
    adjective, noun, number = run_name().split("-")

    assert adjective.isalpha()
    assert noun.isalpha()
    assert len(number) == 4
    assert number.isdecimal()
