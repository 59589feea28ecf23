"""The demo in plain lines, for pipes, logs and terminals without rich."""

from typing import TextIO

from agent.demo.board import Board, Node, State

_EVERY_S = 5.0


class Plain:
    """Writes a line for each step that is done and one each five seconds.

    Args:
        out: Where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: set[str] = set()
        self._due_s = 0.0

    def show(self, board: Board, now_s: float) -> None:
        """Write what is new."""
        if not self._told and board.broker:
            self._told.add("")
            self._line(f"Gardu demo: {board.for_s:g} s, {board.broker}, mutual TLS")
        for step in board.steps:
            if step.state in (State.DONE, State.FAILED) and step.title not in self._told:
                self._told.add(step.title)
                mark = "ok    " if step.state is State.DONE else "FAILED"
                detail = f": {step.detail}" if step.detail else ""
                self._line(f"{board.passed_s(now_s):5.1f} s  {mark}  {step.title}{detail}")
        if board.begun_s is not None and board.passed_s(now_s) >= self._due_s:
            self._due_s = (board.passed_s(now_s) // _EVERY_S + 1) * _EVERY_S
            self._line(f"{board.passed_s(now_s):5.1f} s  {status(board)}")

    def close(self, board: Board, now_s: float) -> None:
        """Write the rest."""
        self.show(board, now_s)

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def status(board: Board) -> str:
    """Return where things stand, in one line."""
    tally = board.tally
    node = "" if board.node is Node.UP else f"  node {board.node.value}"
    link = "cut" if board.cut else "up"
    drain = tally.drain
    drained = f"  drained {drain.readings} at {drain.per_s:.0f}/s" if drain is not None and drain.ended_s else ""
    alarm = f"  alarm {board.alarm}" if board.alarm else ""
    return f"link {link}{node}  taken {tally.taken}  held {tally.held}  acked {tally.settled}{drained}{alarm}"
