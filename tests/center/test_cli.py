import datetime as dt
import json
import stat
from pathlib import Path

import pytest

from agent.wire.keys import public_to_pem
from center.cli.main import COMMANDS, main
from center.keys import center_name, client_tls, load_public, load_signer
from tests.center.fake_node import CITY, FakeNode
from tests.center.harness import Center


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    assert main(["keys", "init", str(folder), "--city", CITY]) == 0
    return folder


def test_keys_are_private_complete_and_never_overwritten(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"ca.key", "ca.crt", "center.key", "center.pem", "server.key", "server.crt", "client.key", "client.crt"}
    assert {path.name for path in keys.iterdir()} == names
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys.iterdir())
    assert load_public(keys / "center.pem") == load_signer(keys).public
    client_tls(keys)
    assert main(["keys", "init", str(keys), "--city", CITY]) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_a_made_node_has_all_it_needs_and_is_known(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, folder = f"sqlite:{tmp_path / 'c.db'}", tmp_path / "node"
    words = ["nodes", "add", "dago-01", "--store", store, "--city", CITY]
    assert main([*words, "--new", str(folder), "--keys", str(keys)]) == 0
    assert {path.name for path in folder.iterdir()} == {"signing.pem", "tls.key", "tls.crt", "ca.crt", "center.pem"}
    assert main(["nodes", "list", "--store", store, "--json"]) == 0
    (node,) = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (node["box"], len(node["kids"]), node["batches"]) == ([CITY, "dago-01"], 1, 0)
    assert main([*words, "--new", str(tmp_path / "other")]) == 1


def test_a_key_is_added_once_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node, pem = FakeNode(), tmp_path / "node.pem"
    pem.write_text(public_to_pem(node.signer.public))
    words = ["nodes", "add", node.name, "--store", f"sqlite:{tmp_path / 'c.db'}", "--city", CITY, "--key", str(pem)]
    assert [main(words), main(words)] == [0, 0]
    main(["nodes", "list", "--store", f"sqlite:{tmp_path / 'c.db'}"])
    out = capsys.readouterr().out
    assert "has this key already" in out
    assert node.signer.kid.hex() in out


def test_what_is_no_key_or_no_store_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("nonsense")
    words = ["nodes", "add", "a", "--store", f"sqlite:{tmp_path / 'c.db'}", "--city", CITY, "--key"]
    assert main([*words, str(pem)]) == 1
    assert main([*words, str(tmp_path / "none.pem")]) == 1
    assert main(["audit", "--store", f"sqlite:{tmp_path / 'none.db'}"]) == 1
    assert main(["run", "--store", "sqlite:x", "--broker", "http://x", "--city", CITY, "--keys", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "does not exist" in err
    assert "http://x" in err
    with pytest.raises(SystemExit, match="2"):
        main(["audit", "--store", "mysql:x"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "example" in capsys.readouterr().out
    assert main([]) == 2


def test_readings_and_audit_speak_to_people_and_to_programs(
    center: Center, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    center.take(node.up(node.start()), node.up(node.readings(16)), node.up(b"x"))
    center.project()
    store = f"sqlite:{center.path}"
    assert main(["readings", "--store", store, "--last", "3", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert {row["utc_source"] for row in rows} == {"device"}
    assert main(["readings", "--store", store, "--sensor", "s1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["readings", "--store", store, "--rebuild"]) == 0
    assert "readings 16" in capsys.readouterr().out
    assert main(["audit", "--store", store, "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)["totals"]
    assert (totals["taken"], totals["lost"], totals["twice"], totals["unverified"]) == (16, 0, 0, 0)
    made = node.readings(4)
    node.readings(4)
    center.take(node.up(node.made[made.header.run, made.header.stream][-1]))
    center.project()
    center.values("DELETE FROM readings WHERE id = 1")
    assert main(["audit", "--store", store]) == 1
    out = capsys.readouterr().out
    assert "missing 4" in out
    assert "UNEQUAL" in out


def test_alarms_are_shown_with_the_nodes_and_in_the_audit(
    center: Center, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    node.readings(4)
    start = node.start(previous=node.restart(), volatile=True)
    center.take(*(node.up(made) for chain in node.made.values() for made in chain))
    center.project()
    store = f"sqlite:{center.path}"
    for words in (["nodes", "list"], ["audit"]):
        main([*words, "--store", store])
        out = capsys.readouterr().out
        assert f"ALARM volatile {start.header.run.hex()}: the card of the node refuses writes" in out
        assert "2026-01-01 00:00:00Z" in out
    assert "in memory only" in out
    main(["nodes", "list", "--store", store, "--json"])
    (info,) = json.loads(capsys.readouterr().out)
    assert [(alarm["what"], alarm["over"]) for alarm in info["alarms"]] == [("volatile", False)]
    main(["audit", "--store", store, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [alarm["what"] for alarm in found["nodes"][0]["alarms"]] == ["volatile"]
    assert [line["volatile"] for line in found["nodes"][0]["lines"] if line["stream"] == "telemetry"].count(True) == 1


def test_the_centers_name_can_be_no_nodes_name() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nodes", "add", center_name(CITY), "--store", "sqlite:x", "--city", CITY, "--key", "x"])
    assert dt.UTC is not None
