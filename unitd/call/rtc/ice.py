"""ICE of one webrtcbin: its servers, and what its agent may not do."""

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


def tame_agent(element: Any) -> None:
    """Keep libnice from asking the street's routers for open ports (UPnP: an HTTP server and SSDP on every interface)
    and from listening on TCP, whose candidates nobody is told. To be called with each `nicesrc` and `nicesink` as it is
    added, which is before anything is gathered. Saves 14 descriptors and a thread of each session.

    Not by webrtcbin's `ice-agent`: reading that from Python takes its only reference away.
    """
    agent = element.get_property("agent")
    if agent is not None:
        agent.set_property("upnp", False)
        agent.set_property("ice-tcp", False)
