import threading

import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.pipeline import Channel, ChannelClosed


def in_thread(function):
    """Run in a thread; return a function that joins it and returns its result or raises its error."""
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(5)
        assert not thread.is_alive()
        return result[0]

    return join


def test_items_come_out_in_order_and_then_the_channel_is_closed():
    channel = Channel(3)
    for i in range(3):
        channel.put(i)
    channel.close()
    assert [channel.get() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ChannelClosed):
        channel.get()


def test_closing_wakes_a_waiting_consumer():
    channel = Channel(1)
    join = in_thread(channel.get)
    channel.close()
    assert isinstance(join(), ChannelClosed)


def test_aborting_wakes_a_producer_that_waits_for_room():
    channel = Channel(1)
    channel.put("first")
    join = in_thread(lambda: channel.put("second"))
    channel.abort()
    assert isinstance(join(), ChannelClosed)
    assert len(channel) == 0


def test_a_full_channel_makes_the_producer_wait_and_loses_nothing():
    channel = Channel(2)
    join = in_thread(lambda: [channel.put(i) for i in range(100)])
    assert [channel.get() for _ in range(100)] == list(range(100))
    join()
    assert channel.dropped == 0


def test_newest_wins_keeps_the_last_items_and_counts_the_lost():
    channel = Channel(2, newest_wins=True)
    for i in range(10):
        channel.put(i)
    assert [channel.get(), channel.get()] == [8, 9]
    assert channel.dropped == 8


def test_waiting_for_an_item_ends_at_the_timeout():
    with pytest.raises(TimeoutError):
        Channel(1).get(timeout_s=0.01)


def test_a_channel_without_room_is_refused():
    with pytest.raises(UsageError):
        Channel(0)


def test_a_held_channel_gives_nothing_until_it_is_let_go():
    channel = Channel(2)
    join = in_thread(lambda: [channel.get(), channel.get()])
    channel.hold(True)
    channel.put("first")
    channel.put("second")
    channel.close()
    with pytest.raises(TimeoutError):
        channel.get(timeout_s=0.05)
    channel.hold(False)
    assert join() == ["first", "second"]


def test_a_held_channel_that_is_empty_tells_of_its_end():
    channel = Channel(2)
    channel.hold(True)
    channel.put("lost")
    channel.abort()
    with pytest.raises(ChannelClosed):
        channel.get()
