import numpy as np

from hprnet_rt import skeleton


def test_there_are_133_distinct_points_in_five_parts():
    assert len(set(skeleton.KEYPOINT_NAMES)) == skeleton.NUM_KEYPOINTS == 133
    covered = [i for part in skeleton.PARTS.values() for i in range(part.start, part.stop)]
    assert covered == list(range(133))
    assert len(skeleton.SIGMAS) == len(skeleton.KEYPOINT_COLORS_RGB) == 133


def test_flipping_twice_changes_nothing_and_keeps_every_point_in_its_part_or_the_other_hand():
    flip = np.array(skeleton.FLIP_INDEX)
    assert (flip[flip] == np.arange(133)).all()
    assert (flip[skeleton.FACE] < skeleton.FACE.stop).all()
    assert (flip[skeleton.LEFT_HAND] == np.arange(112, 133)).all()


def test_flip_pairs_are_the_published_ones():
    flip = skeleton.FLIP_INDEX
    body = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]
    feet = [(17, 20), (18, 21), (19, 22)]
    face = [(0, 16), (8, 8), (17, 26), (21, 22), (27, 27), (31, 35), (36, 45), (41, 46), (48, 54), (60, 64)]
    for a, b in body + feet + [(23 + a, 23 + b) for a, b in face]:
        assert flip[a] == b, skeleton.KEYPOINT_NAMES[a]


def test_limbs_join_points_of_one_part_and_have_colours():
    assert len(skeleton.SKELETON) == len(skeleton.LIMB_COLORS_RGB)
    hands = (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)
    for a, b in skeleton.SKELETON:
        for part in (skeleton.FACE, *hands):
            assert (part.start <= a < part.stop) == (part.start <= b < part.stop)
    for hand in hands:
        assert sum(hand.start <= a < hand.stop for a, _ in skeleton.SKELETON) == 20
