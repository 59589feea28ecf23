"""The box's own probes in the whole daemon: strict counts, the interface that the quota counts."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import meter
from agent.spool.frames import FrameKind, frames, message_of, parse_name
from agent.wire.batch import Kind, peek, plain_of
from tests.agent import test_app as daemon


@pytest.fixture
def box(tmp_path: Path) -> Iterator[daemon.Box]:
    made = daemon.Box(tmp_path)
    yield made
    made.systemd.close()


def told(box: daemon.Box) -> dict[str, set[object]]:
    """Every value that stands in a sealed batch, by sensor and channel."""
    found: dict[str, set[object]] = {}
    for path in box.segments():
        name = parse_name(path.name)
        for frame in frames(name, path.read_bytes()) if name else ():
            if frame.kind == FrameKind.BATCH and peek(message_of(frame)).kind is Kind.READINGS:
                base = ""
                for record in json.loads(plain_of(message_of(frame))):
                    base = record.get("bn", base)
                    place = (base + record.get("n", "")).split("/", 2)[2]
                    found.setdefault(place, set()).update(record[key] for key in ("v", "vs", "vb") if key in record)
    return found


def test_few_guests_are_a_bucket_on_disk_and_in_the_log_while_the_alarm_counts_them(
    box: daemon.Box, caplog: pytest.LogCaptureFixture
) -> None:
    leases = box.folder / "leases"
    runs_out = round(time.time()) + 3600
    lines = [f"{runs_out} 00:00:5e:00:53:0{guest} 10.20.0.{guest} Budi-iPhone *\n" for guest in (2, 3, 4)]
    leases.write_text("".join(lines))
    box.text += (
        f'[hotspot]\nprivacy = "strict"\nleases = "{leases}"\nhostapd = "{box.folder}/none"\nchecks = []\nping = []\n'
        'resolver = "127.0.0.1:1"\nupstream = "127.0.0.1:1"\nunits = []\n'
        '[alarm.guests]\nwatch = "dhcp/leases"\nlevels = { some = "2 count" }\nfor = "0 s"\n'
    )

    daemon.run_here(box, lambda: any("-alarm-" in segment.name for segment in box.segments()))

    found = told(box)
    assert found["alarm/guests"] == {"some"}
    assert found["dhcp/leases"] == {"<5"}
    said = [record.getMessage() for record in caplog.records if "name=guests" in record.getMessage()]
    assert said
    assert all("why=<5 count: " in text for text in said)
    assert not any("Budi" in record.getMessage() for record in caplog.records)


def test_what_an_interface_carried_counts_against_the_quota_and_is_kept(
    box: daemon.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = box.folder / "sys/class/net/wwan0"
    (folder / "statistics").mkdir(parents=True)
    (folder / "ifindex").write_text("3\n")
    for way in ("rx", "tx"):
        (folder / f"statistics/{way}_bytes").write_text("450000\n")
    center = '[center]\nmonthly_quota = "1 MB"\nquota_counts = "wwan0"\nsim_expires = 2027-01-31'
    box.text = box.text.replace("[center]", center).replace("[host]", f'[host]\nsys = "{box.folder}/sys"')
    quota = box.folder / "quota"

    monkeypatch.setattr(meter, "_SAVE_EVERY_S", -1e9)  # at each look
    daemon.run_here(box, quota.exists)
    kept = json.loads(quota.read_text().partition(" ")[2])
    assert (kept["bytes"], kept["total"], kept["life"].rpartition("-")[2]) == (0, 900_000, "3")

    (folder / "ifindex").write_text("4\n")  # the modem came back: its counters began anew
    box.hear().clear()
    monkeypatch.setattr(meter, "_SAVE_EVERY_S", 1e12)  # never but at the end
    daemon.run_here(box, lambda: "READY=1" in box.hear())
    assert json.loads(quota.read_text().partition(" ")[2])["bytes"] == 900_000
    found = told(box)
    assert found["link/quota-used"] == {0, 0.9}
    assert found["link/quota-allows"] == {"all", "alarms"}
    assert "warning" in found["alarm/quota-low"]
    assert "alarm" in found["alarm/quota-spent"]
