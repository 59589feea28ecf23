"""What the sensor ``link`` gives: the month's quota and the days of the SIM, as far as [center] names them."""

from agent.config.model import Center
from drivers.driver import Channel

LINK = "link"
"""Name of the sensor."""

EVERY_S = 60.0
"""Time between two looks, in s."""

SIM_DAYS = Channel(name="sim-days", unit="d", doc="days until the SIM's last day; below 0 it is over")
QUOTA_USED = Channel(name="quota-used", unit="/", low=0, doc="share of the month's quota that is used", change=0.01)
QUOTA_ALLOWS = Channel(name="quota-allows", unit="1", kind="text", doc="what may leave now: all, alarms, nothing")
QUOTA_PACE = Channel(
    name="quota-pace", unit="/", low=0, doc="share of the quota that the month will have used at this pace"
)


def channels_of_link(center: Center) -> dict[str, Channel]:
    """Return the channels that this configuration calls for."""
    found = [SIM_DAYS] if center.sim_expires else []
    if center.quota_bytes is not None:
        found += [QUOTA_USED, QUOTA_ALLOWS, QUOTA_PACE]
    return {channel.name: channel for channel in found}
