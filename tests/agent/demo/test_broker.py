import asyncio
import shutil
from pathlib import Path

import pytest

from agent.demo import broker
from agent.demo.errors import Impossible


def test_without_any_broker_people_are_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Impossible, match=r"apt install mosquitto.*make install"):
        asyncio.run(broker.choose())


def test_mosquitto_is_found_off_the_path_of_ordinary_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'mosquitto version 2.0.99'\nexit 3\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(broker, "_SBIN", (str(tmp_path),))
    kind = asyncio.run(broker.choose())
    assert (kind.name, kind.protocol, kind.program) == ("mosquitto 2.0.99", "5", str(program))


def test_the_broker_lets_in_only_who_shows_a_certificate() -> None:
    text = broker.configuration(18883, Path("/t/two words"))
    assert "listener 18883 127.0.0.1\n" in text
    assert "require_certificate true\n" in text
    assert "cafile /t/two words/ca.crt\n" in text
    assert "allow_anonymous" not in text
