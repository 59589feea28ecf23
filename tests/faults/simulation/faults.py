"""What goes wrong: each fault lasts a while, and any number of them may hold at once."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from agent.spool.frames import parse_name
from agent.wire import topics
from agent.wire.ack import Ack, sign_ack
from agent.wire.batch import ID_BYTES
from agent.wire.keys import Signer
from tests.faults.simulation.card import WRITES, Refusal
from tests.faults.simulation.node import CITY, NODE, Box
from tests.faults.simulation.world import World

Fault = Callable[[World], Awaitable[None]]
_SHORT_S, _LONG_S = 20.0, 1200.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a run."""

    at_s: float
    name: str


# -- the link ---------------------------------------------------------------------------------------------------------


def _while(world: World, short_s: float = _SHORT_S, long_s: float = _LONG_S) -> Awaitable[None]:
    """Wait as long as a fault lasts: seconds or many minutes."""
    chance = world.chance
    most_s = chance.choice([short_s, long_s])
    return asyncio.sleep(most_s * (0.05 + 0.95 * chance.random()))


async def link_cut(world: World) -> None:
    stack = world.node.wire
    stack.cut()
    await _while(world)
    stack.road.cuts -= 1


async def stall(world: World) -> None:
    road = world.node.wire.road
    road.stalls += 1
    await _while(world)
    road.stall_over()


async def half_open(world: World) -> None:
    world.node.wire.silence()


async def drip(world: World) -> None:
    road = world.node.wire.road
    rate = world.chance.choice([60.0, 400.0])
    road.drips.append(rate)
    await _while(world)
    road.drips.remove(rate)


# -- the broker -------------------------------------------------------------------------------------------------------


async def broker_frozen(world: World) -> None:
    world.broker.freezes += 1
    world.center.unplug()
    await _while(world)
    world.broker.thaw()
    world.center.plug()


async def broker_restart(world: World) -> None:
    world.broker.go_down(forget=world.chance.random() < 0.7)
    world.center.unplug()
    await _while(world, 5, 300)
    world.broker.downs -= 1
    await asyncio.sleep(3 * world.chance.random())
    world.center.plug()


async def broker_forgets(world: World) -> None:
    world.broker.forgets += 1
    await _while(world)
    world.broker.forgets -= 1


async def broker_takes_little(world: World) -> None:
    """A limit of size, which it names when a node connects, or just ends connections by."""
    broker = world.broker
    if broker.packet_bytes is None:
        broker.packet_bytes = world.chance.choice([2000, 4500, 9000])
        broker.names_limit = world.chance.random() < 0.5
        await _while(world)
        broker.packet_bytes = None


async def broker_declines(world: World) -> None:
    """It answers PUBLISH with a refusal, as one does whose quota is used up."""
    world.broker.declines += 1
    await _while(world)
    world.broker.declines -= 1


# -- the center -------------------------------------------------------------------------------------------------------


async def center_cut(world: World) -> None:
    world.center.cuts += 1
    world.center.unplug()
    await _while(world)
    world.center.cuts -= 1
    world.center.plug()


async def _center_comes_back(world: World) -> None:
    world.center.holds -= 1
    if not world.center.holds and world.center.store is None:
        world.center.start()


async def center_down(world: World) -> None:
    world.center.holds += 1
    world.center.end()
    await _while(world)
    await _center_comes_back(world)


async def center_restart(world: World) -> None:
    world.center.holds += 1
    world.center.end()
    await asyncio.sleep(5 * world.chance.random())
    await _center_comes_back(world)


async def center_crash(world: World) -> None:
    """It ends on one side or the other of its next commit."""
    if world.center.store is not None:
        world.center.store.ends = world.chance.choice(["before", "after"])


async def center_restored(world: World) -> None:
    world.marks.add("restored")
    center = world.center
    center.holds += 1
    center.end()
    await asyncio.sleep(60 * world.chance.random())
    with world.outside_the_promise():
        before = center.rows()
        center.restore(world.chance.randrange(len(center.backups)))
        world.truth.forgotten |= before - center.rows()
    await _center_comes_back(world)


async def center_disk_refuses(world: World) -> None:
    share = world.chance.choice([0.3, 1.0])
    world.center.refusals.append(share)
    await _while(world)
    world.center.refusals.remove(share)


# -- the node ---------------------------------------------------------------------------------------------------------


async def _off(world: World, box: Box, how: Callable[[], Awaitable[None]], *, boots: bool) -> None:
    """End the process one way or another, and bring it back."""
    if box.busy:
        return
    box.busy = True
    await how()
    await asyncio.sleep(world.chance.choice([2.0, 10.0, 400.0]) * world.chance.random())
    await (box.boot() if boots else box.start())
    box.busy = False


async def kill(world: World) -> None:
    await _off(world, world.node, world.node.kill, boots=False)


async def kill_in_a_call(world: World) -> None:
    """SIGKILL in the middle of what the spool does to the card."""
    life = world.node.life
    if life is not None:
        life.card.ends_in = world.chance.randrange(30)


async def power_cut(world: World) -> None:
    await _off(world, world.node, world.node.cut_power, boots=True)


async def power_cut_in_a_call(world: World) -> None:
    life, box = world.node.life, world.node
    if life is None or box.busy:
        return
    box.busy = True
    life.card.ends_in = world.chance.randrange(30)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONG_S):
            while box.life is life and not life.card.gone:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(1)
    if box.life is life:
        await box.cut_power()
    else:
        box.powered = False
        life.card.lose_power(lambda most: world.chance.randint(0, most))
    await asyncio.sleep(20 * world.chance.random())
    await box.boot()
    box.busy = False


async def clean_restart(world: World) -> None:
    await _off(world, world.node, world.node.stop, boots=False)


async def reboot(world: World) -> None:
    await _off(world, world.node, world.node.stop, boots=True)


# -- clocks -----------------------------------------------------------------------------------------------------------

_DAY_MS = 86_400_000
_STEPS_MS = (20 * 365 * _DAY_MS, -26 * 365 * _DAY_MS, -_DAY_MS, 42 * 60_000)


async def clock_step(world: World) -> None:
    clocks, step_ms = world.node.clocks, world.chance.choice(_STEPS_MS)
    clocks.steps_ms.append(step_ms)
    await _while(world)
    clocks.steps_ms.remove(step_ms)


async def clock_unkept(world: World) -> None:
    world.node.clocks.unkept += 1
    await _while(world)
    world.node.clocks.unkept -= 1


# -- the card ---------------------------------------------------------------------------------------------------------


async def _refuses(world: World, refusal: Refusal) -> None:
    refusals = world.node.medium.refusals
    refusals.append(refusal)
    await _while(world)
    refusals.remove(refusal)


async def disk_refuses(world: World) -> None:
    chance = world.chance
    await _refuses(world, Refusal(WRITES, chance.choice([errno.EIO, errno.EROFS]), chance.choice([0.05, 0.5, 1.0])))


async def disk_refuses_reading(world: World) -> None:
    await _refuses(world, Refusal(frozenset({"read_at"}), errno.EIO, world.chance.choice([0.1, 1.0])))


async def disk_full(world: World) -> None:
    """Somebody else has filled the disk: there is what the spool reserved, and what it removes."""
    medium = world.node.medium
    medium.full += 1
    medium.room = 0
    await _while(world)
    medium.full -= 1
    if not medium.full:
        medium.room = None


async def slow_sync(world: World) -> None:
    slow_s = world.chance.choice([2.0, 8.0])
    world.node.medium.sync_s.append(slow_s)
    await _while(world)
    world.node.medium.sync_s.remove(slow_s)


async def bit_rot(world: World) -> None:
    """Flip bytes in a segment that is written no more."""
    box, chance = world.node, world.chance
    names = sorted(path.name for path in box.folder.iterdir() if parse_name(path.name) is not None)
    newest = {name.split("-", 2)[2].rsplit("-", 1)[0]: name for name in names}
    old = [name for name in names if name not in newest.values()]
    if not old:
        return
    path = box.folder / chance.choice(old)
    with world.outside_the_promise():
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice([1, 1, 3])):
            if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


# -- copies of the card -----------------------------------------------------------------------------------------------


async def image_restored(world: World) -> None:
    """The spool as it was some time ago comes back while the node is off."""
    box = world.node
    image = world.folder / f"image-{world.chance.getrandbits(32):08x}"
    shutil.copytree(box.folder, image)
    await _while(world, 60, _LONG_S)

    async def swap() -> None:
        await (box.cut_power if world.chance.random() < 0.5 else box.stop)()
        with world.outside_the_promise():
            shutil.rmtree(box.folder)
            shutil.copytree(image, box.folder)

    world.marks.add("copied")
    await _off(world, box, swap, boots=True)
    shutil.rmtree(image)


async def second_box(world: World) -> None:
    """Another box runs from a copy of the card for a while, at the same time; then it is switched off for good."""
    if len(world.boxes) > 1:
        return
    folder = world.folder / "copy"
    shutil.copytree(world.node.folder.parent, folder)
    box = world.make_box(folder / "spool")
    world.boxes.append(box)
    world.marks.add("copied")
    await box.boot()
    await _while(world, 120, _LONG_S)
    await box.stop()
    with world.outside_the_promise():
        world.boxes.remove(box)
        shutil.rmtree(folder)


# -- strangers --------------------------------------------------------------------------------------------------------

_STRANGER = Signer(bytes(32))


async def forgeries(world: World) -> None:
    """Somebody with the broker's rights says what comes to mind, to the center and to the node."""
    chance = world.chance
    for _ in range(chance.randrange(5, 40)):
        topic, payload = chance.choice([*world.recorded, (topics.hello(CITY, NODE), b"")])
        if topic.endswith("/state"):
            continue
        match chance.randrange(6):
            case 0:
                payload = chance.randbytes(chance.randrange(300))
            case 1 if payload:
                damaged = bytearray(payload)
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
                payload = bytes(damaged)
            case 2:
                topic, payload = topics.ack(CITY, NODE), _forged_ack(world)
            case 3:
                topic = topics.ack(CITY, NODE)
            case 4:
                topic = topics.up(CITY, "dago-02", "live")
            case _:
                pass  # said once more as it was
        world.broker.publish(topic, payload)
        await asyncio.sleep(chance.random())


def _forged_ack(world: World) -> bytes:
    ack = Ack(nonce=world.chance.randbytes(ID_BYTES), settled=(), center_utc_ms=1, window_bytes=1, rate_bytes_per_s=1)
    return sign_ack(ack, city=CITY, node=NODE, signer=_STRANGER)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        link_cut, stall, half_open, drip, broker_frozen, broker_restart, broker_forgets, broker_takes_little,
        broker_declines, center_cut, center_down, center_restart, center_crash, center_restored, center_disk_refuses,
        kill, kill_in_a_call, power_cut, power_cut_in_a_call, clean_restart, reboot, clock_step, clock_unkept,
        disk_refuses, disk_refuses_reading, disk_full, slow_sync, bit_rot, image_restored, second_box, forgeries,
    )
}  # fmt: skip


def plan(chance: Random, kinds: Sequence[str], count: int, until_s: float) -> list[Planned]:
    """Draw the faults of a run."""
    times = sorted(60 + (until_s - 60) * chance.random() for _ in range(count))
    return [Planned(at_s=at_s, name=chance.choice(kinds)) for at_s in times]
