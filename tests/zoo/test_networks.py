"""The list of networks agrees with their descriptions."""

import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.spec import SPECS
from hprnet_rt.zoo.networks import ZOO, zoo_entry


def test_every_network_has_an_entry_in_the_same_order():
    assert list(ZOO) == list(SPECS)
    assert all(entry.name == name and entry.spec is SPECS[name] for name, entry in ZOO.items())


def test_only_released_networks_have_a_source_and_all_say_their_terms():
    assert [name for name, entry in ZOO.items() if entry.released] == list(ZOO)[:3]
    assert [name for name, entry in ZOO.items() if entry.drive_url] == ["hprnet-dla34", "hprnet-hourglass104"]
    assert all(entry.terms and entry.page.startswith("https://") for entry in ZOO.values())
    assert "non-commercial" in ZOO["hprnet-dla34"].terms


def test_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'openpose'.*hprnet-mobile, hprnet-dla34"):
        zoo_entry("openpose")
