"""`unitd schema`: JSON Schemas and the AsyncAPI file of the control room's API, from the message structs.

Also the tables of fields in docs/control-room-api.md, between their markers. The structs are the source; what is
written here is never edited by hand.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitd.errors import StoreError
from unitd.messages import control_room as wire
from unitd.tools.api import CHANNELS, DUPLEX, Channel
from unitd.tools.field_tables import with_tables

DOCS = Path(__file__).resolve().parents[2] / "docs"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI = "3.0.0"


def write_schemas(directory: Path) -> int:
    """Write `asyncapi.json` and `schemas/*.json` into `directory`; returns 0. Raises StoreError."""
    for name, text in api_files():
        _write(directory / name, text)
    return 0


def write_docs(docs: Path = DOCS) -> int:
    """Bring docs/api and the tables of docs/control-room-api.md up to date; returns 0. Raises StoreError."""
    for path, text in _wanted(docs):
        if _read(path) != text:
            _write(path, text)
            print(f"written: {path.name}")
    for path in _strangers(docs):
        path.unlink()
        print(f"removed: {path.name}")
    return 0


def check_docs(docs: Path = DOCS) -> int:
    """0 when docs/ is what the structs say, else 1 and the names on stderr. Raises StoreError."""
    stale = [path for path, text in _wanted(docs) if _read(path) != text] + _strangers(docs)
    for path in stale:
        print(f"unitd: {path.relative_to(docs.parent)} is stale; run: make generate", file=sys.stderr)
    return 1 if stale else 0


def api_files() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every generated file."""
    payloads = {channel.name: channel.payload for channel in CHANNELS} | DUPLEX
    for name, payload in payloads.items():
        yield f"schemas/{name}.json", _text(json_schema(name, payload))
    yield "asyncapi.json", _text(asyncapi())


def json_schema(name: str, payload: Any) -> dict[str, Any]:
    """The schema of one payload, complete in itself."""
    schema: dict[str, Any] = _tidy(msgspec.json.schema(payload))
    head = {"$schema": DIALECT, "$id": f"urn:{wire.PREFIX.replace('/', ':')}:{name}"}
    return head | schema


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document, seen from the unit: it sends `up/...` and receives `down/...`."""
    payloads, components = msgspec.json.schema_components(
        [channel.payload for channel in CHANNELS], ref_template="#/components/schemas/{name}"
    )
    messages = {
        channel.name: {"name": channel.name, "summary": channel.words, "payload": _tidy(payload)}
        for channel, payload in zip(CHANNELS, payloads, strict=True)
    }
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Help point to control room",
            "version": wire.PREFIX.rpartition("/")[2],
            "description": "Written from the unit's side; docs/control-room-api.md says what it all means.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "control-room": {
                "host": "broker.control-room.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "description": "One of any number; the unit is connected to all at once. MQTT 3.1.1 is spoken too.",
                "security": [{"$ref": "#/components/securitySchemes/unit-certificate"}],
                "bindings": {
                    "mqtt": {
                        "cleanSession": True,
                        "lastWill": {
                            "topic": f"{wire.PREFIX}/{{unit}}/up/state",
                            "qos": 1,
                            "retain": True,
                            "message": "a state with online false",
                        },
                        "bindingVersion": "0.2.0",
                    }
                },
            }
        },
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {_operation_name(channel): _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": messages,
            "schemas": _tidy(components),
            "parameters": {"unit": {"description": "The unit's own name, which its certificate carries."}},
            "securitySchemes": {
                "unit-certificate": {"type": "X509", "description": "Mutual TLS 1.2 or later, one certificate a unit."}
            },
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "address": f"{wire.PREFIX}/{{unit}}/{channel.topic}",
        "description": channel.words,
        "parameters": {"unit": {"$ref": "#/components/parameters/unit"}},
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
    }


def _operation_name(channel: Channel) -> str:
    return f"{'send' if channel.unit_sends else 'receive'}-{channel.name}"


def _operation(channel: Channel) -> dict[str, Any]:
    mqtt: dict[str, Any] = {"qos": channel.qos, "bindingVersion": "0.2.0"}
    if channel.unit_sends:
        mqtt["retain"] = channel.retain
    return {
        "action": "send" if channel.unit_sends else "receive",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{channel.name}"}],
        "bindings": {"mqtt": mqtt},
    }


def _tidy(schema: Any) -> Any:
    """Docstrings without the indentation of their source, which Python 3.13 strips and older ones keep."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _tidy(value)
            for key, value in schema.items()
        }
    return [_tidy(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _wanted(docs: Path) -> Iterator[tuple[Path, str]]:
    for name, text in api_files():
        yield docs / "api" / name, text
    guide = docs / "control-room-api.md"
    if (now := _read(guide)) is not None:
        yield guide, with_tables(now)


def _strangers(docs: Path) -> list[Path]:
    """Files in docs/api that nothing generates any more."""
    kept = {docs / "api" / name for name, _ in api_files()}
    return [path for path in sorted((docs / "api").rglob("*.json")) if path not in kept]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error})") from None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}); name a directory that you may write") from None
