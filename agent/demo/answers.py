"""Reads what the daemon's socket and ``gardu-center`` answer. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.demo.errors import DemoError

_RUN = re.compile(r"run ([0-9a-f]{32}) begins")

Value = float | int | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A reading as the daemon tells it on its socket."""

    path: str
    value: Value
    unit: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A reading as the center shows it."""

    path: str
    run: str
    boot_ms: int
    alarm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the center's audit says.

    Attributes:
        taken: Highest seqs that signed records name.
        settled: At the center.
        held: Still at the node, as it announced.
        in_gaps: Named by signed gaps.
        lost: Accounted for by nobody.
        twice: Standing there twice.
        unverified: Stored without a good signature, or waiting for a key.
        refused: Messages that were not what they said.
        doubles: Batches and rows that came again and were dropped.
        chain: ``ok``, ``open`` or ``broken``.
        ends: Whether each run ended cleanly, as its successor says; None while nobody said.
    """

    taken: int
    settled: int
    held: int
    in_gaps: int
    lost: int
    twice: int
    unverified: int
    refused: int
    doubles: int
    chain: str
    ends: Mapping[str, bool | None]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, doubled, unverified or broken."""
        return not (self.lost or self.twice or self.unverified) and self.chain == "ok"


def heard(line: bytes) -> Heard | None:
    """Read a line of the daemon's socket; None for the empty pack behind the first readings."""
    pack: list[dict[str, Value]] = json.loads(line)
    if not pack:
        return None
    first, *flags = pack
    value = next((first[key] for key in ("v", "vb", "vs") if key in first), "")
    return Heard(
        path=str(first["n"]), value=value, unit=str(first["u"]), flags=tuple(str(flag["vs"]) for flag in flags)
    )


def kept(line: bytes) -> Kept:
    """Read a line of ``gardu-center readings --json``."""
    row: dict[str, Value] = json.loads(line)
    return Kept(path=str(row["n"]), run=str(row["run"]), boot_ms=int(row["boot_ms"]), alarm=row["stream"] == "alarm")


def proof(text: str) -> Proof:
    """Read what ``gardu-center audit --json`` prints. Raises DemoError."""
    try:
        audit = json.loads(text)
        totals: dict[str, int | str] = audit["totals"]
        ends: dict[str, bool | None] = {}
        for node in audit["nodes"]:
            for line in node["lines"]:  # both streams of a run say the same; one of them may not have been told
                ends[line["run"]] = line["clean"] if line["clean"] is not None else ends.get(line["run"])
        counts = {name: int(value) for name, value in totals.items() if name != "chain"}
        return Proof(
            taken=counts["taken"],
            settled=counts["settled"],
            held=counts["held"],
            in_gaps=counts["in_gaps"],
            lost=counts["lost"],
            twice=counts["twice"],
            unverified=counts["unverified"],
            refused=counts["refused"],
            doubles=counts["doubles_refused"],
            chain=str(totals["chain"]),
            ends=ends,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DemoError(f"the center's audit cannot be read: {error!r}: {text[:200]}") from error


def newest_run(log: str) -> str | None:
    """Return the run that a node's log names last."""
    runs: list[str] = _RUN.findall(log)
    return runs[-1] if runs else None
