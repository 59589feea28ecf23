"""Configuration of mosquitto: who may read and write what, by the name in the certificate.

A node may write its own ``up/#`` and ``state`` and read its own ``ack`` and ``order``, nothing else. One broker
serves one city, so the certificate's common name is the node.
"""

import getpass
from pathlib import Path

from center.errors import CenterError
from center.keys import CA, SERVER, SERVER_KEY, center_name

CONF, ACL = "mosquitto.conf", "acl"


def broker_config(folder: Path, *, port: int, city: str, keys: Path | None = None) -> Path:
    """Write mosquitto.conf and acl; return the path of the former. Raises CenterError.

    Args:
        folder: Where to write.
        port: To listen on.
        city: Tenant.
        keys: The center's key folder for mutual TLS; None for plain TCP on loopback, for one machine only.
    """
    lines = [
        "persistence false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "set_tcp_nodelay true",
        # a node has at most its window on the way; the center may lag behind many nodes
        "max_inflight_messages 100",
        "max_queued_messages 20000",
        # the largest batch is 256 KiB, a topic and a header more
        "max_packet_size 300000",
        f"user {getpass.getuser()}",
    ]
    if keys is None:
        lines += [f"listener {port} 127.0.0.1", "allow_anonymous true"]
    else:
        lines += [
            f"listener {port}",
            f"cafile {keys.absolute() / CA}",
            f"certfile {keys.absolute() / SERVER}",
            f"keyfile {keys.absolute() / SERVER_KEY}",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            f"acl_file {folder.absolute() / ACL}",
        ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONF).write_text("\n".join(lines) + "\n")
        if keys is not None:
            (folder / ACL).write_text(acl(city))
            (folder / ACL).chmod(0o600)
    except OSError as error:
        raise CenterError(f"{folder}: {error}") from error
    return folder / CONF


def acl(city: str) -> str:
    """Return the access list of a city's broker; %u is the certificate's common name."""
    own, all_of = f"gardu/v1/{city}/%u", f"gardu/v1/{city}/+"
    return (
        f"pattern write {own}/up/#\n"
        f"pattern write {own}/state\n"
        f"pattern read {own}/ack\n"
        f"pattern read {own}/order\n"
        f"user {center_name(city)}\n"
        f"topic read {all_of}/up/#\n"
        f"topic read {all_of}/state\n"
        f"topic write {all_of}/ack\n"
        f"topic write {all_of}/order\n"
    )
