"""Publishes at every QoS and subscribes to it, with paho-mqtt: python3 paho_client.py TRANSPORT HOST PORT [CA]

Prints a line for each acknowledgement and each message, and ends with 0 when all have come.
"""

import sys
import paho.mqtt.client as mqtt

transport, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
authority = sys.argv[4] if len(sys.argv) > 4 else None
MESSAGES = 30
received = []
acknowledged = []


def finish(client):
    if len(received) == MESSAGES and len(acknowledged) == MESSAGES:
        print("received " + " ".join(received), flush=True)
        client.disconnect()


def on_connect(client, _data, _flags, reason, _properties):
    print(f"connected {reason}", flush=True)
    client.subscribe("fleet/#", qos=2)


def on_subscribe(client, _data, _mid, _reasons, _properties):
    for number in range(MESSAGES):
        client.publish(f"fleet/paho/{number % 3}", f"{number}", qos=number % 3)


def on_publish(client, _data, mid, _reason, _properties):
    acknowledged.append(mid)
    finish(client)


def on_message(client, _data, message):
    received.append(f"{message.payload.decode()}/{message.qos}")
    finish(client)


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=f"paho-{transport}",
    transport="websockets" if transport in ("ws", "wss") else "tcp",
)
if authority:
    client.tls_set(ca_certs=authority)
client.on_connect, client.on_subscribe = on_connect, on_subscribe
client.on_publish, client.on_message = on_publish, on_message
client.connect(host, port, keepalive=30)
client.loop_forever()
