"""Counting outcomes: what a row of the table says, and what a campaign must show."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults.powercut.replay import Outcome

COLUMNS = (
    "card",
    "spool",
    "file system",
    "states",
    "cut while",
    "states that lost promised rows",
    "promised rows lost (worst state)",
    "wrong",
    "manual steps",
    "repairs of the file system",
    "left by cap, named in gaps",
    "torn or damaged, and told",
    "unclean said / due",
    "center told / knew more than the card",
    "card came back empty",
    "states/s",
    "GARDU_SEED",
)
KEYS = 3
"""How many first columns tell rows apart."""
_EXAMPLES = 8


@dataclass(slots=True)
class Tally:
    """All outcomes under one model.

    Attributes:
        states: How many.
        phases: How many were cut in each phase.
        losing: States in which promised rows were lost.
        lost: Those rows, over all states.
        worst: Most of them in one state.
        wrong: States in which something was that must never be.
        manual: States that no start got the better of.
        repairs: Runs of e2fsck.
        in_gaps: States in which rows had left by the cap.
        damage: States whose start record tells torn or damaged bytes.
        unclean: States whose start record says unclean.
        due: States whose start record has to.
        told: States in which the center said what it knew.
        knew: States in which it had more than the card.
        emptied: States in which the card had forgotten all there was.
        taken_over: States in which the next run sealed rows of earlier ones.
        examples: What was wrong, and where.
        losses: What was lost, and where.
    """

    states: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    losing: int = 0
    lost: int = 0
    worst: int = 0
    wrong: int = 0
    manual: int = 0
    repairs: int = 0
    in_gaps: int = 0
    damage: int = 0
    unclean: int = 0
    due: int = 0
    told: int = 0
    knew: int = 0
    emptied: int = 0
    taken_over: int = 0
    examples: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Tally":
        """Count."""
        made = cls()
        for outcome in outcomes:
            made.add(outcome)
        return made

    def add(self, outcome: Outcome) -> None:
        """Count one state."""
        self.states += 1
        self.phases[outcome.phase] += 1
        self.repairs += outcome.repairs
        verdict = outcome.verdict
        if verdict is None:
            self.manual += 1
            self._keep(self.examples, outcome, outcome.error)
            return
        lost = sum(verdict.lost.values())
        self.losing += lost > 0
        self.lost += lost
        self.worst = max(self.worst, lost)
        self.wrong += bool(verdict.wrong)
        self.in_gaps += verdict.in_gaps > 0
        self.damage += verdict.damage > 0
        self.unclean += verdict.unclean is True
        self.due += verdict.unclean is not None
        self.told += verdict.knows and not verdict.emptied and bool(verdict.told)
        self.knew += verdict.knows and not verdict.emptied
        self.emptied += verdict.emptied
        self.taken_over += verdict.taken_over > 0
        if verdict.wrong:
            self._keep(self.examples, outcome, "; ".join(verdict.wrong))
        if verdict.lost:
            self._keep(self.losses, outcome, f"lost {verdict.lost}")

    @staticmethod
    def _keep(examples: list[str], outcome: Outcome, text: str) -> None:
        if len(examples) < _EXAMPLES:
            examples.append(f"cut {outcome.cut} while {outcome.phase}: {text[:600]}")

    def row(self, card: str, spool: str, system: str, *, seconds: float, seed: int) -> list[str]:
        """Return the cells of the table."""
        return [
            card,
            spool,
            system,
            str(self.states),
            ", ".join(f"{phase} {count}" for phase, count in sorted(self.phases.items())),
            str(self.losing),
            f"{self.lost} ({self.worst})",
            str(self.wrong),
            str(self.manual),
            str(self.repairs),
            str(self.in_gaps),
            str(self.damage),
            f"{self.unclean} / {self.due}",
            f"{self.told} / {self.knew}",
            str(self.emptied),
            f"{self.states / seconds:.0f}",
            str(seed),
        ]

    def story(self) -> str:
        """Return what an assertion that fails has to show."""
        return "\n".join([f"{self.states} states", *self.examples, *self.losses])
