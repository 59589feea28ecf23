"""The demo as a picture that lives in the terminal, drawn with rich."""

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from agent.demo.board import Board, Node, State, Step, number
from agent.demo.scenario import ALARM, CITY, HOST, HOST_SHOWN, NODE, RIVER, SENSORS, SITE

_MARKS = {
    State.WAITING: ("·", "bright_black"),
    State.RUNNING: ("▸", "bold cyan"),
    State.DONE: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
}
_NODES = {
    Node.STARTING: ("node starts", "yellow"),
    Node.UP: ("node", "green"),
    Node.KILLED: ("node killed", "bold red"),
    Node.ENDED: ("node ended", "bright_black"),
}
_LABELS = {"satellites": "sat", "temperature": "temp", "mem-used": "memory", "load1": "load"}
_GAUGE_FULL = 600
"""Readings held that fill the gauge; more of them keep it full."""
_WIDEST = 110
_NARROW = 100
"""Below so many columns some things are left out."""
_SILENT_S = 3.0
_GAUGE = 24
_TITLE = 41
_STEPS_LEAST = 3
_OTHER_LINES = 16
"""Lines of the picture that are no steps of the story."""


class Live:
    """Owns the terminal's screen while the demo runs, and leaves the last picture behind."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = RichLive(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, board: Board, now_s: float) -> None:
        """Draw it anew."""
        self._live.update(picture(board, now_s, self._console.width, self._console.height), refresh=True)

    def close(self, board: Board, now_s: float) -> None:
        """Give the screen back and leave the last picture on it."""
        self._live.stop()
        if board.broker:  # else nothing was shown yet
            self._console.print(picture(board, now_s, self._console.width, None))


def picture(board: Board, now_s: float, width: int, height: int | None) -> Padding:
    """Return the whole picture.

    Args:
        board: What to show.
        now_s: Now, on the clock of the board's moments.
        width: Of the terminal, in columns.
        height: Of the terminal, in lines; None where it may be as long as it likes.
    """
    width = min(width, _WIDEST) - 2
    room = len(board.steps) if height is None else max(_STEPS_LEAST, height - _OTHER_LINES)
    parts = Group(
        _head(board, now_s),
        ProgressBar(
            total=board.for_s,
            completed=board.passed_s(now_s),
            width=width,
            complete_style="cyan",
            finished_style="green",
        ),
        Text("\n"),
        _sensors(board, now_s, is_narrow=width < _NARROW),
        Text(),
        _path(board),
        _counts(board, now_s),
        Rule(style="bright_black"),
        _story(_around(board.steps, room)),
    )
    whole = Table.grid()  # keeps it together on a wide screen
    whole.add_column(width=width)
    whole.add_row(parts)
    return Padding(whole, (0, 1))


def _head(board: Board, now_s: float) -> Table:
    line = Table.grid(expand=True)
    line.add_column()
    line.add_column(justify="right")
    name = Text.assemble(("Gardu", "bold cyan"), f"  {CITY}/{NODE}", (f"  {SITE}", "bright_black"))
    line.add_row(name, Text(f"{board.passed_s(now_s):.0f} of {board.for_s:.0f} s", style="bright_black"))
    return line


# -- the sensors ------------------------------------------------------------------------------------------------------


def _sensors(board: Board, now_s: float, *, is_narrow: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=7)
    if not is_narrow:
        table.add_column(style="bright_black", no_wrap=True, min_width=23)
    table.add_column(no_wrap=True, overflow="ellipsis", width=46)
    table.add_column(no_wrap=True, overflow="ellipsis")
    dim = board.node is not Node.UP
    for sensor in SENSORS:
        is_out = sensor.port in board.unplugged
        values = _values(board, sensor.name, sensor.shown, dim=dim or is_out)
        remark = _remark(board, sensor.name, sensor.shown, now_s, is_out=is_out)
        table.add_row(sensor.name, *(() if is_narrow else (sensor.what,)), values, remark)
    values = _values(board, HOST, HOST_SHOWN, dim=dim)
    table.add_row(HOST, *(() if is_narrow else ("this machine",)), values, Text())
    return table


def _values(board: Board, sensor: str, channels: tuple[str, ...], *, dim: bool) -> Text:
    text = Text()
    for channel in channels:
        shown = board.values.get(f"{sensor}/{channel}")
        if shown is not None:
            label = "" if shown.unit in ("lat", "lon") else f"{_LABELS.get(channel, channel)} "
            text.append(f"   {label}" if text else label, "bright_black")
            text.append(number(shown), "bright_black" if dim else "")
    return text


def _remark(board: Board, sensor: str, channels: tuple[str, ...], now_s: float, *, is_out: bool) -> Text:
    if is_out:
        return Text("unplugged", "bold yellow")
    heard_s = board.last_of(sensor)
    if heard_s is None:
        return Text("waiting", "bright_black")
    if board.node is not Node.UP:
        return Text()
    if now_s - heard_s > _SILENT_S:
        return Text(f"silent {now_s - heard_s:.0f} s", "yellow")
    if sensor == RIVER and board.alarm not in ("", "clear", "unknown"):
        return Text(f"{ALARM}: {board.alarm}", "bold red")
    flags = board.flags_of(sensor, channels)
    return Text(", ".join(flag.replace("_", " ") for flag in flags), "yellow")


# -- the way to the center --------------------------------------------------------------------------------------------


def _path(board: Board) -> Text:
    text = Text.assemble("sensors ", ("──▶ ", "bright_black"))
    text.append(*_NODES[board.node])
    text.append(" ──▶ ", "bright_black")
    text.append("spool ")
    if board.cut:
        text.append("───── ✗ link cut ✗ ───── ", "bold red")
    elif board.node is Node.UP:
        text.append("─────── link up ───────▶ ", "green")
    else:
        text.append("─────── no link ──────── ", "bright_black")
    text.append("center", "green")
    return text


def _counts(board: Board, now_s: float) -> Table:
    tally = board.tally
    table = Table.grid(padding=(0, 3, 0, 0))
    gauge = "█" * min(_GAUGE, -(-tally.held * _GAUGE // max(_GAUGE_FULL, tally.held)))
    held = Text.assemble(("held ", "bright_black"), (f"{tally.held:,}", "bold"), (f" {gauge}", "yellow"))
    table.add_row(
        Text.assemble(("taken ", "bright_black"), (f"{tally.taken:,}", "bold")),
        Text.assemble(("acked ", "bright_black"), (f"{tally.settled:,}", "bold green")),
        held,
        _drain(board, now_s),
    )
    return table


def _drain(board: Board, now_s: float) -> Text:
    drain = board.tally.drain
    if drain is None:
        return Text()
    if drain.ended_s is not None:
        return Text(f"drained {drain.readings:,} at {drain.per_s:,.0f}/s", "cyan")
    gone = drain.readings - drain.missing
    rate = gone / max(0.1, now_s - drain.begun_s)
    return Text(f"draining {gone:,} of {drain.readings:,}, {rate:,.0f}/s", "bold cyan")


# -- the story --------------------------------------------------------------------------------------------------------


def _around(steps: list[Step], room: int) -> list[Step]:
    """Return as many steps as there is room for, the newest taken one and what comes next among them."""
    if len(steps) <= room:
        return steps
    taken = sum(step.state is not State.WAITING for step in steps)
    first = max(0, min(taken - room + 1, len(steps) - room))
    return steps[first : first + room]


def _story(steps: list[Step]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=_TITLE + 2)
    table.add_column(no_wrap=True, overflow="ellipsis", style="cyan")
    for step in steps:
        mark, style = _MARKS[step.state]
        title = {State.WAITING: "bright_black", State.RUNNING: "bold"}.get(step.state, "")
        table.add_row(Text.assemble((f"{mark} ", style), (step.title, title)), step.detail)
    return table
