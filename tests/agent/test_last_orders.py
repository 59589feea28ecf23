import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.last_orders import LastOrders
from agent.reserve import Limit, Reserve
from agent.wire.batch import Stream
from agent.wire.senml import Row
from drivers.io.power_off import power_off
from drivers.reading import Reading
from tests.node.system_bus import Said, bus, daemon

LIMIT = Limit(watch="ups/charge", below=15.0, unit="%", for_s=0.0, and_on="ups/on_battery", not_before_s=0.0)
LOGIND = "org.freedesktop.login1"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bus(tmp_path_factory.mktemp("bus")) as found:
        yield found


class Box:
    """What the orders reach, in the order in which they reach it."""

    def __init__(self, address: str, *, mains_returns: bool = False) -> None:
        self.steps: list[str] = []
        self.over = asyncio.Event()
        self._address = address
        self._mains_returns = mains_returns
        self.orders = LastOrders(
            Reserve(LIMIT),
            keep=self._keep,
            flush=self._flush,
            drained=self._drained,
            power_off=self._power_off,
            boot_ns=lambda: 1_000_000_000,
        )

    def _keep(self, row: Row, stream: Stream) -> None:
        assert stream is Stream.ALARM
        self.steps.append(f"{row.path} {row.value}")
        if "refused" in self.steps[-1] or "called off" in self.steps[-1]:
            self.over.set()

    async def _flush(self) -> None:
        self.steps.append("synced")

    async def _drained(self) -> None:
        self.steps.append("sent")
        if self._mains_returns:
            self.hear("on_battery", value=False)

    async def _power_off(self) -> None:
        await power_off(self._address)
        self.steps.append("off")
        self.over.set()

    def hear(self, channel: str, value: float | bool) -> None:  # noqa: FBT001
        self.orders.hear(Reading(sensor="ups", channel=channel, value=value, unit="1", boot_ns=1_000_000_000))

    def play(self) -> list[str]:
        async def run() -> None:
            task = asyncio.create_task(self.orders.run())
            self.hear("on_battery", value=True)
            await asyncio.sleep(0)
            assert self.steps == [], "nothing happens before the limit"
            self.hear("charge", 14.0)
            await self.over.wait()
            task.cancel()

        asyncio.run(asyncio.wait_for(run(), 10))
        return self.steps


def logind(answer: Said | str) -> Callable[[str, str, tuple[object, ...]], Said | str]:
    def say(path: str, member: str, arguments: tuple[object, ...]) -> Said | str:
        assert (path, member, arguments) == ("/org/freedesktop/login1", "PowerOff", (False,))
        return answer

    return say


TOLD = ["power/off power off: ups/charge at 14 %, below 15 % for 0 s", "synced", "sent"]


def test_it_is_told_and_on_the_card_before_the_box_is_powered_off(address: str) -> None:
    with daemon(address, LOGIND, logind(("", ()))) as asked:
        assert Box(address).play() == [*TOLD, "off"]
    assert asked.asked == ["PowerOff"]


def test_mains_that_returns_at_the_last_moment_calls_it_off(address: str) -> None:
    with daemon(address, LOGIND, logind(("", ()))) as asked:
        assert Box(address, mains_returns=True).play() == [
            *TOLD,
            "power/off power off called off: the mains is back",
        ]
    assert asked.asked == []


def test_a_polkit_without_the_rule_is_told_and_the_agent_goes_on(address: str) -> None:
    refused = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    with daemon(address, LOGIND, logind(refused)):
        assert Box(address).play()[-1] == "power/off power off refused: the bus refuses it: no permission"


def test_a_box_without_a_bus_is_told(tmp_path: Path) -> None:
    assert Box(str(tmp_path / "bus")).play()[-1] == "power/off power off refused: No such file or directory"
