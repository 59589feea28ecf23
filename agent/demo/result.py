"""What a demo came to, for people and for programs."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from agent.demo.answers import Proof
from agent.demo.scenario import PROTOCOLS
from agent.demo.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of a demo.

    Attributes:
        proof: The center's audit.
        tally: Counts along the way.
        killed: The run that was killed.
        broker: Its name and version.
        seconds: From the first process to the proof.
    """

    proof: Proof
    tally: Tally
    killed: str
    broker: str
    seconds: float

    @property
    def failures(self) -> list[str]:
        """What was promised and did not come; empty when the demo shows what it says."""
        proof, tally = self.proof, self.tally
        found = [f"{name} {count}" for name, count in (("lost", proof.lost), ("twice", proof.twice)) if count]
        if proof.unverified:
            found.append(f"unverified {proof.unverified}")
        if proof.chain != "ok":
            found.append(f"chain {proof.chain}")
        if not tally.taken_while_cut:
            found.append("no reading was taken while the link was cut")
        if proof.ends.get(self.killed) is not False:
            found.append("no start record names the killed run as unclean")
        return found

    def as_text(self) -> str:
        """Return a few lines for people."""
        proof, drain = self.proof, self.tally.drain
        sums = f"taken {proof.taken} = settled {proof.settled} + held {proof.held} + in gaps {proof.in_gaps}"
        faults = f"lost {proof.lost}   twice {proof.twice}   unverified {proof.unverified}   chain {proof.chain}"
        tally = f"{self.tally.taken_while_cut} taken while the link was cut, {self.tally.alarms} rows of alarms"
        lines = [sums, faults, f"{tally}, {proof.refused} messages refused"]
        if drain is not None:
            lines.append(f"{drain.readings} drained in {drain.seconds:.1f} s, reconnecting included")
        lines.append("NOT proven: " + ", ".join(self.failures) if self.failures else "proven")
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return one line for programs."""
        proof, tally, drain = self.proof, self.tally, self.tally.drain
        sensors = sorted(tally.by_sensor.keys() & PROTOCOLS.keys())
        found: Mapping[str, object] = {
            "taken": proof.taken,
            "settled": proof.settled,
            "held": proof.held,
            "in_gaps": proof.in_gaps,
            "lost": proof.lost,
            "twice": proof.twice,
            "unverified": proof.unverified,
            "chain": proof.chain,
            "sensors": sensors,
            "protocols": sorted({PROTOCOLS[name] for name in sensors}),
            "taken_while_cut": tally.taken_while_cut,
            "predecessor": {"run": self.killed, "clean": proof.ends.get(self.killed)},
            "alarms": tally.alarms,
            "refused": proof.refused,
            "drain": None
            if drain is None
            else {"readings": drain.readings, "seconds": round(drain.seconds, 2), "per_s": round(drain.per_s)},
            "broker": self.broker,
            "python": platform.python_version(),
            "seconds": round(self.seconds, 1),
            "failures": self.failures,
        }
        return json.dumps(found)
