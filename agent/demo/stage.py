"""Everything the demo's story plays with: folders, keys, broker, center, node, sensors and the cable between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent import clock
from agent.demo import answers, broker
from agent.demo.answers import Proof
from agent.demo.board import Board, Node
from agent.demo.cable import Cable
from agent.demo.errors import DemoError
from agent.demo.folders import Folders
from agent.demo.processes import CENTER, GARDU, Process, run, text_of
from agent.demo.scenario import CITY, NODE, Wiring, configuration
from agent.demo.sensors import Sensors
from agent.demo.watch import follow_center, follow_node

_LOOK_S = 0.05
_PATIENCE_S = 20.0


@dataclass(slots=True)
class Stage:
    """All of it, running."""

    board: Board
    folders: Folders
    kind: broker.Kind
    sensors: Sensors
    cable: Cable
    broker_port: int
    tasks: asyncio.TaskGroup
    node: Process
    center: Process
    watches: list[asyncio.Task[None]] = field(default_factory=list)

    # -- the node -----------------------------------------------------------------------------------------------------

    async def start_node(self) -> str:
        """Start the node and return its run. Raises DemoError."""
        self.board.tally.begin()
        self.board.node = Node.STARTING
        before = answers.newest_run(text_of(self.node.log))
        await self.node.start((*GARDU, "run", "--config", str(self.folders.kept / "agent.toml")))
        self.watch(self.node)

        def began() -> bool:
            return answers.newest_run(text_of(self.node.log)) not in (None, before)

        await self.until(began, "the node begins a run", self.node)
        run_id = answers.newest_run(text_of(self.node.log)) or ""
        self.board.tally.name(run_id)
        self.board.node = Node.UP
        return run_id

    async def kill_node(self) -> None:
        """Kill the node without a warning."""
        self.board.node = Node.KILLED
        await self.node.kill()

    async def stop_node(self) -> None:
        """End the node in order. Raises DemoError when it does not end well."""
        self.board.node = Node.ENDED
        code = await self.node.stop()
        if code != 0:
            raise DemoError(f"the node was asked to end and did so with exit code {code}; {self.node.told()}")

    # -- the rest -----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Cut the link."""
        self.cable.cut()
        self.board.cut = True
        self.board.tally.cut(_boot_ms())

    def mend(self) -> None:
        """Mend the link."""
        self.board.tally.mend(_boot_ms(), asyncio.get_running_loop().time())
        self.cable.mend()
        self.board.cut = False

    async def audit(self) -> Proof:
        """Let the center prove what it has. Raises DemoError."""
        command = (*CENTER, "audit", "--store", self.folders.store, "--json")
        return answers.proof(await run("gardu-center audit", command, accept=(0, 1)))

    async def until(self, is_so: Callable[[], bool], what: str, process: Process) -> None:
        """Wait until something is so. Raises DemoError when it is not in time."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    if is_so():
                        return
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise DemoError(f"waited {_PATIENCE_S:g} s in vain: {what}; {process.told()}") from None

    def watch(self, process: Process) -> None:
        """Let the demo end when a process does that should not."""
        self.watches.append(self.tasks.create_task(process.watch()))


@contextlib.asynccontextmanager
async def built(
    board: Board, folders: Folders, *, seed: int, wanted: str, tasks: asyncio.TaskGroup
) -> AsyncIterator[Stage]:
    """Build everything but the node, which the story starts; take it down afterwards. Raises DemoError."""
    processes: list[Process] = []

    def process(name: str, log: str) -> Process:
        processes.append(Process(name, folders.kept / log))
        return processes[-1]

    sensors = Sensors(folders.short, seed=seed)
    cable: Cable | None = None
    followers: list[asyncio.Task[None]] = []
    watches: list[asyncio.Task[None]] = []
    try:
        kind = await broker.choose(wanted)
        board.broker = kind.name
        keys = folders.kept / "center-keys"
        await _make_keys(folders, keys)
        serving = process("the broker", "broker.log")
        port = await broker.start(kind, serving, folders.kept, keys)
        cable = Cable(port)
        await cable.lay()
        center = process("gardu-center", "center.log")
        url = f"mqtts://127.0.0.1:{port}"
        options = ("--broker", url, "--city", CITY, "--keys", str(keys), "--protocol", kind.protocol)
        await center.start((*CENTER, "run", "--store", folders.store, *options, "--ack-every", "300ms"))
        readings = process("gardu-center readings", "readings.log")
        await readings.start((*CENTER, "readings", "--store", folders.store, "--follow", "--json"), read=True)
        await asyncio.to_thread(sensors.plug)
        wiring = Wiring(
            url=f"mqtts://127.0.0.1:{cable.port}",
            protocol=kind.protocol,
            keys=str(folders.kept / "node-keys"),
            spool=str(folders.kept / "spool"),
            run=str(folders.short),
            ports=str(folders.short),
        )
        (folders.kept / "agent.toml").write_text(configuration(wiring), "utf-8")
        stage = Stage(
            board=board,
            folders=folders,
            kind=kind,
            sensors=sensors,
            cable=cable,
            broker_port=port,
            tasks=tasks,
            node=process("the node", "node.log"),
            center=center,
            watches=watches,
        )
        for one in (serving, center, readings):
            stage.watch(one)
        followers.append(tasks.create_task(follow_node(board, folders.short)))
        followers.append(tasks.create_task(follow_center(board, readings)))
        yield stage
    finally:
        await _take_down(processes, sensors, cable, [*followers, *watches])


async def _make_keys(folders: Folders, keys: Path) -> None:
    await run("gardu-center keys", (*CENTER, "keys", "init", str(keys), "--city", CITY, "--host", "localhost"))
    new = ("--new", str(folders.kept / "node-keys"), "--keys", str(keys))
    await run("gardu-center nodes", (*CENTER, "nodes", "add", NODE, "--store", folders.store, "--city", CITY, *new))


async def _take_down(
    processes: list[Process], sensors: Sensors, cable: Cable | None, tasks: list[asyncio.Task[None]]
) -> None:
    for task in tasks:
        task.cancel()
    try:
        await asyncio.shield(asyncio.gather(*(one.stop() for one in reversed(processes))))
    finally:
        for one in processes:
            one.kill_now()
        if cable is not None:
            await cable.remove()
        sensors.pull()


def _boot_ms() -> int:
    return clock.boot_ns() // 1_000_000
