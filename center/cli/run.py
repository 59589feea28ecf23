"""``gardu-center run``: the center as a process."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from center.cli.arguments import duration_s, name, size_bytes, store_argument

_QUIET_S = 0.2
_SWITCH_S = 0.001  # the event loop gets its turn while the store's thread verifies


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "example:\n  gardu-center run --store sqlite:/var/lib/gardu/center.db --broker mqtts://localhost:8883"
        " --city bandung --keys /var/lib/gardu/center-keys"
    )
    store_argument(parser)
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtts://HOST[:PORT], or mqtt:// on one machine")
    parser.add_argument("--city", required=True, type=name, help="the tenant")
    parser.add_argument("--keys", required=True, type=Path, metavar="DIR", help="made by `gardu-center keys init`")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5", help="of MQTT (default: 5)")
    parser.add_argument(
        "--window", type=size_bytes, default=256 * 1024, help="bytes a node may have in flight (256KiB)"
    )
    parser.add_argument("--rate", type=size_bytes, default=16 * 1024**2, help="bytes a second from a node (16MiB)")
    parser.add_argument("--ack-every", type=duration_s, default=1.0, help="longest wait for an ack (1s)")
    parser.add_argument("--ack-batches", type=int, default=20, help="batches to an ack (20)")
    parser.add_argument("--log", choices=("debug", "info", "warning", "error"), default="info", help="log level")


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    from center.acks import AckSettings  # noqa: PLC0415
    from center.app import Settings, serve  # noqa: PLC0415
    from center.keys import client_tls, load_signer  # noqa: PLC0415
    from center.mqtt import Broker, parse_url  # noqa: PLC0415
    from center.receiver import Receiver  # noqa: PLC0415
    from center.sqlite_store import SqliteStore, opened  # noqa: PLC0415

    logging.basicConfig(level=args.log.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mqtt").setLevel(logging.ERROR)
    try:
        host, port, secure = parse_url(args.broker)
    except ValueError as error:
        print(f"gardu-center: {error}", file=sys.stderr)
        return 2
    signer = load_signer(args.keys)
    tls = client_tls(args.keys) if secure else None
    acks = AckSettings(
        every_s=args.ack_every,
        quiet_s=min(_QUIET_S, args.ack_every),
        batches=args.ack_batches,
        window_bytes=args.window,
        rate_bytes_per_s=args.rate,
    )
    with opened(args.store, create=True):
        pass  # a store that cannot be opened ends the command before anything starts

    def make_receiver() -> Receiver:
        return Receiver(SqliteStore(args.store), city=args.city, signer=signer, settings=acks)

    sys.setswitchinterval(_SWITCH_S)
    broker = Broker(host=host, port=port, protocol=args.protocol, tls=tls)
    asyncio.run(serve(Settings(city=args.city, broker=broker, make_receiver=make_receiver)))
    return 0
