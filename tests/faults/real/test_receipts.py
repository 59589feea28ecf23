"""A broker's receipt means nothing: what it acknowledged and forgot still comes to the center, once."""

import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from center.keys import CA, SERVER, SERVER_KEY
from drivers.simulate.simulator import Simulator
from tests.center.processes import until
from tests.faults.real.forgetful import Ends, Forgetful
from tests.faults.real.place import FULL, TIMERS, made
from tests.system.lines import Counting, Water, tide
from tests.system.test_kills import check_counters
from tests.system.town import COUNTER, FLOOD, NODE, RIVER, Town

pytestmark = [pytest.mark.faults, pytest.mark.broker]

SHARE = 0.4
LASTS_S = 60.0 if FULL else 12.0


def ends(town: Town) -> Ends:
    """The broker's own certificate towards the node, which must show one; the node's towards the broker."""
    keys = town.center.keys
    towards_node = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    towards_node.load_cert_chain(keys / SERVER, keys / SERVER_KEY)
    towards_node.load_verify_locations(keys / CA)
    towards_node.verify_mode = ssl.CERT_REQUIRED
    return Ends(client=towards_node, server=town.tls(NODE))


def test_what_a_broker_acknowledged_and_forgot_still_arrives_once(
    tmp_path: Path, chance: random.Random, campaign_seed: int, tell: Callable[[str, str], None]
) -> None:
    counter, river = Counting(first=1, every_s=0.11), Water(tide(1.2, 0.15, 3.0), every_s=0.1)
    with made(tmp_path) as place:
        town = place.town
        with Forgetful(town.broker.port, ends(town), share=SHARE, chance=chance) as forgetful:
            fitted: dict[str, tuple[Simulator, str]] = {"counter": (counter, COUNTER), "river": (river, RIVER)}
            town.fit(fitted, FLOOD, timers=TIMERS, port=forgetful.port)
            town.center.start()
            town.node.start()
            until("rows are at the center", lambda: bool(town.store.exists() and town.at_center()))
            time.sleep(LASTS_S)
            place.settle()  # while it goes on forgetting
            outcome = place.check()
    assert outcome.here.rows == outcome.there
    assert outcome.verdict.alarms == []
    check_counters({"counter": counter}, outcome.there)
    forgotten, passed = forgetful.forgotten, forgetful.passed
    assert min(forgotten[lane] for lane in ("live", "ack")) > 0
    tell(
        "broker that says PUBACK and forgets",
        f"{forgotten.total()} of {forgotten.total() + passed.total()} messages forgotten"
        f" ({', '.join(f'{name} {count}' for name, count in sorted(forgotten.items()))});"
        f" {len(outcome.there)} rows at the center, lost 0, twice 0 (seed {campaign_seed})",
    )
