"""The paper's tables beside what was measured: each row says which it is."""

import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.evaluation import Evaluation
from hprnet_rt.evaluation.tables import BY_USER, MEASURED_HERE, TABLES, table_rows

MINE = Evaluation("mine", 1, 1, 1, "part", {"body": {"AP": 0.5, "AR": 0.6}, "foot": {"AP": None, "AR": None}})


@pytest.mark.parametrize("how", [MEASURED_HERE, BY_USER])
def test_every_row_says_whether_it_is_published_or_who_measured_it(how):
    header, *published, mine = table_rows(3, MINE, how)
    assert {row[1] for row in published} == {"published"}
    assert mine == ["mine", how, "50.0/60.0", *["-"] * 5]
    assert all(len(row) == len(header) for row in published)


def test_the_rivals_rows_have_the_recall_of_the_dataset_s_repository():
    rows = {row[0]: row[2:] for row in table_rows(3, MINE)}
    assert rows["OpenPose"] == ["56.3/61.2", "53.2/64.5", "48.2/62.6", "19.8/34.2", "33.8/44.9", "42.3"]
    for name in (
        "PAF",
        "SN",
        "AE",
        "OpenPose",
    ):  # the mean of the parts and the whole, as the paper prints it
        pairs = TABLES[3].rows[name]
        assert sum(ap for ap, _ in pairs[:5]) / 5 == pytest.approx(pairs[5][0], abs=0.06)


def test_a_table_that_the_paper_has_not_is_refused():
    with pytest.raises(UsageError, match="no table 9; use one of: 1, 2, 3, 4"):
        table_rows(9, MINE)
