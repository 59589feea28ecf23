"""``gardu run``: the daemon."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from agent.cli.config_files import STANDARD, Unreadable, main_file, read_files

log = logging.getLogger(__name__)

UNREADABLE = 2
"""Exit code: a file of the configuration or a key cannot be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  gardu run --config /etc/gardu/agent.toml"
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"main file (default {STANDARD})")


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it: 0. Wrong configuration: 1. Unreadable files or keys: 2."""
    from agent import app, logs  # noqa: PLC0415 - the daemon's modules cost what other commands need not pay
    from agent.config.load import parse  # noqa: PLC0415
    from agent.errors import AgentError  # noqa: PLC0415
    from agent.sdnotify import Notifier  # noqa: PLC0415
    from drivers.io.arena import share_one_heap  # noqa: PLC0415
    from drivers.io.catalog import registry  # noqa: PLC0415

    share_one_heap()
    try:
        files = read_files(main_file(args.config))
    except Unreadable as error:
        print(f"gardu: {error}", file=sys.stderr)
        return UNREADABLE
    parsed = parse(files, registry())
    logs.set_up("info" if parsed.config is None else parsed.config.log_level)
    for problem in parsed.problems:
        (log.error if problem.severity == "error" else log.warning)("%s", problem)
    if parsed.config is None:
        print("gardu: the configuration cannot be used; `gardu check` says more", file=sys.stderr)
        return 1
    try:
        asyncio.run(app.run(parsed, Notifier()))
    except AgentError as error:
        log.error("%s", error)  # noqa: TRY400 - named trouble, not a bug
        return UNREADABLE
    return 0
