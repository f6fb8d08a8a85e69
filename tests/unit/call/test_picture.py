"""The group of pictures in hand: complete from its keyframe, or nothing, and bounded."""

from unitd.call.picture.units import MAX_GOP_BYTES, MAX_GOP_UNITS, AccessUnit, GroupOfPictures


def unit(keyframe: bool = False, size: int = 100) -> AccessUnit:
    return AccessUnit(bytes(size), keyframe, 0, 0)


def test_it_begins_with_a_keyframe_and_a_new_one_begins_anew() -> None:
    group = GroupOfPictures()
    group.add(unit())
    assert len(group) == 0
    for keyframe in (True, False, False, True, False):
        group.add(unit(keyframe))
    assert [entry.keyframe for entry in group] == [True, False]


def test_a_group_that_grows_too_long_or_too_big_is_let_go() -> None:
    group = GroupOfPictures()
    group.add(unit(True))
    for _ in range(MAX_GOP_UNITS):
        group.add(unit())
    assert (len(group), group.let_go) == (0, 1)
    group.add(unit(True, MAX_GOP_BYTES))
    group.add(unit())
    assert (len(group), group.let_go) == (0, 2)
    group.add(unit())
    assert len(group) == 0
