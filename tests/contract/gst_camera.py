"""An RTSP server that is not ours (gst-rtsp-server), to be run by the system's Python, which has `gi`.

Arguments: a JSON object with `video` (a GStreamer description ending in the payloader pay0), optionally `audio` (pay1),
`auth` ("basic" or "digest"), `user`, `password`, `udp` (allow UDP only). Prints its port, serves until its input ends.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
asked = json.loads(sys.argv[1])
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch("( " + asked["video"] + " " + asked.get("audio", "") + " )")
factory.set_shared(True)
if asked.get("udp"):
    factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
if "auth" in asked:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if asked["auth"] == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(asked["user"], asked["password"]), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(asked["user"], asked["password"], token)
    server.set_auth(auth)
    access = GstRtspServer.RTSPPermissions()
    access.add_permission_for_role("viewer", "media.factory.access", True)
    access.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(access)
server.get_mount_points().add_factory("/stream", factory)
server.attach(None)
loop = GLib.MainLoop()
GLib.io_add_watch(
    sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, lambda *_: loop.quit()
)
print(server.get_bound_port(), flush=True)
loop.run()
