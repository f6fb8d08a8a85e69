"""ICE servers of one webrtcbin."""

from typing import Any

from unitd.call.link.ice_servers import UsableServers
from unitd.call.rtc.gst import GstWebRTC


def give_servers(rtc: Any, servers: UsableServers, relay_only: bool) -> None:
    """Tell webrtcbin its STUN and TURN servers, before it offers. Each costs the gathering nothing but its packets:
    candidates go out as they come."""
    if servers.stun is not None:
        rtc.set_property("stun-server", servers.stun)
    for url in servers.turn:
        rtc.emit("add-turn-server", url)
    if relay_only:
        rtc.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
