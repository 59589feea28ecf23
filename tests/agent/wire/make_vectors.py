"""Makes tests/vectors/wire and the examples of the document: `python -m tests.agent.wire.make_vectors`.

The same bytes every time.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.wire.keys import Signer
from tests.agent.wire import refusals, refusals_center
from tests.agent.wire.annotate import DOCUMENT, filled
from tests.agent.wire.craft import (
    ACK_KEY,
    NODE_KEY,
    ORDER_KEY,
)
from tests.agent.wire.good_batches import Vector, chains, kinds, readings, vector_of
from tests.agent.wire.good_others import center, unsigned

FOLDER = Path(__file__).parents[2] / "vectors" / "wire"


def refused() -> list[Vector]:
    """All that must be refused."""
    parts: list[tuple[str, Signer | None, Iterable[refusals.Refusal]]] = [
        ("batch", NODE_KEY, refusals.batches()),
        ("ack", ACK_KEY, refusals_center.acks()),
        ("order", ORDER_KEY, refusals_center.orders()),
        ("hello", None, refusals_center.hellos()),
        ("state", None, refusals_center.states()),
    ]
    return [
        vector_of(name, what, message, key, type=kind, refused=reason)
        for kind, key, some in parts
        for name, reason, what, message in some
    ]


def all_files() -> Mapping[str, list[Vector]]:
    """Return the vectors of each file."""
    return {
        "readings.json": readings(),
        "records.json": kinds(),
        "chains.json": chains(),
        "center.json": center(),
        "unsigned.json": unsigned(),
        "refused.json": refused(),
    }


def text_of(vectors: list[Vector]) -> str:
    """Return a file's text."""
    return json.dumps(vectors, indent=1, ensure_ascii=False) + "\n"


def by_name() -> dict[str, Vector]:
    """Return the good single messages by name, for the examples of the document."""
    return {str(vector["name"]): vector for vector in [*readings(), *kinds(), *center(), *unsigned()]}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, made in all_files().items():
        (FOLDER / file).write_text(text_of(made), encoding="utf-8")
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8"), by_name()), encoding="utf-8")
    print(*(f"{file}: {len(made)}" for file, made in all_files().items()), sep="\n")
