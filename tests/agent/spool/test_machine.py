"""Any order of taking, sealing, settling, crashes, restarts and faults: the audit holds after each step."""

import errno
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.seal import Limits
from agent.spool.spool import Settings
from agent.wire.batch import Kind, Stream
from tests.agent.spool.keeper_rig import KeeperRig
from tests.agent.spool.rig import BOOT, TELEMETRY, Rig, refusing

_FAULTS = ("append", "sync", "create", "folder sync", "remove", "read_at", "free")
_ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
_TIGHT = Settings(
    telemetry_cap=24 * 1024,
    alarm_cap=24 * 1024,
    free_disk=0,
    segment=2 * 1024,
    memory=32 * 1024,
    limits=Limits(rows=8, plain_bytes=2048),
)


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.rig = Rig(self.root / "spool", settings=_TIGHT)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(telemetry=st.integers(0, 25), alarm=st.integers(0, 3), seal=st.sets(st.sampled_from(list(Stream))))
    def commit(self, telemetry: int, alarm: int, seal: set[Stream]) -> None:
        refusing(lambda: self.rig.commit(telemetry, alarm, seal))

    @rule()
    def record(self) -> None:
        body = b'{"boot":"%s","boot_ms":1,"utc_ms":2,"uncertainty_ms":3,"source":"rtc"}' % BOOT.hex().encode()
        refusing(lambda: self.rig.record(Kind.TIME, body, TELEMETRY))

    @rule(which=st.integers(0, 20), n=st.integers(1, 400))
    def settle(self, which: int, n: int) -> None:
        held = self.rig.spool.held()
        if held:
            one = held[which % len(held)]
            self.rig.settle((one.run, one.stream), one.first + n % (one.last - one.first + 1))

    @rule(seed=st.randoms(use_true_random=False))
    def crash(self, seed: object) -> None:
        randint = seed.randint  # type: ignore[attr-defined]  # Hypothesis's own Random
        self.rig.crash(lambda most: int(randint(0, most)))
        self.rig.start()

    @rule()
    def close(self) -> None:
        if not refusing(self.rig.close):
            self.rig.start()

    @rule(what=st.sampled_from(_FAULTS), after=st.integers(0, 3), times=st.sampled_from([1, 2, 10**6]))
    def fault(self, what: str, after: int, times: int) -> None:
        left = [after, times]

        def fails(call: str) -> bool:
            if call != what:
                return False
            if left[0]:
                left[0] -= 1
                return False
            left[1] -= 1
            return left[1] >= 0

        self.rig.card.fails = fails

    @rule()
    def heal(self) -> None:
        self.rig.card.fails = lambda _: False

    @invariant()
    def nothing_is_lost_doubled_or_contradicted(self) -> None:
        fails, self.rig.card.fails = self.rig.card.fails, lambda _: False
        self.rig.audit(lossless=False)
        self.rig.card.fails = fails


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=10, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSpoolMachine = pytest.mark.slow(TestSpoolMachine)


class KeeperMachine(RuleBasedStateMachine):
    """The same with a keeper: rows go to memory and come home, and no call ever raises."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="keeper-machine-"))
        self.rig = KeeperRig(self.root / "spool", settings=_TIGHT)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(telemetry=st.integers(0, 25), alarm=st.integers(0, 3), seal=st.sets(st.sampled_from(list(Stream))))
    def commit(self, telemetry: int, alarm: int, seal: set[Stream]) -> None:
        self.rig.commit(telemetry, alarm, seal)

    @rule()
    def record(self) -> None:
        body = b'{"boot":"%s","boot_ms":1,"utc_ms":2,"uncertainty_ms":3,"source":"rtc"}' % BOOT.hex().encode()
        self.rig.record(Kind.TIME, body, TELEMETRY)

    @rule(which=st.integers(0, 20), n=st.integers(1, 400))
    def settle(self, which: int, n: int) -> None:
        held = self.rig.keeper.held()
        if held:
            one = held[which % len(held)]
            self.rig.settle((one.run, one.stream), one.first + n % (one.last - one.first + 1))

    @rule(seed=st.randoms(use_true_random=False))
    def crash(self, seed: object) -> None:
        randint = seed.randint  # type: ignore[attr-defined]  # Hypothesis's own Random
        self.rig.crash(lambda most: int(randint(0, most)))
        self.rig.start()

    @rule()
    def close(self) -> None:
        self.rig.close()
        self.rig.restart()

    @rule(
        what=st.sets(st.sampled_from((*_FAULTS, "read", "probe", "reserve", "create_reserved", "cut")), min_size=1),
        error=st.sampled_from(_ERRORS),
        after=st.integers(0, 6),
        times=st.sampled_from([1, 2, 3, 10**6]),
    )
    def fault(self, what: set[str], error: int, after: int, times: int) -> None:
        left = [after, times]

        def fails(call: str) -> bool:
            if call not in what:
                return False
            if left[0]:
                left[0] -= 1
                return False
            left[1] -= 1
            return left[1] >= 0

        self.rig.card.error = error
        self.rig.card.fails = fails

    @rule()
    def heal(self) -> None:
        self.rig.card.fails = lambda _: False

    @rule(wait_s=st.sampled_from([11, 60, 700]))
    def wait(self, wait_s: float) -> None:
        self.rig.wait(wait_s)

    @invariant()
    def nothing_is_lost_doubled_or_contradicted(self) -> None:
        self.rig.audit(lossless=False)


TestKeeperMachine = KeeperMachine.TestCase
TestKeeperMachine.settings = settings(
    max_examples=10, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestKeeperMachine = pytest.mark.slow(TestKeeperMachine)
