"""The demo's story: what happens to the node, step by step, and what must have come of it."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator

from agent.demo import strangers
from agent.demo.answers import Proof
from agent.demo.board import Board, State, Step
from agent.demo.errors import DemoError
from agent.demo.scenario import ALARM, NOISY, PORTS, PROTOCOLS, PULLED, SENSORS, Timeline
from agent.demo.stage import Stage

_NOISE_BYTES = 96
_NOISE_S = 0.75
"""The noise is on the line by then, in front of the next sentence."""
_SETTLE_S = 6.0
_LOOK_S = 0.1

TITLES = {
    "ready": "keys, broker, center, sensors",
    "speak": "six sensors speak, the center verifies",
    "noise": "noise on a serial line",
    "strangers": "rubbish and a forged batch at the broker",
    "cut": "the link is cut, the sensors go on",
    "flood": "the river rises, nobody can hear of it",
    "mend": "the link is mended, what is held drains",
    "pull": "a sensor is pulled out",
    "plug": "it is plugged in again",
    "kill": "the node is killed (SIGKILL)",
    "start": "it starts again",
    "stop": "all is delivered, the node ends",
    "proof": "the proof",
}


def steps() -> list[Step]:
    """Return the steps; the first is being taken while the stage is built."""
    found = [Step(title=title) for title in TITLES.values()]
    found[0].state = State.RUNNING
    return found


class Story:
    """Plays the story on a stage.

    Attributes:
        killed: The run that was killed.
        started: The run after it.
        proof: The audit at the end.
    """

    def __init__(self, stage: Stage, board: Board, plan: Timeline, *, seed: int) -> None:
        self._stage = stage
        self._board = board
        self._tally = board.tally
        self._plan = plan
        self._random = random.Random(seed)  # noqa: S311 - noise on a wire, no secret
        self.killed = ""
        self.started = ""
        self.proof: Proof | None = None

    async def play(self) -> None:
        """Play it to its end. Raises DemoError when a step does not come out as it must."""
        with self._step("ready") as step:
            step.detail = f"{self._stage.kind.name}, mutual TLS"
        await self._begin()
        await self._disturb()
        await self._cut_and_mend()
        await self._pull_and_plug()
        await self._kill_and_start()
        await self._end()

    async def _begin(self) -> None:
        with self._step("speak") as step:
            await self._stage.start_node()
            names = {sensor.name for sensor in SENSORS}
            await self._until(lambda: names <= set(self._tally.by_sensor), "every sensor is at the center")
            self._board.begun_s = _now_s()
            step.detail = f"{len(set(PROTOCOLS.values()))} protocols on {len(PORTS)} serial lines"

    async def _disturb(self) -> None:
        plan = self._plan
        await self._at(plan.noise_s)
        with self._step("noise") as step:
            after_s = _now_s() + _NOISE_S
            self._stage.sensors.sockets[NOISY].unit.disturb(self._random.randbytes(_NOISE_BYTES))
            await self._until(lambda: (self._board.last_of(NOISY) or 0.0) > after_s, f"{NOISY} goes on after the noise")
            step.detail = f"{_NOISE_BYTES} bytes on {NOISY}; its next sentence counts"
        await self._at(plan.strangers_s)
        with self._step("strangers") as step:
            stage = self._stage
            before = (await stage.audit()).refused
            await strangers.send(
                stage.broker_port,
                stage.folders.kept / "node-keys",
                stage.folders.kept / "spool",
                version_5=stage.kind.protocol == "5",
            )
            refused = await self._refused(before + strangers.MESSAGES)
            step.detail = f"{refused - before} of {strangers.MESSAGES} refused"

    async def _refused(self, wanted: int) -> int:
        end_s = _now_s() + _SETTLE_S
        while (refused := (await self._stage.audit()).refused) < wanted:
            if _now_s() > end_s:
                raise DemoError(f"the center refused {refused} messages; {wanted} were no batches of this node")
            await asyncio.sleep(_LOOK_S)
        return refused

    async def _cut_and_mend(self) -> None:
        plan, tally = self._plan, self._tally
        await self._at(plan.cut_s)
        with self._step("cut"):
            self._stage.cut()
        await self._at(plan.flood_s)
        with self._step("flood") as step:
            self._stage.sensors.river.rise()
            await self._until(lambda: self._board.alarm == "siaga2", f"the alarm {ALARM} reaches siaga2")
            step.detail = f"{ALARM}: siaga2, signed and kept"
        await self._at(plan.restore_s)
        self._detail("cut", f"{tally.held} readings held")
        with self._step("mend") as step:
            self._stage.mend()
            await self._until(lambda: tally.drain is not None and tally.drain.ended_s is not None, "the spool drains")
            drain = tally.drain
            if drain is not None:
                step.detail = f"{drain.readings} in {drain.seconds:.1f} s with reconnecting"
        await self._at(plan.ebb_s)
        self._stage.sensors.river.fall()

    async def _pull_and_plug(self) -> None:
        socket = self._stage.sensors.sockets[PULLED]
        await self._at(self._plan.pull_s)
        with self._step("pull") as step:
            before = dict(self._tally.by_sensor)
            self._board.unplugged.add(PULLED)
            await asyncio.to_thread(socket.wait_pulled)
            others = [sensor.name for sensor in SENSORS if sensor.name != PULLED]
            await self._until(lambda: all(self._tally.by_sensor[name] > before[name] for name in others), "the others")
            step.detail = f"{PULLED} is out, the other {len(others)} go on"
        await self._at(self._plan.plug_s)
        with self._step("plug") as step:
            begun_s, seen = _now_s(), self._board.last_of(PULLED)
            await asyncio.to_thread(socket.plug)
            self._board.unplugged.discard(PULLED)
            await self._until(lambda: self._board.last_of(PULLED) != seen, f"{PULLED} is heard again")
            step.detail = f"{PULLED} is heard after {_now_s() - begun_s:.1f} s"

    async def _kill_and_start(self) -> None:
        await self._at(self._plan.kill_s)
        with self._step("kill") as step:
            self.killed = self._tally.lives[-1].run
            await self._stage.kill_node()
            step.detail = f"run {self.killed[:8]}"
        await self._at(self._plan.start_s)
        with self._step("start") as step:
            self.started = await self._stage.start_node()
            life = self._tally.lives[-1]
            await self._until(lambda: life.settled > 0, "the new run is at the center")
            ended = (await self._stage.audit()).ends.get(self.killed)
            if ended is not False:
                raise DemoError(f"the next start record should name run {self.killed[:8]} as unclean, not {ended}")
            unwritten = self._tally.left_behind
            step.detail = f"its record: {self.killed[:8]} ended unclean"
            if unwritten:
                step.detail += f"; {unwritten} were not on disk"

    async def _end(self) -> None:
        tally = self._tally
        await self._at(self._plan.finish_s)
        with self._step("stop") as step:
            await asyncio.to_thread(self._stage.sensors.pull)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S):
                    await self._until(lambda: tally.held == 0, "all is delivered")
            step.detail = f"held {tally.held}"
            await self._stage.stop_node()
        with self._step("proof") as step:
            proof = self.proof = await self._stage.audit()
            step.detail = f"lost {proof.lost}, twice {proof.twice}, unverified {proof.unverified}, chain {proof.chain}"
            if not proof.holds:
                step.state = State.FAILED

    # -- the story's own tools ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[Step]:
        step = self._board.steps[list(TITLES).index(name)]
        step.state = State.RUNNING
        try:
            yield step
        except BaseException:  # whatever ends a step, Ctrl-C too, shows as its failure and goes on
            step.state = State.FAILED
            raise
        if step.state is State.RUNNING:
            step.state = State.DONE

    def _detail(self, name: str, text: str) -> None:
        self._board.steps[list(TITLES).index(name)].detail = text

    async def _at(self, moment_s: float) -> None:
        begun_s = self._board.begun_s or 0.0
        await asyncio.sleep(max(0.0, begun_s + moment_s - _now_s()))

    async def _until(self, is_so: Callable[[], bool], what: str) -> None:
        await self._stage.until(is_so, what, self._stage.node)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
