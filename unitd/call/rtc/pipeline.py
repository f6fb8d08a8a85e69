"""The media pipeline of one peer as GStreamer text, and what it says of itself in an offer."""

import re

from unitd.call.congestion.twcc import EXTENSION_ID, URI
from unitd.call.rtc import playout_delay

VOICE_RATE_HZ = 48_000
FRAME_NS = 20_000_000
FRAME_SAMPLES = VOICE_RATE_HZ // 50
SILENCE = bytes(2 * FRAME_SAMPLES)

JITTER_BUFFER_MS = 100
RESEND_WINDOW_MS = 700
"""Packets older than this are not sent again. How many are is the controller's to say (`congestion/resend.py`)."""
ANSWERABLE_PROFILE = "42e01f"
"""Constrained baseline 3.1: what every browser accepts in an answer. They decode what the camera really sends."""

PRIMER = bytes.fromhex(
    "000000016742c01fd90426c044000003000400000300a03c60c920000000"
    "0168cb80e4b20000016588843f2628000818c9c9c9d75d75d75d75d75d75e0"
)
"""A black 64x64 keyframe (x264, baseline): it lets the payloader announce itself before the camera is there. It never
leaves the process: the gate after the payloader passes announcements and drops buffers until the peer is connected."""

NUMBERED = f"extmap-{EXTENSION_ID}=(string){URI}"
"""Every packet carries a number of its own, by which the far end reports it (transport-wide feedback)."""

PIPELINE = f"""
webrtcbin name=rtc bundle-policy=max-bundle latency={JITTER_BUFFER_MS}
appsrc name=picture is-live=true format=time block=false max-bytes=0
    caps=video/x-h264,stream-format=(string)byte-stream,alignment=(string)au
  ! h264parse
  ! rtph264pay name=picture_packets pt=96 mtu=1200 config-interval=-1 aggregate-mode=zero-latency
  ! application/x-rtp,media=(string)video,encoding-name=(string)H264,payload=96,{NUMBERED}
  ! valve name=picture_gate drop=true drop-mode=forward-sticky-events
  ! rtc.sink_0
appsrc name=voice is-live=true format=time block=false max-bytes=0
    caps=audio/x-raw,format=(string)S16LE,rate={VOICE_RATE_HZ},channels=1,layout=(string)interleaved
  ! opusenc name=voice_encoder audio-type=generic dtx=false complexity=6 frame-size=20 inband-fec=true
      bitrate=32000 bandwidth=wideband packet-loss-percentage=6
  ! rtpopuspay pt=97
  ! application/x-rtp,media=(string)audio,encoding-name=(string)OPUS,payload=97,useinbandfec=(string)1,{NUMBERED}
  ! valve name=voice_gate drop=true drop-mode=forward-sticky-events
  ! rtc.sink_1
"""

PIP_PIPELINE = f"""
appsrc name=pip is-live=true format=time block=false max-bytes=0
    caps=video/x-h264,stream-format=(string)byte-stream,alignment=(string)au
  ! h264parse
  ! rtph264pay name=pip_packets pt=98 mtu=1200 config-interval=-1 aggregate-mode=zero-latency
  ! application/x-rtp,media=(string)video,encoding-name=(string)H264,payload=98,{NUMBERED}
  ! valve name=pip_gate drop=true drop-mode=forward-sticky-events
  ! rtc.sink_2
"""
"""A second picture, in the corner of the first. A payload type of its own: resends are told apart by it."""

LISTEN_PIPELINE = f"pipeline.( webrtcbin name=rtc bundle-policy=max-bundle latency={JITTER_BUFFER_MS} )"
LISTEN_CAPS = (
    "application/x-rtp,media=(string)audio,encoding-name=(string)OPUS,payload=97,clock-rate=48000,"
    "encoding-params=(string)2,useinbandfec=(string)1"
)

VOICE_IN = f"""
rtpopusdepay ! opusdec name=decoder use-inband-fec=true plc=true
  ! audio/x-raw,format=(string)S16LE,rate={VOICE_RATE_HZ},channels=1,layout=(string)interleaved
  ! fakesink name=ear sync=false async=false enable-last-sample=false
"""
"""Opus decodes to one channel by itself, whatever it was made of."""


def acceptable(sdp: str, fingerprint: str) -> str:
    """The offer as peers should see it: a profile that browsers accept, no parameter sets (they come in band), the
    fingerprint of the certificate that is really used (webrtcbin 1.22 writes that of its own), and our wish that
    pictures be shown at once."""
    sdp = re.sub(r"a=fingerprint:\S+ \S+", f"a=fingerprint:sha-256 {fingerprint}", sdp)
    sdp = re.sub(r"profile-level-id=[0-9a-fA-F]{6}", f"profile-level-id={ANSWERABLE_PROFILE}", sdp)
    return playout_delay.offered(re.sub(r";?sprop-parameter-sets=[^;\r\n]*", "", sdp))


def mids_in(sdp: str) -> tuple[str, ...]:
    """The names of the media sections, in order."""
    return tuple(re.findall(r"(?m)^a=mid:(\S+)", sdp))
