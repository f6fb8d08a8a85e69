"""WebRTC's audio processing (echo canceller, noise suppression, high pass, gain) out of the `livekit` wheel.

Its native library is called directly: the wheel's Python side costs 7 MB and four threads that a canceller has no use
of. A request is a small protocol-buffer message, written here by hand (`livekit-ffi`'s `ffi.proto`, `audio_frame.proto`
of the pinned version; the contract test runs the wheel's own client beside it).
"""

import ctypes
import importlib.util
from pathlib import Path

from unitd.drivers.code_pages import let_go
from unitd.errors import DeviceError

LIBRARY = "liblivekit_ffi.so"
RATE_HZ = 48_000
BLOCK_BYTES = 960
"""10 ms: the module takes nothing else."""

_NEW, _NEAR, _FAR, _DELAY = 50, 51, 52, 53
"""Fields of FfiRequest: new_apm, apm_process_stream, apm_process_reverse_stream, apm_set_stream_delay. The answer's
field (FfiResponse) has the number below."""
_HANDLE = 1


class WebRtcModule:
    """One canceller's state. Not thread-safe: one thread at a time. A call takes 0.1 ms and lets other threads run.

    Raises DeviceError when the library is not there or refuses.
    """

    def __init__(self, *, echo: bool = True, noise: bool = True, high_pass: bool = True, gain: bool = False) -> None:
        self._library = _library()
        self._block = ctypes.create_string_buffer(BLOCK_BYTES)
        self._answer, self._length = ctypes.c_void_p(), ctypes.c_size_t()
        self._into = (ctypes.byref(self._answer), ctypes.byref(self._length))
        flags = ((1, echo), (2, gain), (3, high_pass), (4, noise))
        made = _fields(self._ask(_NEW, b"".join(_whole(number, int(on)) for number, on in flags)))
        owned = _fields(_bytes_of(made, 1))
        self._apm = _whole(1, _number_of(_fields(_bytes_of(owned, _HANDLE)), 1))
        rest = _whole(2, ctypes.addressof(self._block)) + _whole(3, BLOCK_BYTES) + _whole(4, RATE_HZ) + _whole(5, 1)
        self._far_request, self._near_request = _bytes(_FAR, self._apm + rest), _bytes(_NEAR, self._apm + rest)
        self._handle = _number_of(_fields(self._apm), 1)
        let_go(LIBRARY)

    def far(self, pcm: bytes) -> None:
        """The 10 ms that the loudspeaker plays."""
        self._block.raw = pcm
        self._checked(_FAR, self._far_request)

    def process(self, pcm: bytes) -> bytes:
        """The 10 ms of the microphone that belong to the last `far`, without what the loudspeaker put in."""
        self._block.raw = pcm
        self._checked(_NEAR, self._near_request)
        return self._block.raw

    def delay(self, delay_ms: int) -> None:
        """How long after `far` the same sound comes into `process`, as far as is known."""
        self._checked(_DELAY, _bytes(_DELAY, self._apm + _whole(2, delay_ms)))

    def close(self) -> None:
        """Free the native state; nothing may be called afterwards."""
        self._library.livekit_ffi_drop_handle(self._handle)

    def _checked(self, what: int, message: bytes) -> None:
        answer = self._answered(message)
        if answer == _FINE[what]:
            return
        error = _bytes_of(_fields(_bytes_of(_fields(answer), what - 1)), 1)
        if error:
            raise DeviceError(f"echo canceller: {error.decode(errors='replace')}")

    def _ask(self, what: int, body: bytes) -> bytes:
        return _bytes_of(_fields(self._answered(_bytes(what, body))), what - 1)

    def _answered(self, message: bytes) -> bytes:
        handle = self._library.livekit_ffi_request(message, len(message), *self._into)
        if not handle:
            raise DeviceError("echo canceller: the library refused a request")
        data = ctypes.string_at(self._answer, self._length.value)
        self._library.livekit_ffi_drop_handle(handle)
        return data


_loaded: list[ctypes.CDLL] = []


def _library() -> ctypes.CDLL:
    if _loaded:
        return _loaded[0]
    try:
        spec = importlib.util.find_spec("livekit")
    except (ImportError, ValueError) as error:
        raise DeviceError(f"echo canceller: {error}") from None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [Path(place) / "rtc" / "resources" / LIBRARY for place in places]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise DeviceError("echo canceller: the package livekit is not installed")
    try:
        library = ctypes.CDLL(str(found))
        library.livekit_ffi_request.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t),
        ]  # fmt: skip
        library.livekit_ffi_request.restype = ctypes.c_uint64
        library.livekit_ffi_drop_handle.argtypes = [ctypes.c_uint64]
        library.livekit_ffi_drop_handle.restype = ctypes.c_bool
    except (OSError, AttributeError) as error:
        raise DeviceError(f"echo canceller: {error}") from None
    _loaded.append(library)
    return library


# --- protocol buffers, as little as is needed -----------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _whole(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data: bytes) -> dict[int, int | bytes]:
    """The fields of a message by number; an unknown kind ends the reading."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        if key & 7 == 0:
            found[key >> 3], at = _read(data, at)
        elif key & 7 == 2:
            length, at = _read(data, at)
            found[key >> 3] = data[at : at + length]
            at += length
        else:
            break
    return found


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DeviceError("echo canceller: an answer is cut short")


def _bytes_of(fields: dict[int, int | bytes], number: int) -> bytes:
    value = fields.get(number, b"")
    return value if isinstance(value, bytes) else b""


def _number_of(fields: dict[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    return value if isinstance(value, int) else 0


_FINE = {what: _bytes(what - 1, b"") for what in (_NEAR, _FAR, _DELAY)}
"""The answer to nearly every request, which is not worth reading: no error."""
