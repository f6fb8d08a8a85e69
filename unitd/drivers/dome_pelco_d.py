"""Pelco-D frames: `FF address command1 command2 data1 data2 checksum`, the checksum being the sum of the five middle
bytes modulo 256 (Pelco "D" protocol manual TF-0002). One way only: nothing here waits for an answer. Pure.
"""

from unitd.model.dome import AtPreset, GoPreset, Move, Order, Stop, Stopped

SYNC = 0xFF
RIGHT, LEFT, UP, DOWN, TELE, WIDE = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
GO_PRESET = 0x07
TOP_SPEED = 0x3F
"""40h is "turbo", which many domes do not have."""


def frame(address: int, command1: int, command2: int, data1: int, data2: int) -> bytes:
    """The seven bytes on the line; every argument is 0..255."""
    body = bytes((address, command1, command2, data1, data2))
    return bytes((SYNC, *body, sum(body) % 256))


def stop(address: int) -> bytes:
    return frame(address, 0, 0, 0, 0)


def move(address: int, pan: float, tilt: float, zoom: float) -> bytes:
    """Speeds in -1..1, right, up and tele positive, clamped; zoom has one speed. All zero is a stop."""
    pan_step, tilt_step = _step(pan), _step(tilt)
    bits = (RIGHT if pan > 0 else LEFT) if pan_step else 0
    bits |= (UP if tilt > 0 else DOWN) if tilt_step else 0
    bits |= (TELE if zoom > 0 else WIDE) if _step(zoom) else 0
    return frame(address, 0, bits, pan_step, tilt_step)


def go_preset(address: int, preset: int) -> bytes:
    """Call preset 1..255."""
    return frame(address, 0, GO_PRESET, 0, preset)


def encode(address: int, order: Order) -> bytes:
    """The frame for `order`; empty for what is only told."""
    match order:
        case Move(pan, tilt, zoom):
            return move(address, pan, tilt, zoom)
        case Stop():
            return stop(address)
        case GoPreset(preset):
            return go_preset(address, preset)
        case Stopped() | AtPreset():
            return b""


def _step(speed: float) -> int:
    """1..3Fh for any speed but zero, so that a slow move is still one."""
    size = min(abs(speed), 1.0)
    return max(1, round(size * TOP_SPEED)) if size > 0.005 else 0
