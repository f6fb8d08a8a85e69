"""The record that core keeps of itself: one unbroken chain, signed heads that only rise, and nothing told that is gone.

Written from docs/design/storage.md, and with nothing of the product.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

GENESIS = "0" * 64


class EvidenceJudge:
    """What the control rooms were told, to be compared with the disk at the end."""

    def __init__(self) -> None:
        self._told: dict[int, str] = {}
        self._released: set[str] = set()

    def told(self, name: str, incident_id: str | None, data: Mapping[str, Any]) -> Iterator[str]:
        """An event that came to a control room; what is wrong with it."""
        if name == "lock_released":
            self._released.add(str(incident_id))
        if name != "checkpoint":
            return
        body, n = str(data["body"]), int(data["checkpoint"])
        if base64.b64decode(data["signature"]) != hashlib.sha512(body.encode()).digest():
            yield f"checkpoint {n} is not signed"
        if self._told.setdefault(n, body) != body:
            yield f"two checkpoints have number {n}"

    def at_the_end(self, state: Mapping[str, bytes], locks: Mapping[str, bytes]) -> Iterator[str]:
        """`state` and `locks`: names and contents of the files in these directories."""
        hashes: dict[int, str] = {0: GENESIS}
        released: set[str] = set()
        for name in [
            *sorted(each for each in state if each[:11] == "core.chain." and each[11:].isdigit()),
            "core.chain",
        ]:
            for raw in state.get(name, b"").splitlines(keepends=True):
                line = json.loads(raw)
                n = len(hashes)
                if line["n"] != n or line["prev"] != hashes[n - 1]:
                    yield f"core's chain is broken at line {n}"
                hashes[n] = hashlib.sha256(raw).hexdigest()
                if line["kind"] == "lock_released":
                    released.add(line["incident_id"])
        before: dict[str, Any] = {"n": 0, "hash": GENESIS, "core": 0}
        signed: dict[int, str] = {}
        for raw in state.get("checkpoints.log", b"").splitlines(keepends=True):
            try:
                text = json.loads(raw)["body"]
            except ValueError:
                continue  # torn, and passed over
            body = json.loads(text)
            head = body["heads"]["core"]
            if body["n"] != before["n"] + 1 or body["prev"] != before["hash"]:
                yield f"checkpoint {body['n']} does not follow from {before['n']}"
            if head["n"] < before["core"] or hashes.get(head["n"]) != head["head"]:
                yield f"checkpoint {body['n']} signs a head that core's chain does not have"
            before = {"n": body["n"], "hash": hashlib.sha256(text.encode()).hexdigest(), "core": head["n"]}
            signed[body["n"]] = text
        for n, text in self._told.items():
            if signed.get(n) != text:
                yield f"checkpoint {n} was told, and is not on the disk"
        for incident_id in self._released:
            if incident_id not in released:
                yield f"a lock is said to be released, and is not on the record: {incident_id}"
            if f"{incident_id}.json" in locks:
                yield f"a lock is said to be released, and is still there: {incident_id}"
