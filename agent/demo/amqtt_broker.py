"""amqtt as a process of its own, for machines without mosquitto: ``python -m agent.demo.amqtt_broker PORT KEYS``.

It speaks MQTT 3.1.1. It checks certificates that are shown and lets in who shows none, so it is a broker for a demo
on the loopback and no more.
"""

import asyncio
import logging
import sys
from pathlib import Path

from amqtt.broker import Broker


async def main(port: int, keys: Path) -> None:
    """Serve until the process is ended."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    broker = Broker(
        {
            "listeners": {
                "default": {
                    "type": "tcp",
                    "bind": f"127.0.0.1:{port}",
                    "ssl": True,
                    "cafile": str(keys / "ca.crt"),
                    "certfile": str(keys / "server.crt"),
                    "keyfile": str(keys / "server.key"),
                }
            },
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
