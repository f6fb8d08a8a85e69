"""What core is compared with: the shortest gpiozero and paho script that sends a message when a button is pressed.

    python3 -m tests.bench.bare_script PIN PORT UNIT CA CERT KEY PAYLOAD_BYTES

The pin factory, broker, certificates' authority, MQTT version and QoS are core's. Prints `up` when it is connected,
then for each press one line: the monotonic ns at which gpiozero told of the press, and of the broker's acknowledgement.
It judges no glitches, keeps nothing on disk and lights no lamp. It runs until it is killed.
"""

import ssl
import sys
import time
from queue import SimpleQueue

from gpiozero import Button
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


def main(pin: int, port: int, unit: str, ca: str, cert: str, key: str, payload_bytes: int) -> None:
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=unit, protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(context)
    happened: SimpleQueue[tuple[str, int]] = SimpleQueue()
    payload = b"x" * payload_bytes

    def pressed() -> None:
        happened.put(("pressed", time.monotonic_ns()))
        client.publish(f"hp/1/{unit}/up/bare", payload, qos=1)

    client.on_connect = lambda *_: happened.put(("up", 0))
    client.on_publish = lambda *_: happened.put(("acked", time.monotonic_ns()))
    button = Button(pin)
    button.when_pressed = pressed
    client.connect("127.0.0.1", port)
    client.loop_start()
    pressed_ns = 0
    while True:
        what, at_ns = happened.get()
        if what == "up":
            print("up", flush=True)
        elif what == "pressed":
            pressed_ns = at_ns
        else:
            print(pressed_ns, at_ns, flush=True)


if __name__ == "__main__":
    _pin, _port, _unit, _ca, _cert, _key, _bytes = sys.argv[1:]
    main(int(_pin), int(_port), _unit, _ca, _cert, _key, int(_bytes))
