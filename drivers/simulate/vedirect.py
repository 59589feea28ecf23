"""A solar station on VE.Direct on the wire. Source: Victron "VE.Direct Protocol" 3.33; FAQ for HEX messages."""

from collections.abc import Mapping

from drivers.driver import Line
from drivers.simulate.simulator import NS, Talker, Wave

_HEX_MESSAGE = b":A0202000200000045\n"
_HEX_EVERY_S = 10

# Labels with what they say, or the bounds between which their raw number wanders; a block for each unit of the station.
_CHARGER: Mapping[str, str | tuple[int, int]] = {
    "PID": "0xA042",
    "FW": "123",
    "SER#": "HQ1411SIMUL",
    "V": (12900, 13600),
    "I": (400, 2600),
    "VPV": (31000, 36500),
    "PPV": (8, 36),
    "CS": "3",
    "MPPT": "2",
    "ERR": "0",
    "LOAD": "ON",
    "IL": (300, 800),
    "H19": "8272",
    "H20": "31",
    "H21": "40",
    "H22": "25",
    "H23": "119",
    "HSDS": "274",
}
_MONITOR: Mapping[str, str | tuple[int, int]] = {
    "P": (5, 30),
    "CE": (-9000, -4000),
    "SOC": (839, 871),
    "TTG": (900, 1000),
    "VS": (12700, 12900),
    "VM": (6400, 6800),
    "T": (24, 33),
    "Alarm": "OFF",
    "Relay": "OFF",
    "AR": "0",
    "MON": "0",
    "DM": (-9, 9),
    **dict.fromkeys(("H1", "H2", "H3", "H6"), (-9000, -4000)),
    **dict.fromkeys(("H4", "H5", "H10", "H11", "H12", "H13", "H14"), "3"),
    "H7": "11900",
    "H8": "14420",
    "H9": (7000, 7200),
    "H15": "12300",
    "H16": "13100",
    "H17": "4150",
    "H18": "4890",
}
_CONVERTER: Mapping[str, str | tuple[int, int]] = {
    "V": (13100, 13300),
    "V2": (13100, 13300),
    "V3": (13100, 13300),
    "I2": (100, 900),
    "I3": (100, 900),
    "DC_IN_V": (2540, 2580),
    "DC_IN_I": (20, 60),
    "DC_IN_P": (50, 150),
    "OR": "0x00000000",
    "ERR": "0",
}
_INVERTER: Mapping[str, str | tuple[int, int]] = {
    "AC_OUT_V": (22900, 23100),
    "AC_OUT_I": (4, 9),
    "AC_OUT_S": (90, 200),
    "MODE": "2",
    "WARN": "0",
}
_BLOCKS = (_CHARGER, _MONITOR, _CONVERTER, _INVERTER)


class VeDirectSimulator(Talker):
    """Says the labels of a charger, a battery monitor, a converter and an inverter, so that every channel lives."""

    def __init__(self, *, seed: int, every_s: float) -> None:
        super().__init__(line=Line(baud=19200), every_s=every_s)
        self._waves = {
            label: Wave(*said, seed=seed + place)
            for block in _BLOCKS
            for place, (label, said) in enumerate(block.items())
            if not isinstance(said, str)
        }

    def frames(self, now_ns: int) -> list[bytes]:
        """One block of each, now and then with a HEX message that came between two lines."""
        blocks = [self._block(block, now_ns) for block in _BLOCKS]
        if now_ns // NS % _HEX_EVERY_S == 0:
            head, _, tail = blocks[0].partition(b"\r\nCS")
            blocks[0] = head + _HEX_MESSAGE + b"\r\nCS" + tail
        return blocks

    def _block(self, labels: Mapping[str, str | tuple[int, int]], now_ns: int) -> bytes:
        lines = [
            f"\r\n{label}\t{round(self._waves[label].at(now_ns)) if label in self._waves else said}"
            for label, said in labels.items()
        ]
        body = "".join(lines).encode() + b"\r\nChecksum\t"
        return body + bytes((-sum(body) & 0xFF,))
