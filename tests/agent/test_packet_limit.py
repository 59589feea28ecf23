from agent.packet_limit import PacketLimit

TOPIC = "gardu/v1/bandung/dago-01/up/history"
LARGE = 60_000


def test_without_a_word_of_the_broker_anything_may_be_sent() -> None:
    assert PacketLimit().payload_bytes(None, TOPIC) is None


def test_what_a_packet_needs_besides_its_payload_is_left_free() -> None:
    assert PacketLimit().payload_bytes(1000, TOPIC) == 1000 - len(TOPIC) - 10
    assert PacketLimit().payload_bytes(20, TOPIC) == 0


def test_the_third_connection_that_breaks_with_the_same_large_batch_condemns_its_size() -> None:
    limit = PacketLimit()
    assert [limit.broke("a", LARGE) for _ in range(3)] == [False, False, True]
    assert limit.payload_bytes(None, TOPIC) == 30_000
    assert limit.payload_bytes(10_000, TOPIC) == 9_955
    assert limit.payload_bytes(1_000_000, TOPIC) == 30_000
    assert [limit.broke("b", 20_000) for _ in range(3)] == [False, False, True]
    assert limit.payload_bytes(None, TOPIC) == 10_000


def test_different_batches_and_small_ones_are_not_to_blame() -> None:
    limit = PacketLimit()
    assert not any(limit.broke(name, LARGE) for name in "abababab")
    assert not any(limit.broke("c", 3000) for _ in range(10))
    assert limit.payload_bytes(None, TOPIC) is None
