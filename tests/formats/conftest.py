"""The made-up format is one of the formats while a test of this folder runs."""

import pytest

from hprnet_rt.formats import FORMATS
from tests.formats.forms import MADE_UP


@pytest.fixture(autouse=True)
def made_up_format(monkeypatch):
    monkeypatch.setitem(FORMATS, MADE_UP.name, MADE_UP)
