"""One incident's call: the link to an endpoint, the peers that come and go on it, and the picture they share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from unitd.call.link.endpoint import Trust
from unitd.call.link.ice_servers import UsableServers, usable
from unitd.call.link.path import PathWatch, targets_in
from unitd.call.link.reach import Reach, configured_servers, targets_of
from unitd.call.link.standing import StandingLinks
from unitd.call.link.turn_tunnel import Tunnels
from unitd.call.link.ways import Ways
from unitd.call.peer import Name, Peer
from unitd.call.picture.feeds import Feeds
from unitd.call.picture.rtsp_feed import rtsp_units
from unitd.call.talkback import Talkback
from unitd.call.text.desk import TextDesk
from unitd.call.voice.mixer import Mixer
from unitd.call.voice.playout import Playout
from unitd.config import Config
from unitd.messages import duplex
from unitd.messages.workers import CallWanted
from unitd.runtime.logs import Logger, chain

SESSIONS_PER_S = 4.0
SESSIONS_AT_ONCE = 6.0
"""A relay that names consoles a hundred times a second must not make a hundred media sessions: each costs 50 ms of CPU
to set up. Three consoles that come at once do not wait."""

PEER_AGAIN_S = 2.0
"""After a failure inside a peer."""

Report = Callable[[Name, str, str | None], None]


class Conversation:
    """`run()` holds the call until cancelled, then says bye and frees everything. Implements the ports of link and
    peers."""

    def __init__(
        self,
        config: Config,
        incident_id: str,
        kind: str,
        mixer: Mixer,
        trust: Trust,
        report: Report,
        log: Logger,
        standing: StandingLinks | None = None,
        texts: TextDesk | None = None,
    ) -> None:
        self.incident_id = incident_id
        self._log = log.bind(incident=incident_id)
        self._mixer = mixer
        self._report = report
        self._texts = texts
        self._peers: dict[str, tuple[Peer | Talkback, asyncio.Task[None]]] = {}
        self._ice_tables = config.ice_servers
        self._targets = targets_in(endpoint.url for endpoint in config.endpoints)
        self._dialled: int | None = None
        self._on_old_path: set[str] = set()
        self.wanted: CallWanted | None = None
        self._ice_servers: tuple[duplex.IceServer, ...] = ()
        self._ending: set[asyncio.Task[None]] = set()
        self.refused_peers = 0
        self._turns = SESSIONS_AT_ONCE
        self._turns_s = time.monotonic()
        # One thread for each peer's slow state changes, one for each of the cameras' streams (a dead camera holds one
        # for seconds), two for low step and stills: none waits for another.
        threads = duplex.MAX_PEERS + 2 * len(config.cameras) + 2
        self.executor: Executor = ThreadPoolExecutor(threads, thread_name_prefix="media")
        run_dir = Path(config.paths.run_dir)
        self.feeds = Feeds(
            config.cameras, run_dir, lambda c, p: rtsp_units(c, p, self.executor), self.executor, self._log
        )
        hello = duplex.Hello(
            unit=config.unit.id,
            incident_id=incident_id,
            kind=kind,
            cameras=tuple(camera.name for camera in config.cameras),
            watch=kind == "watch",
            quick_answers=config.call.quick_answers,
        )
        self.reach = Reach(config, hello, trust, standing, self._log)
        self.link = Ways(targets_of(config), self.reach.make, self, self._log)
        self._tunnels = Tunnels(self.reach.public_context, self._log)
        self.wanted_since_s = time.monotonic()
        if texts is not None:
            texts.connect(self)

    @property
    def peers(self) -> list[Peer]:
        return [peer for peer, _ in self._peers.values() if isinstance(peer, Peer)]

    @property
    def picture_source(self) -> str | None:
        """Where the picture comes from now."""
        return self.feeds.source

    def push_voice(self, pcm: bytes) -> None:
        """Send one frame of the caller's voice (or silence) to every connected peer; on any thread."""
        for peer, _ in tuple(self._peers.values()):  # one step: no peer comes or goes meanwhile
            peer.push_voice(pcm)

    async def run(self) -> None:
        # The stream is opened before anybody is there: its current pictures are in hand when a peer connects.
        self.feeds.hold_first()
        watch = asyncio.create_task(
            PathWatch(self._targets, self._path_changed, self._log).run(), name="path to the network"
        )
        try:
            if self._ice_tables:
                self._ice_servers = await configured_servers(self._ice_tables, self._log)
            await self.link.run()
        finally:
            watch.cancel()
            await self._end()

    async def _end(self) -> None:
        for peer in list(self._peers):
            self._drop(peer)
        if self._ending:
            await asyncio.wait(self._ending, timeout=3.0)
        try:
            await self._tunnels.close()
            await self.feeds.close()
        finally:
            assert isinstance(self.executor, ThreadPoolExecutor)  # noqa: S101 - for the type checker
            self.executor.shutdown(wait=False, cancel_futures=True)

    # --- the link ---------------------------------------------------------------------------------------------------

    def link_up(self, endpoint: str) -> None:
        """The peers follow by name."""

    def link_down(self, endpoint: str, reason: str) -> None:
        """The peers' sessions live on: media does not go through the relay."""

    def link_again(self, peer: str) -> None:
        if peer in self._peers:
            self._peers[peer][0].prove(peer in self._on_old_path)
            self._on_old_path.discard(peer)

    def follow(self, call: CallWanted) -> None:
        """Dial what core wants dialled; at once, and afresh, when its `dial` has risen: an operator has asked."""
        self.wanted = call
        self.link.name(self.reach.named(call.named))
        self.link.prefer(call.endpoints)
        before, self._dialled = self._dialled, call.dial
        if before is not None and call.dial > before:
            self._log.info("dialled afresh", number=call.dial)
            self.link.dial_now()
            for peer, _ in self._peers.values():
                peer.again()

    def _path_changed(self) -> None:
        """Packets leave from another address: what hung on the old one is dead. Sessions follow their signalling."""
        self._on_old_path = set(self._peers)
        self.link.dial_now()

    def link_message(self, message: duplex.ToUnit) -> None:
        match message:
            case duplex.PeerJoined(peer=peer):
                self._join(peer)
            case duplex.PeerLeft(peer=peer):
                self._drop(peer)
            case duplex.View(peer=peer, camera=camera, pip=pip) if peer in self._peers:
                self._peers[peer][0].look(camera, pip)
            case duplex.Text(peer=peer, t140=letters, by=by) if peer in self._peers:
                self.hear_letters(peer, letters, by)
            case duplex.Restart(peer=peer) if peer in self._peers:
                self._peers[peer][0].restart()
            case duplex.Answer(peer=peer, sdp=sdp) if peer in self._peers:
                self._peers[peer][0].answer(sdp)
            case duplex.Ice(peer=peer, candidate=candidate, sdp_mline_index=mline) if peer in self._peers:
                self._peers[peer][0].candidate(mline, candidate)

    def _join(self, name: str) -> None:
        if name in self._peers:
            self._peers[name][0].restart()
            return
        if len(self._peers) >= self.link.most_peers:
            self.refused_peers += 1
            if self.refused_peers.bit_count() == 1:  # the 1st, 2nd, 4th: a flood does not fill the log
                self._log.warning("peer refused", peer=name, most=duplex.MAX_PEERS, refused=self.refused_peers)
            return
        listens = self.link.needs(name).listens
        peer = Talkback(name, self, self._log) if listens else Peer(name, self, self._log)
        self._peers[name] = (peer, asyncio.create_task(self._keep(peer), name=f"peer {name}"))
        if self._texts is not None and not listens:
            self._texts.greet(name)

    async def _keep(self, peer: Peer | Talkback) -> None:
        """A peer for as long as it is there, whatever breaks in it: a console is not told to come again."""
        while True:
            try:
                await peer.run()
            except Exception as error:  # noqa: BLE001 - one peer is no reason to lose the others
                self._log.error("peer failed", peer=peer.peer, error=repr(error), exc_info=True)
            await asyncio.sleep(PEER_AGAIN_S)

    def _drop(self, name: str) -> None:
        if (entry := self._peers.pop(name, None)) is not None:
            _, task = entry
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    # --- letters ----------------------------------------------------------------------------------------------------

    def consoles(self) -> list[str]:
        """Everybody who reads along: each console that is there, its media connected or not."""
        return [name for name in self._peers if self.is_duplex(name)]

    def send_letters(self, console: str, letters: str, by: str) -> None:
        """The caller's own by the data channel where there is one; else, and another operator's always, by the link."""
        peer = self._peers[console][0] if console in self._peers else None
        if by or not isinstance(peer, Peer) or not peer.send_letters(letters):
            self.link.send(duplex.Text(peer=console, t140=letters, by=by))

    def hear_letters(self, peer: str, letters: str, by: str = "") -> None:
        if self._texts is not None:
            self._texts.heard(peer, letters, by)

    # --- the peers' port --------------------------------------------------------------------------------------------

    async def turn(self) -> None:
        """Wait until another session may be set up; whoever is cancelled meanwhile has cost nothing."""
        while True:
            now_s = time.monotonic()
            self._turns = min(SESSIONS_AT_ONCE, self._turns + (now_s - self._turns_s) * SESSIONS_PER_S)
            self._turns_s = now_s
            if self._turns >= 1.0:
                self._turns -= 1.0
                return
            await asyncio.sleep((1.0 - self._turns) / SESSIONS_PER_S)

    def send(self, message: duplex.FromUnit) -> None:
        self.link.send(message)

    def alive_s(self, peer: str) -> float | None:
        return self.link.alive_s(peer)

    def is_duplex(self, peer: str) -> bool:
        """Whether the far end is a console: data channels, and a voice of its own in the same session."""
        return self.link.needs(peer).duplex

    def session_servers(self, peer: str) -> UsableServers:
        """STUN and TURN of a session with this peer: the configured ones, then its endpoint's."""
        servers = usable((*self._ice_servers, *self.link.needs(peer).servers))
        if servers.refused:
            self._log.warning("ICE servers that cannot be used", refused=list(servers.refused))
        return self._tunnels.through(servers)

    def media(self, peer: str, connected: bool) -> None:
        self.link.media(peer, connected)

    def voice_of(self, peer: str) -> Playout:
        return self._mixer.voice_of(peer)

    def forget_voice(self, peer: str, voice: Playout) -> None:
        self._mixer.forget(peer, voice)

    def report(self, name: Name, peer: str) -> None:
        if name != "call_lost":
            chain(self._log, name, self.incident_id, time.monotonic_ns())
        self._report(name, peer, self.link.endpoint_of(peer))
        if name != "call_offered":
            self.link.media(peer, name == "call_connected")

    async def say_bye(self, reason: str) -> None:
        """Tell the far ends that the call ends in order; takes a moment at most."""
        await self.link.say_bye(reason)
