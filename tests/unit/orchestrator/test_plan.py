from __future__ import annotations

from orchestrator.planning.plan import Placed, items, split_digest


def placed(number: int, subset: int = 0, fold: int = -1, n_spans: int = 1, duration_s: float = 10.0) -> Placed:
    return Placed(number, f"{number:032x}", number, "wren", "Ann", fold, subset, n_spans, duration_s)


def test_every_span_is_an_item_and_its_work_follows_its_length() -> None:
    [first, second, third] = items([placed(1, n_spans=3, duration_s=160.0)], "split", copies=0, span_s=75.0)
    assert [first.span, second.span, third.span] == [0, 1, 2]
    assert first.work_s == second.work_s > third.work_s


def test_only_what_may_be_trained_on_is_augmented() -> None:
    found = items(
        [placed(1, subset=0), placed(2, subset=1), placed(3, subset=2), placed(4, subset=0, fold=2)], "s", 2, 75.0
    )
    copies = [(item.recording_id, item.copy) for item in found]
    assert copies == [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]


def test_the_packed_order_follows_from_split_and_recording_alone() -> None:
    one = {item.recording_id: item.order_key for item in items([placed(1), placed(2)], "s", 0, 75.0)}
    other = {item.recording_id: item.order_key for item in items([placed(2), placed(1)], "s", 0, 75.0)}
    assert one == other
    assert one != {item.recording_id: item.order_key for item in items([placed(1), placed(2)], "t", 0, 75.0)}
    assert all(-(2**63) <= key < 2**63 for key in one.values())


def test_a_split_is_named_by_where_every_recording_stands() -> None:
    digest = split_digest("drawn", 0, [placed(1), placed(2)])
    assert digest != split_digest("drawn", 0, [placed(1), placed(2, subset=2)])
    assert digest != split_digest("drawn", 0, [placed(1), placed(2)._replace(label="robin")])
    assert digest != split_digest("drawn", 1, [placed(1), placed(2)])
    assert digest == split_digest("drawn", 0, [placed(1), placed(2)])
