"""The table of default alarms in docs/alarms.md: ``python -m tests.agent.alarm_table`` writes it anew."""

from pathlib import Path

from agent.config.catalogue import Default
from agent.config.catalogue_hotspot import DEFAULTS
from tests.agent.every_probe import config

PAGE = Path(__file__).parents[2] / "docs" / "alarms.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
_TITLES = {
    "center": "With [center] (SIM and quota, where it names them)",
    "host": "With the box, unless [host] says enabled = false",
    "hotspot": "With [hotspot]",
    "kiosk": "With [kiosk]",
}
_SIZES = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def table() -> str:
    """Return all tables."""
    units = {f"{alarm.sensor}/{alarm.channel}": alarm.unit for alarm in config().defaults}
    parts = []
    for section, title in _TITLES.items():
        parts.append(f"\n### {title}\n\n| alarm | tells | watches | raised by | for | hidden by |\n")
        parts.append("| --- | --- | --- | --- | --- | --- |\n")
        parts.extend(_line(rule, units) for rule in DEFAULTS if rule.section == section)
    return "".join(parts) + "\n"


def _line(rule: Default, units: dict[str, str]) -> str:
    unit = next((unit for path, unit in units.items() if path == rule.watch), "1")
    hours = ", in open_hours" if rule.in_open_hours else ""
    hidden = ", ".join(rule.mute_when) or "-"
    lasting = _time(rule.for_s) if rule.for_s else "at once"
    cells = (f"`{rule.name}`", rule.tells, f"`{rule.watch}`", _raised(rule, unit) + hours, lasting, hidden)
    return f"| {' | '.join(cells)} |\n"


def _raised(rule: Default, unit: str) -> str:
    if rule.states:
        words = " or ".join(str(state).lower() if isinstance(state, bool) else state for state in rule.states)
        return f"{words}: {rule.levels[0][0]}"
    side = "at most" if rule.falling else "at least"
    shown = "" if unit == "1" else f" {'of 1' if unit == '/' else unit}"
    levels = ", ".join(f"{side} {threshold:.10g}{shown}: {name}" for name, threshold in rule.levels)
    return levels if rule.rise_within_s is None else f"rise in {_time(rule.rise_within_s)} of {levels}"


def _time(seconds: float) -> str:
    size, unit = next((size, unit) for size, unit in _SIZES if seconds >= size and seconds % size == 0)
    return f"{seconds / size:g} {unit}"


def main() -> None:
    """Write the page with the table as it is now."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(head + BEGIN + table() + END + tail, "utf-8")


if __name__ == "__main__":
    main()
