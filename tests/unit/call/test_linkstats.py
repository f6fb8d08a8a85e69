"""The link's figures, out of structures as webrtcbin 1.22 really gives them."""

from unitd.call.rtc.gst import Gst
from unitd.call.rtc.linkstats import LinkStats, read_stats

REPLY = (
    "application/x-webrtc-stats,"
    ' a=(structure)"codec, ssrc=(uint)11, mime-type=(string)video/H264, codec-type=(string)encode;",'
    ' b=(structure)"codec, ssrc=(uint)22, mime-type=(string)audio/OPUS, codec-type=(string)encode;",'
    ' c=(structure)"codec, mime-type=(string)audio/OPUS;",'
    ' d=(structure)"remote-inbound-rtp, ssrc=(uint)11, kind=(string)audio, fraction-lost=(double)0.25,'
    ' round-trip-time=(double)0.08;",'
    ' e=(structure)"remote-inbound-rtp, ssrc=(uint)22, kind=(string)audio, fraction-lost=(double)0.01,'
    ' round-trip-time=(double)0.02;",'
    ' f=(structure)"inbound-rtp, ssrc=(uint)33, packets-received=(guint64)7;",'
    " g=(double)1.5;"
)


def test_losses_are_told_apart_by_ssrc_because_kind_is_wrong_in_a_bundle() -> None:
    structure, _ = Gst.Structure.from_string(REPLY)
    assert read_stats(structure) == LinkStats(0.25, 0.01, 0.08, heard=7)


def test_no_report_yet_is_no_figure() -> None:
    assert read_stats(None) is None
    assert read_stats(Gst.Structure.new_empty("application/x-webrtc-stats")) == LinkStats()


def test_a_console_without_a_microphone_is_heard_by_its_reports() -> None:
    def reading(confirmed: int) -> LinkStats | None:
        report, _ = Gst.Structure.from_string(f"application/x-rtp-source-stats, rb-exthighestseq=(uint){confirmed};")
        entry, _ = Gst.Structure.from_string("remote-inbound-rtp, ssrc=(uint)11;")
        entry.set_value("gst-rtpsource-stats", report)
        reply = Gst.Structure.new_empty("application/x-webrtc-stats")
        reply.set_value("d", entry)
        return read_stats(reply)

    before, after = reading(70_000), reading(70_025)
    assert before is not None
    assert after is not None
    assert after.heard == before.heard + 25
