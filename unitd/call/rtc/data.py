"""A session's data channels: real-time text both ways (`t140`, RFC 8865) and stills on their way out (`stills`).

Both are created by the unit before its offer, ride in the one bundle (SCTP over the session's DTLS) and cost nothing
until something is sent. A far end that answers without them has none: the signalling link carries the text then.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from unitd.call.rtc.gst import GLib, Gst

TEXT, STILLS = "t140", "stills"
TEXT_OPTIONS = "options, ordered=(boolean)true, protocol=(string)t140"
STILL_LIFETIME_MS = 3000
STILL_OPTIONS = f"options, ordered=(boolean)true, protocol=(string)still, max-packet-lifetime=(int){STILL_LIFETIME_MS}"
"""One lost packet of a still is sent again, but what an outage has made old is given up for the next one."""
MAX_TEXT_CHARS = 1000
MAX_TEXTS_WAITING = 32
"""Of one far end, on their way to the loop: 32 000 letters. More is lost and counted."""
MAX_WAITING_BYTES = 256 * 1024
MAX_FOREIGN_CHANNELS = 4
"""That a far end may open by itself (they are heard by nobody). Each costs elements, so more than these end it."""

Connect = Callable[[Any, str, Callable[..., Any]], None]


class DataChannels:
    """`create` and `detach` belong to the thread that builds the session, all else to the loop; nothing blocks.

    `post(method, *values)` runs `method` on the loop, from any thread. `on_text(text)` is called there with what the
    far end typed (at most MAX_TEXT_CHARS at a time, in order), `on_flood(reason)` when it does what no console does.
    """

    def __init__(
        self, post: Callable[..., None], on_text: Callable[[str], None], on_flood: Callable[[str], None]
    ) -> None:
        self.text_open = False
        self.stills_open = False
        self.dropped_texts = 0
        self.dropped_sends = 0
        self._post = post
        self._on_text, self._on_flood = on_text, on_flood
        self._channels: dict[str, Any] = {}
        self._texts: deque[str] = deque()
        self._scheduled = False
        self._foreign = 0
        self._lock = threading.Lock()

    def create(self, rtc: Any, connect: Connect) -> None:
        """Create both before the offer; `rtc` must be READY at least, else webrtcbin counts as closed. A far end that
        leaves them out costs nothing. `connect(source, signal, handler)` is undone at the session's end."""
        for label, options in ((TEXT, TEXT_OPTIONS), (STILLS, STILL_OPTIONS)):
            channel = rtc.emit("create-data-channel", label, Gst.Structure.new_from_string(options))
            if channel is None:  # no SCTP elements on this machine: the session does without
                continue
            self._channels[label] = channel
            connect(channel, "on-open", lambda _c, of=label: self._post(self._opened, of, True))
            connect(channel, "on-close", lambda _c, of=label: self._post(self._opened, of, False))
            connect(channel, "on-error", lambda _c, _e, of=label: self._post(self._opened, of, False))
        if TEXT in self._channels:
            connect(self._channels[TEXT], "on-message-string", lambda _c, text: self._received(text))
        connect(rtc, "on-data-channel", lambda _rtc, _channel: self._opened_by_far_end())

    def detach(self) -> None:
        """Let go of the channels: nothing of the pipeline is held any more."""
        self.text_open = self.stills_open = False
        self._channels.clear()

    # --- out (loop) -------------------------------------------------------------------------------------------------

    def send_text(self, text: str) -> bool:
        """Send letters; False (and nothing is sent) when the channel is not open or too much waits on it."""
        return self._send(TEXT, self.text_open, "send-string", text)

    def send_still(self, data: bytes) -> bool:
        """Send one picture as one message of at most 64 KiB; False when the channel is not open or too much waits."""
        return self._send(STILLS, self.stills_open, "send-data", GLib.Bytes.new(data))

    def waiting_still_bytes(self) -> int:
        """What of the stills was not handed to the network yet."""
        channel = self._channels.get(STILLS)
        return int(channel.get_property("buffered-amount")) if channel is not None else 0

    def _send(self, label: str, is_open: bool, signal: str, value: Any) -> bool:
        channel = self._channels.get(label)
        if channel is None or not is_open:
            return False
        if channel.get_property("buffered-amount") > MAX_WAITING_BYTES:
            self.dropped_sends += 1
            return False
        channel.emit(signal, value)
        return True

    # --- in ---------------------------------------------------------------------------------------------------------

    def lose(self) -> None:
        """The association is gone, and with it every channel, for the rest of the session."""
        self.text_open = self.stills_open = False

    def _opened(self, label: str, is_open: bool) -> None:
        if label == TEXT:
            self.text_open = is_open
        else:
            self.stills_open = is_open

    def _received(self, text: str | None) -> None:
        """On a GStreamer thread."""
        if not text:
            return
        with self._lock:
            if len(self._texts) >= MAX_TEXTS_WAITING:
                self.dropped_texts += 1
                return
            self._texts.append(text[:MAX_TEXT_CHARS])
            scheduled, self._scheduled = self._scheduled, True
        if not scheduled:
            self._post(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            texts, self._scheduled = list(self._texts), False
            self._texts.clear()
        for text in texts:
            self._on_text(text)

    def _opened_by_far_end(self) -> None:
        """On a GStreamer thread."""
        self._foreign += 1
        if self._foreign == MAX_FOREIGN_CHANNELS + 1:
            self._post(self._on_flood, "the far end opens data channels without end")
