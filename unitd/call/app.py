"""`unitd call`: the composition root of live picture and two-way voice.

Follows core's desired state: `call` (which incident, microphone gate, voices) and `sound` (prompt, warning).
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from unitd.call.conversation import Conversation
from unitd.call.link.standing import StandingLinks
from unitd.call.peer import Name
from unitd.call.rtc.gst import warm_up
from unitd.call.text.texts import Texts
from unitd.call.voice.canceller import Canceller
from unitd.call.voice.gain import Loudness
from unitd.call.voice.microphone import Microphone
from unitd.call.voice.mixer import Mixer
from unitd.call.voice.near_end import NearEnd
from unitd.call.voice.voice_record import VoiceRecord
from unitd.call.voice.words import Words
from unitd.config import Config, EndpointTable, SoundTable
from unitd.drivers.code_pages import let_go
from unitd.drivers.sound import SoundCard, SoundState
from unitd.drivers.sound_echo import WebRtcModule
from unitd.drivers.tls import client_context
from unitd.messages.workers import CallWanted, Desired, Fault
from unitd.runtime.heap import share_heaps
from unitd.runtime.supervise import Service
from unitd.runtime.worker import Frame, run_worker

HEALTH_PERIOD_S = 1.0
HEAPS = 2
"""A call has 35 threads: with a heap for each it took 3 to 4 MB more, 15 s into a call (two pairs of plays)."""
NEEDED_TO_BEGIN = ("_rust.abi3", "_multiarray_umath", "openblas", "libdb-")
"""Libraries that a session is begun with and that do little or nothing in it: cryptography's has made its certificate,
numpy's has loaded the clips, and what is called for each frame is in C of our own."""
CALL_FAILED_AFTER_S = 5.0
CALL_AGAIN_S = 1.0
END_WITHIN_S = 2.0
"""The next incident's call waits so long for the end of the last one's; what takes longer goes on behind it."""


def main(config: Config) -> int:
    """Run until SIGTERM; returns the exit status."""
    share_heaps(HEAPS)
    return run_worker("call", config, build)


def build(frame: Frame) -> list[Service]:
    """The services of this process."""
    worker = CallWorker(frame)
    return [
        Service("call", worker.follow),
        Service("silence", worker.microphone.run),
        Service("health", worker.report_health),
        Service("sound", worker.keep_sound),
        Service("voice record", worker.keep_voices),
        Service("standing links", worker.standing.run),
        Service("panel display", worker.texts.run),
    ]


class CallWorker:
    """Makes sound and call agree with what core wants. Everything runs on the loop but the two callbacks of the
    card."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._config = frame.config
        self._log = frame.log
        self._loop = asyncio.get_running_loop()
        self._words = Words(frame.config.sound, frame.log, lambda *said: self._mixer.play_warning(*said), self._tell)
        self._mixer = Mixer(self._words.prompt, self._warning_played)
        self._conversation: Conversation | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        sound = frame.config.sound
        self.standing = StandingLinks(self._config.endpoints, self._config.unit.id, self._trust, self._log)
        self.texts = Texts(frame.config, frame.log, self._tell_text)
        self._voices = VoiceRecord(Path(frame.config.paths.run_dir) / "audio.sock")
        self._keeps_voices = sound is not None and frame.config.evidence.audio
        self.microphone = Microphone(self._push_voice, self._voices.microphone)
        self._card = (
            None
            if sound is None
            else SoundCard(sound.input, sound.output, self._heard, self._next_output, self._opened_anew)
        )
        table = sound if sound is not None else SoundTable()
        self._near_end = NearEnd(
            self._mixer.frame,
            self.microphone.deliver,
            (lambda: Canceller(lambda: WebRtcModule(echo=False))) if table.canceller else None,
            Loudness(table.horn_full_dba, table.ceiling_dba, table.talk_dba, table.quiet_dba),
            table.mic_full_dba,
            lambda: self._mixer.warns,
        )

    # --- services ---------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Reconcile on every change of the desired state."""
        await asyncio.to_thread(self._prepare)
        seen = -1
        try:
            while True:
                await self._reconcile(self._frame.core.desired)
                seen = self._frame.core.version if seen < 0 else seen
                seen = await self._frame.core.wait_change(seen)
        finally:
            await self._hang_up("the unit stops")
            await self._words.close()

    async def keep_sound(self) -> None:
        """Hold the card until the process ends."""
        if self._card is None:
            await asyncio.Event().wait()
            return
        self._near_end.start()
        self._card.start()
        self._frame.last_resort.watch("sound card", self._card.stuck_s)
        self._card.want(microphone=False, horn=True)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.shield(asyncio.to_thread(self._card.close))
            self._near_end.close()

    async def keep_voices(self) -> None:
        """Send the two voices to `record` while there is an incident."""
        await self._voices.run()

    async def report_health(self) -> None:
        while True:
            self._frame.core.set_health(self._faults(), self._facts())
            await asyncio.sleep(HEALTH_PERIOD_S)

    # --- levels -----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """What the first call would otherwise wait for; on a thread."""
        warm_up()
        self._words.prepare()

    async def _reconcile(self, desired: Desired | None) -> None:
        self._levels(desired)
        call = self._wanted(desired)
        if self._conversation is not None and (call is None or call.incident_id != self._conversation.incident_id):
            ending = asyncio.create_task(self._hang_up("the call is no longer wanted"), name="hang up")
            following = asyncio.create_task(self._follow_levels(), name="levels")
            try:
                await ending
            finally:
                following.cancel()
            desired = self._frame.core.desired
            call = self._wanted(desired)
        if call is not None and self._conversation is None and desired is not None:
            kind = "watch" if call.watch else desired.incident.kind if desired.incident is not None else "panic"
            self._call(call, kind)
        if call is not None and self._conversation is not None:
            self._conversation.follow(call)

    def _wanted(self, desired: Desired | None) -> CallWanted | None:
        """The call that is to be. When core has been gone for too long, an incident's goes on, with the microphone
        shut: nobody has ended it. A watch does not."""
        if desired is not None:
            return desired.call
        last = self._conversation.wanted if self._conversation is not None else None
        return None if last is None or last.watch else replace(last, microphone=False)

    async def _follow_levels(self) -> None:
        """While a call is put down, which takes seconds at worst, no gate waits for it."""
        seen = self._frame.core.version
        while True:
            seen = await self._frame.core.wait_change(seen)
            self._levels(self._frame.core.desired)

    def _levels(self, desired: Desired | None) -> None:
        """Gates, sound and letters as core wants them; does not block."""
        call = self._wanted(desired)
        is_open = call is not None and call.microphone
        self.microphone.gate(is_open)
        self._near_end.gate(is_open)
        self._near_end.aim(talk=call is not None and call.voices, quiet=call is not None and call.quiet)
        if not is_open:
            self._voices.shut()
        in_incident = call is not None and not call.watch
        self._voices.follow(call.incident_id if call is not None and in_incident and self._keeps_voices else None)
        if self._card is not None:
            self._card.want(microphone=is_open, horn=True)
        self._mixer.open_voices(call is not None and call.voices)
        self._mixer.set_prompt(desired.sound.prompt if desired is not None else None)
        self._words.order(desired.sound.warning if desired is not None else None)
        self.texts.follow(desired)

    def _call(self, call: CallWanted, kind: str) -> None:
        if not self._config.endpoints:
            return
        incident_id = call.incident_id

        def report(name: Name, peer: str, endpoint: str | None) -> None:
            self._frame.core.event(name, incident_id=incident_id, endpoint=endpoint, peer=peer)
            if name == "call_connected":
                let_go(*NEEDED_TO_BEGIN)

        def make() -> Conversation:
            return Conversation(
                self._config,
                incident_id,
                kind,
                self._mixer,
                self._trust,
                report,
                self._log,
                self.standing,
                self.texts.desk,
            )

        self._conversation = make()
        self._task = asyncio.create_task(self._keep(self._conversation, make), name="conversation")
        self.microphone.listen(True)
        self.standing.rest(False)

    async def _keep(self, conversation: Conversation, make: Callable[[], Conversation]) -> None:
        """The call for as long as it is wanted, whatever breaks in it."""
        while True:
            try:
                await conversation.run()
            except Exception as error:  # noqa: BLE001 - the call is made again
                self._log.error("call failed", error=repr(error), exc_info=True)
            await asyncio.sleep(CALL_AGAIN_S)
            before, conversation = conversation, make()
            if before.wanted is not None:
                conversation.follow(before.wanted)
            self._conversation = conversation

    async def _hang_up(self, reason: str) -> None:
        conversation, task = self._conversation, self._task
        self._conversation = self._task = None
        self.microphone.listen(False)
        self.standing.rest(True)
        if conversation is None or task is None:
            return
        self._ending.add(task)
        task.add_done_callback(self._ended)
        try:
            await conversation.say_bye(reason)
        finally:
            task.cancel()
        await asyncio.wait({task}, timeout=END_WITHIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("call did not end in order", error=repr(error))

    async def _trust(self, endpoint: EndpointTable) -> ssl.SSLContext:
        return await asyncio.to_thread(
            client_context,
            endpoint.ca_file,
            endpoint.cert_file,
            endpoint.key_file,
            self._frame.clock.stamp,
            self._frame.clock.lower_bound_utc_s,
        )

    # --- sound's callbacks ------------------------------------------------------------------------------------------

    def _push_voice(self, pcm: bytes) -> None:
        """On any thread."""
        conversation = self._conversation
        if conversation is not None:
            conversation.push_voice(pcm)

    def _next_output(self) -> bytes:
        """On the card's thread."""
        pcm = self._near_end.next_output()
        self._voices.horn(pcm)
        return pcm

    def _opened_anew(self, is_input: bool) -> None:
        """On the card's thread."""
        self._near_end.opened_anew(microphone=is_input)

    def _heard(self, pcm: bytes) -> None:
        """On the card's thread."""
        self.microphone.keep(pcm)
        self._near_end.heard(pcm)

    def _warning_played(self, number: int, name: str) -> None:
        """On the card's thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._words.played, number, name)

    def _tell(self, name: str, /, **data: str | int) -> None:
        desired = self._frame.core.desired
        incident = desired.incident if desired is not None else None
        incident_id = incident.incident_id if incident is not None else None
        self._frame.core.event(name, incident_id=incident_id, mono_ns=None, **data)

    def _tell_text(self, incident_id: str | None, data: dict[str, str]) -> None:
        self._frame.core.event("text", incident_id=incident_id, mono_ns=None, **data)

    # --- health -----------------------------------------------------------------------------------------------------

    def _sound_states(self) -> tuple[SoundState, ...]:
        return self._card.states() if self._card is not None else ()

    def _faults(self) -> tuple[Fault, ...]:
        faults = [
            Fault(code="sound_lost", subject=state.name, text=state.error)
            for state in self._sound_states()
            if state.state == "lost"
        ]
        if self._near_end.trouble:
            faults.append(Fault(code="canceller_failed", text=self._near_end.trouble))
        faults += self._words.faults()
        call = self._conversation
        if call is not None and call.link.up is None and not any(peer.connected for peer in call.peers):
            waited_s = time.monotonic() - call.wanted_since_s
            if waited_s > CALL_FAILED_AFTER_S:
                faults.append(Fault(code="call_failed", text=f"no endpoint answers ({call.link.attempts} attempts)"))
        return tuple(faults)

    def _facts(self) -> dict[str, str | int | float | bool | None]:
        states = self._sound_states()
        facts: dict[str, str | int | float | bool | None] = {
            "sound.input": states[0].state if states else None,
            "sound.output": states[1].state if states else None,
        }
        if states:
            facts |= self._near_end.facts() | self._mixer.voice_facts()
        facts |= self.texts.facts
        call = self._conversation
        facts["incident"] = call.incident_id if call is not None else None
        facts["peers"] = sum(peer.connected for peer in call.peers) if call is not None else 0
        facts["endpoint"] = call.link.up if call is not None else None
        facts["link"] = _link_words(call) if call is not None else None
        facts["low_step"] = "; ".join(sorted(call.feeds.faults.values())) or None if call is not None else None
        return facts


def _link_words(call: Conversation) -> str:
    """The link in one line for a person: `2 consoles; main from record dome main; loss 0.4 %, round trip 80 ms`."""
    connected = [peer for peer in call.peers if peer.connected]
    if not connected:
        return "no peer connected"
    losses = [max(peer.stats.picture_loss or 0.0, peer.stats.voice_loss or 0.0) for peer in connected]
    trips_s = [peer.stats.round_trip_s or 0.0 for peer in connected]
    steps = "+".join(sorted({peer.step for peer in connected}))
    return (
        f"{len(connected)} console{'s' * (len(connected) > 1)}; {steps} from {call.picture_source or 'nowhere'}; "
        f"loss {100 * max(losses):.0f} %, round trip {1000 * max(trips_s):.0f} ms"
    )
