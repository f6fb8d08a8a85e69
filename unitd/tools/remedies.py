"""What to do about each fault code (docs/design/seams.md), in words for somebody at the pole or on the telephone."""

REMEDIES = {
    "broker_lost": "check the link, then that the control room's broker answers at the configured address",
    "button_cable": "look at the button's cable and its NC terminal; a press may not be felt until it is mended",
    "button_disagrees": "press the button: look at the line (NO or NC) that does not follow; then press it again",
    "button_lost": "the button's pin cannot be read: check `button.pin` and the rights of user unitd on the GPIO chip",
    "button_stuck": "look at the button and its cable: it reads as pressed all the time",
    "call_failed": "check that the endpoint's address and certificate are right and that it runs",
    "camera_codec": "set the camera's streams to H.264 without B-frames, a keyframe each second or two",
    "camera_lost": "check the camera's supply and cable, then its address and password",
    "camera_stalled": "the picture stands still; it is reopened by itself, else restart the camera",
    "chain_went_back": "evidence that was signed is not there any more: was the card or disk changed or set back? tell "
    "who is answerable for the evidence; after a wanted change see docs/installer.md",
    "clock_unknown": "wait for the network's time; if it stays, check that time servers are reachable",
    "control_room_silent": "the control room's system does not answer although the broker may; telephone it",
    "disk_error": "make room if it is full; else the card or disk fails: save the evidence and replace it",
    "disk_full": "export and release locked incidents, or fit a bigger disk",
    "disk_hung": "the card or disk does not answer: save the evidence, switch the unit off and on, replace the card",
    "dome_lost": "check the adapter of the dome's serial line and the `dome.port` path",
    "evidence_full": "see `unitd locks`: export what is due, then `unitd release` it; or fit a bigger disk",
    "evidence_missing": "nothing is recorded: mount the evidence disk, or see why it has gone (`dmesg`, its cable)",
    "modem_hung": "it is being reset; if it stays, switch the modem's supply off for ten seconds",
    "modem_lost": "check the modem's USB cable and supply and the `modem.port` path",
    "not_registered": "no mobile network: check the aerial and that the SIM's contract is active",
    "outbox_memory_only": "alarms are sent but would not survive a restart: see disk_full and disk_error",
    "outbox_quarantine": "an alarm on the disk could not be read: take the files out of `state_dir/outbox/quarantine` "
    "for an engineer; the fault goes at core's next start",
    "signing_failed": "evidence is not signed, see the text: the key must be a file of mode 0600 of unitd's, "
    "the certificate one made from this unit's evidence.csr",
    "sim_missing": "put a SIM in, contacts down, and check that the holder is closed",
    "test_unanswered": "the control room did not answer the test alarm: telephone it, then have a test raised",
    "sim_pin": "the SIM asks for a PIN or PUK: switch the PIN off in a telephone",
    "sms_refused": "check the duty number, and that the SIM's contract allows text messages to it",
    "sound_file_bad": "a site's recording is not used: see the text, and mend or remove the file in `sound.site_dir`",
    "canceller_failed": "late: see what else takes the processor; missing: run `make setup`; push to talk helps",
    "sound_lost": "check the sound card's cable and the names under `sound`",
    "speech_failed": "texts cannot be spoken: see that the package espeak-ng is installed; recorded warnings work",
    "worker_lost": "the process has ended and is being started again; see its log: journalctl -u 'unitd-*'",
}


def remedy(code: str) -> str:
    """What to do about `code`, or "" for one that this version does not know."""
    return REMEDIES.get(code, "")
