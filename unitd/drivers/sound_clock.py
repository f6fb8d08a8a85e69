"""Where a camera's sound lies among its pictures. Pure.

By the sender reports of both streams (RFC 3550, 6.4.1) when they are there and sane, else by arrival; from then on it
runs by the sound's own clock, and is set again only when it is off by more than can be seen between lips and voice.
"""

from unitd.drivers.rtcp import SenderReport
from unitd.drivers.rtp_clock import RtpClock

_WRAP = 1 << 32
OFF_BY_REPORTS_90KHZ = 9000
"""100 ms: ITU-R BT.1359 calls 45 ms early and 125 ms late just noticeable."""

OFF_BY_ARRIVAL_90KHZ = 27_000
"""Arrival trembles more: a network's pauses shall not tear the sound."""

INSANE_90KHZ = 3 * 90_000
"""Reports that put sound this far from where it arrived are not believed: some cameras report nonsense."""


class SoundClock:
    def __init__(self, clock_hz: int, pictures: RtpClock) -> None:
        self._clock_hz, self._pictures = clock_hz, pictures
        self.sound_report: SenderReport | None = None
        self.picture_report: SenderReport | None = None
        self._expected: tuple[int, int] | None = None
        self.set_again = 0

    def stamp(self, timestamp: int, arrival_ns: int) -> int | None:
        """The time of a frame of sound on the pictures' clock; None before there is a picture."""
        pictures = self._pictures
        if pictures.last_timestamp is None:
            return None
        arrived = pictures.last_pts + (arrival_ns - pictures.last_arrival_ns) * 9 // 100_000
        wanted, limit = arrived, OFF_BY_ARRIVAL_90KHZ
        reported = self._by_reports(timestamp)
        if reported is not None and abs(reported - arrived) < INSANE_90KHZ:
            wanted, limit = reported, OFF_BY_REPORTS_90KHZ
        if self._expected is not None:
            before, pts = self._expected
            pts += _signed(timestamp - before) * 90_000 // self._clock_hz
            if abs(pts - wanted) <= limit:
                if abs(timestamp - before) % _WRAP >= self._clock_hz * 10:
                    self._expected = (timestamp, pts)  # so that no division's rest adds up for ever
                return pts
            self.set_again += 1
        self._expected = (timestamp, wanted)
        return wanted

    def _by_reports(self, timestamp: int) -> int | None:
        sound, picture, pictures = self.sound_report, self.picture_report, self._pictures
        if sound is None or picture is None or pictures.last_timestamp is None:
            return None
        ntp_s = sound.ntp_s + _signed(timestamp - sound.timestamp) / self._clock_hz
        shown = picture.timestamp + round((ntp_s - picture.ntp_s) * 90_000)
        return pictures.last_pts + _signed(shown - pictures.last_timestamp)


def _signed(difference: int) -> int:
    return (difference + _WRAP // 2) % _WRAP - _WRAP // 2
