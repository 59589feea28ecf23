"""K19: what a driver must bring along."""

from drivers.conformance.subject import NotApplicable, Subject, ensure
from drivers.driver import Channel

_READINGS = 2
_REJECTS = 1

# SenML (RFC 8428, 12.1; RFC 8798, 4.1) and, where it has none, UCUM.
UNITS = frozenset(
    (
        *("m", "kg", "g", "s", "A", "K", "cd", "mol", "Hz", "rad", "sr", "N", "Pa", "J", "W", "C", "V", "F", "Ohm"),
        *("S", "Wb", "T", "H", "Cel", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m2", "m3", "l", "m/s", "m/s2", "m3/s"),
        *("l/s", "W/m2", "cd/m2", "bit", "bit/s", "lat", "lon", "pH", "dB", "dBW", "Bspl", "count", "/", "%", "%RH"),
        *("%EL", "EL", "1/s", "1/min", "beat/min", "beats", "S/m", "B", "VA", "VAs", "var", "vars", "J/m", "kg/m3"),
        *("deg", "ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "varh", "kvarh", "kVAh", "Wh/km"),
        *("KiB", "GB", "Mbit/s", "B/s", "MB", "mV", "mA", "dBm", "ug/m3", "mm/h", "m/h", "ppm", "/100", "/1000", "hPa"),
        *("mm", "cm", "km", "km/h"),  # RFC 8798 ends here; what follows is UCUM
        *("1", "d", "uS/cm", "mg/kg", "g/L", "{#}/dL", "{#}/cm2", "{#}/(cm2.h)", "kPa"),
    )
)


def k19_metadata(subject: Subject) -> None:
    """Two readings of two sources, a refusal, ranges that hold all vectors, known units, and where it is from."""
    info = subject.info()
    ensure(info.source, "no source is named")
    ensure(info.title, "no title")
    readings = [one for one in subject.vectors if one.expect == "reading"]
    ensure(len({one.frame for one in readings}) >= _READINGS, f"{len(readings)} vectors with readings, two are needed")
    refused = [one for one in subject.vectors if one.expect != "reading" and not one.helps]
    ensure(len(refused) >= _REJECTS, "no vector that must give no reading")
    for one in readings:
        channels = {channel.name: channel for channel in subject.make(one.options).info.channels}
        for name, value in one.values.items():
            if name in channels:
                _fits(channels[name], value)
    for channel in info.channels:
        ensure(channel.unit in UNITS, f"{channel.name}: unit {channel.unit} is neither SenML nor known UCUM")
    if all(one.derived for one in subject.vectors):
        raise NotApplicable(
            "no frame of it was ever published: these are made from its description; the rest of the check passes"
        )


def _fits(channel: Channel, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = channel.low, channel.high
    inside = (low is None or value >= low) and (high is None or value <= high)
    ensure(inside, f"{channel.name} {value} of a vector is outside its range {low} to {high}")
