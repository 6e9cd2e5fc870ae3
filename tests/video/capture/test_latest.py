"""The reader thread and its one newest item."""

import threading

import pytest

from hprnet_rt.video.capture.latest import LatestReader


def test_only_the_newest_item_is_taken():
    done = threading.Event()

    def read(reader):
        for number in range(5):
            reader.put(number)
        done.set()
        reader.stopping.wait()

    reader = LatestReader("hprnet-test", read)
    assert done.wait(5)
    assert reader.take(5, keep=True) == 4
    assert reader.take(5) == 4
    with pytest.raises(TimeoutError):
        reader.take(0.01)
    reader.stop()
    assert reader.join(5)


def test_the_last_item_comes_before_the_end():
    reader = LatestReader("hprnet-test", lambda reader: reader.put("last"))
    assert reader.join(5)
    assert reader.take(0) == "last"
    assert reader.take(0) is None


def test_the_last_item_comes_before_the_error():
    error = KeyError("boom")

    def read(reader):
        reader.put("last")
        raise error

    reader = LatestReader("hprnet-test", read)
    assert reader.join(5)
    assert reader.take(0) == "last"
    with pytest.raises(KeyError) as caught:
        reader.take(0)
    assert caught.value is error


def test_stop_wakes_the_taker_while_the_reader_blocks():
    leave = threading.Event()
    reader = LatestReader("hprnet-test", lambda _reader: leave.wait())
    threading.Timer(0.05, reader.stop).start()
    assert reader.take(5) is None
    assert not reader.join(0)
    leave.set()
    assert reader.join(5)
