"""The yardstick: what many write first. Reads serial lines, publishes each reading as JSON with QoS 1 over TLS.

Signs nothing, keeps nothing. Run as ``python yardstick.py HOST PORT KEYS LINE...``; KEYS "-" means no TLS.
"""

import json
import sys
import time

import paho.mqtt.client as mqtt
import serial
from paho.mqtt.enums import CallbackAPIVersion

host, port, keys, *lines = sys.argv[1:]
client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="yardstick")
if keys != "-":
    client.tls_set(f"{keys}/ca.crt", f"{keys}/tls.crt", f"{keys}/tls.key")
client.connect(host, int(port))
client.loop_start()
ports = [serial.Serial(line, 9600, timeout=0.05) for line in lines]
while True:
    for name, wire in zip(lines, ports, strict=True):
        frame = wire.read(10)
        if len(frame) == 10 and frame[:2] == b"\xaa\xc0" and sum(frame[2:8]) % 256 == frame[8]:
            pm2_5, pm10 = int.from_bytes(frame[2:4], "little") / 10, int.from_bytes(frame[4:6], "little") / 10
            for channel, value in (("pm2_5", pm2_5), ("pm10", pm10)):
                reading = {"sensor": name, "channel": channel, "value": value, "unit": "ug/m3", "time": time.time()}
                client.publish(f"city/{channel}", json.dumps(reading), qos=1)
