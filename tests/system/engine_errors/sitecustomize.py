"""Breaks the media engine of a real `unitd call` on order. Python loads it at its start when PYTHONPATH names this
directory.

SIGUSR1: every webrtcbin of the process stops, and says on its bus that it has failed, as one of its parts would.
"""

import gc
import signal
import threading


def _break_all() -> None:
    from unitd.call.rtc.gst import GLib, Gst
    from unitd.call.rtc.session import PeerSession

    for each in gc.get_objects():
        if type(each) is PeerSession and each._pipeline is not None:
            rtc = each._pipeline.get_by_name("rtc")
            error = GLib.Error.new_literal(Gst.StreamError.quark(), "broken on order", Gst.StreamError.FAILED)
            rtc.post_message(Gst.Message.new_error(rtc, error, ""))
            rtc.set_state(Gst.State.NULL)


def _ordered(*_: object) -> None:
    # Not on the main thread: stopping waits for streaming threads.
    threading.Thread(target=_break_all, daemon=True).start()


signal.signal(signal.SIGUSR1, _ordered)
