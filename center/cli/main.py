"""The command ``gardu-center``: finds the command's module and runs it; nothing else is imported before."""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": ("center.cli.run", "receive, verify, store and acknowledge"),
    "keys": ("center.cli.keys", "make the keys of a center and its city's small authority"),
    "nodes": ("center.cli.nodes", "list the nodes, or add one"),
    "readings": ("center.cli.readings", "show readings"),
    "notes": ("center.cli.notes", "show what people did at the boxes"),
    "backup": ("center.cli.backup", "write a copy of the store while the center runs"),
    "audit": ("center.cli.audit", "prove that nothing is lost, doubled or unverified"),
}
_EPILOG = "keys = once, nodes = who may speak, run = the center.  `gardu-center COMMAND --help` shows an example."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="gardu-center", description="Gardu's command center.", epilog=_EPILOG)
    chosen = words[0] if words and words[0] in COMMANDS else None
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            importlib.import_module(module).configure(command)
    args = parser.parse_args(words)
    if args.command is None:
        parser.print_help()
        return 2
    from center.errors import CenterError  # noqa: PLC0415 - nothing heavy before the command is known

    try:
        code: int = importlib.import_module(COMMANDS[args.command][0]).run(args)
    except CenterError as error:
        print(f"gardu-center: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
