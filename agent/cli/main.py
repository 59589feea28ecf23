"""The command ``gardu``: finds the command's module and runs it; nothing else is imported before."""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "check": ("agent.cli.check", "check the configuration and say what is wrong and how to cure it"),
    "read": ("agent.cli.read", "take a sample of the sensors now"),
    "alarms": ("agent.cli.alarms", "show which alarms stand, since when and why"),
    "ports": ("agent.cli.ports", "show every serial port, who holds it and the line to write"),
    "run": ("agent.cli.run", "run the agent (systemd does this)"),
    "driver": ("agent.cli.driver", "list, show, decode, sniff, record; begin, test and add drivers of your own"),
    "probe": ("agent.cli.probe", "list the probes of this box, or run one now or on recorded answers"),
    "note": ("agent.cli.note", "put into the record what was done at the box"),
    "calibrate": ("agent.cli.calibrate", "set the height of a level sensor by the staff gauge"),
    "swap": ("agent.cli.swap", "say that a unit was replaced; name and history stay"),
    "clock": ("agent.cli.clock", "show what time is believed and why, or set it by hand"),
    "verify": ("agent.cli.verify", "prove batches or a whole spool offline"),
    "demo": ("agent.cli.demo", "show the whole of Gardu at work on this machine"),
    "version": ("agent.cli.version", "print the version and what it runs on"),
}
_EPILOG = "check = the file, ports = the sockets, read = the sensors.  `gardu COMMAND --help` shows an example."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="gardu", description="Guard post at the edge of a city.", epilog=_EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version")
    chosen = words[0] if words and words[0] in COMMANDS else None
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            importlib.import_module(module).configure(command)
    args = parser.parse_args(words)
    if args.version:
        args.command = "version"
    if args.command is None:
        parser.print_help()
        return 2
    try:
        code: int = importlib.import_module(COMMANDS[args.command][0]).run(args)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
