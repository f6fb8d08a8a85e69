"""The simulated pole's `unit.toml`, as an installer would write it for this pole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from hw_sim.pki import Credentials
from hw_sim.ports import LOOPBACK

SITE = {
    "name": "Market Square help point",
    "address": "Market Square, opposite the library, Sampleton",
    "latitude": 52.765,
    "longitude": -0.886,
    "approach": "From the High Street on foot; bollards keep vehicles out",
    "revision": 3,
}
BROKER_NAMES = ("hub", "hub-2", "hub-3")
PINS = {"button": 17, "button_nc": 27, "yellow": 22, "green": 23, "locator": 24, "sounder": 25}


@dataclass(frozen=True)
class Places:
    """Where things of this unit are."""

    state_dir: Path
    run_dir: Path
    evidence_dir: Path
    synchronized_file: Path


@dataclass(frozen=True)
class Wiring:
    """What the unit reaches, and how; None for what is not fitted."""

    credentials: Credentials
    broker_ports: tuple[int, ...] = ()
    duplex_port: int | None = None
    camera_urls: Mapping[str, str] | None = None
    panel_camera_urls: Mapping[str, str] | None = None
    dome_port: Path | None = None
    modem_port: Path | None = None
    sound: tuple[str, str] | None = None
    contact: str = "no"


def unit_config(unit_id: str, places: Places, wiring: Wiring, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as plain tables. `changes` are laid over it: tables merge, all else replaces. Pure."""
    files = {
        "ca_file": str(wiring.credentials.ca_file),
        "cert_file": str(wiring.credentials.cert_file),
        "key_file": str(wiring.credentials.key_file),
    }
    config: dict[str, Any] = {
        "schema": 1,
        "unit": {"id": unit_id},
        "site": dict(SITE),
        "paths": {
            "state_dir": str(places.state_dir),
            "run_dir": str(places.run_dir),
            "evidence_dir": str(places.evidence_dir),
        },
        "clock": {"synchronized_file": str(places.synchronized_file)},
        "button": {"pin": PINS["button"], "contact": wiring.contact},
        "lamps": {f"{name}_pin": PINS[name] for name in ("yellow", "green", "locator")},
        "sounder": {"pin": PINS["sounder"]},
    }
    if wiring.broker_ports:
        config["brokers"] = [
            {"name": name, "host": LOOPBACK, "port": port, "keepalive_s": 5, **files}
            for name, port in zip(BROKER_NAMES, wiring.broker_ports, strict=False)
        ]
    if wiring.duplex_port is not None:
        url = f"wss://{LOOPBACK}:{wiring.duplex_port}/duplex/{unit_id}"
        config["endpoints"] = [{"name": "hub", "url": url, **files}]
        config["upload"] = {"hosts": [LOOPBACK], **files}
    if wiring.camera_urls is not None:
        urls = wiring.camera_urls
        config["cameras"] = [{"name": "dome", "main_url": urls["main"], "sub_url": urls["sub"]}]
        config["motion"] = {"camera": "dome"}
    if wiring.camera_urls is not None and wiring.panel_camera_urls is not None:
        urls = wiring.panel_camera_urls
        config["cameras"].append({"name": "panel", "main_url": urls["main"], "sub_url": urls["sub"]})
    if wiring.contact == "no+nc":
        config["button"]["nc_pin"] = PINS["button_nc"]
    if wiring.dome_port is not None:
        config["dome"] = {"port": str(wiring.dome_port)}
    if wiring.modem_port is not None:
        config["modem"] = {"port": str(wiring.modem_port), "poll_s": 1.0, "answer_timeout_s": 1.0}
    if wiring.sound is not None:
        config["sound"] = {"input": wiring.sound[0], "output": wiring.sound[1]}
    _lay_over(config, changes)
    return config


def write_config(file: Path, config: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(tomli_w.dumps(config))


def _lay_over(config: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _lay_over(config[key], value)
        else:
            config[key] = value
