"""What core wants of its workers, as the wire says it: made from the outputs and the configuration. Pure."""

from unitd.config import Config
from unitd.messages import workers as wire
from unitd.model.call_goals import WatchGoal
from unitd.model.incident import Incident, SmsGoal
from unitd.model.outputs import Outputs
from unitd.model.sms import alarm_text


class Wishes:
    """`wishes(levels, session, number)` is the whole desired state."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._endpoints = {each.name: each.endpoints for each in config.control_rooms if each.endpoints}

    def __call__(self, levels: Outputs, session: int, number: int) -> wire.Desired:
        served, ring = levels.served, self._config.ring
        return wire.Desired(
            session=session,
            number=number,
            incident=None
            if served is None
            else wire.OpenIncident(
                incident_id=served.incident_id,
                kind=served.kind,
                stage=served.stage,
                raised_mono_ns=served.raised_mono_ns,
                presses=served.count,
            ),
            record=wire.RecordWanted(
                sync_s=ring.sync_incident_s if levels.in_incident else ring.sync_idle_s, snapshot=_snapshot(levels)
            ),
            call=self._call(levels),
            sound=wire.SoundWanted(
                prompt=levels.prompt,
                warning=_warning(levels),
                announce=levels.call is not None and levels.call.watch is not None and levels.call.watch.announce,
            ),
            dome=wire.DomeWanted(**{name: getattr(levels.dome, name) for name in levels.dome.__struct_fields__}),
            uploads=tuple(
                wire.UploadWanted(**{name: getattr(each, name) for name in each.__struct_fields__})
                for each in levels.uploads
            ),
            sms=tuple(
                wire.SmsWanted(sms_id=goal.sms_id, number=goal.number, text=self._text(incident, goal))
                for incident, goal in levels.sms
            ),
        )

    def _call(self, levels: Outputs) -> wire.CallWanted | None:
        call, served = levels.call, levels.served
        if call is None:
            return None
        orders = call.orders
        return wire.CallWanted(
            incident_id=call.incident_id,
            microphone=call.microphone,
            voices=call.voices,
            endpoints=self._dialled(served, call.watch),
            watch=call.watch is not None,
            quiet=orders.quiet,
            dial=orders.dial,
            named=tuple(wire.NamedEndpoint(url=e.url, whep_url=e.whep_url, token=e.token) for e in orders.named),
            texts=tuple(wire.TextLine(number=each.number, by=each.by, text=each.text) for each in orders.texts),
        )

    def _dialled(self, incident: Incident | None, watch: WatchGoal | None) -> tuple[str, ...]:
        """The endpoints of the room that has taken the incident; then of those that are asked, the last asked first, as
        the others have had their time; then those that belong to no room. Of a watch, those of the watcher's room."""
        if not self._endpoints:
            return ()
        if incident is not None:
            order = (incident.taken_by, *reversed(incident.asked))
        else:
            order = (watch.room,) if watch is not None and watch.room else tuple(self._endpoints)
        rooms = [name for room in order for name in self._endpoints.get(room, ())]
        owned = {name for names in self._endpoints.values() for name in names}
        free = [each.name for each in self._config.endpoints if each.name not in owned]
        return tuple(dict.fromkeys((*rooms, *free)))

    def _text(self, incident: Incident, goal: SmsGoal) -> str:
        site = self._config.site
        return alarm_text(
            site=site.name,
            address=site.address,
            latitude=site.latitude,
            longitude=site.longitude,
            approach=site.approach,
            code=code_of(incident),
            kind=incident.kind,
            presses=1,  # the count would make another message of each further press
            raised_utc_us=incident.raised_utc_us,
            clock=incident.clock,
            stage_words="not answered by the control room" if goal.received else "not received by the control room",
            unit=self._config.unit.id,
        )


def _snapshot(levels: Outputs) -> int:
    """The number of the pictures that are wanted of the incident that is served, 0 for none."""
    goal, served = levels.snapshot, levels.served
    return 0 if goal is None or served is None or goal.incident_id != served.incident_id else goal.number


def _warning(levels: Outputs) -> wire.WarningWanted | None:
    goal = levels.warning
    if goal is None:
        return None
    return wire.WarningWanted(number=goal.number, name=goal.name, speak=goal.speak, language=goal.language)


def code_of(incident: Incident) -> str:
    """Six characters derived from the incident's id, short enough to be spoken; the same in alarm and text message."""
    return incident.incident_id.replace("-", "")[:6].upper()
