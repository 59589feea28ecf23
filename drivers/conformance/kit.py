"""The kit: every check by its number, and how to run one. `gardu driver test` and the tests call the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from drivers.conformance import asking, damage, frames, metadata, moments, noise
from drivers.conformance.subject import NotApplicable, Subject

KIT: Mapping[str, Callable[[Subject], None]] = {
    "K1": frames.k1_each_frame_means_what_was_published,
    "K2": frames.k2_cut_anywhere,
    "K3": frames.k3_many_frames_in_a_chunk,
    "K4": damage.k4_junk_around_frames,
    "K5": damage.k5_lost_doubled_and_swapped_bytes,
    "K6": damage.k6_one_flipped_bit,
    "K7": damage.k7_two_flipped_bits_and_bursts,
    "K8": frames.k8_what_is_no_reading,
    "K9": noise.k9_noise,
    "K10": asking.k10_echoes_and_strangers,
    "K11": noise.k11_lost_ports,
    "K12": moments.k12_silence,
    "K13": moments.k13_clocks,
    "K14": moments.k14_warm_up,
    "K15": moments.k15_identity,
    "K16": asking.k16_only_declared_writes,
    "K17": asking.k17_a_dead_neighbour,
    "K18": noise.k18_memory,
    "K19": metadata.k19_metadata,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check went.

    Attributes:
        check: ``K1`` to ``K19``.
        outcome: ``pass``, ``n/a`` or ``fail``.
        words: Why, for the last two.
    """

    check: str
    outcome: Literal["pass", "n/a", "fail"]
    words: str = ""


def check(name: str, subject: Subject) -> Result:
    """Run one check. An exception of the driver is a failure too."""
    try:
        KIT[name](subject)
    except NotApplicable as reason:
        return Result(check=name, outcome="n/a", words=str(reason))
    except AssertionError as failure:
        return Result(check=name, outcome="fail", words=str(failure))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises is its failure, and the others go on
        return Result(check=name, outcome="fail", words=f"{type(error).__name__}: {error}")
    return Result(check=name, outcome="pass")
