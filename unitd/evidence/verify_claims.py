"""What follows from what was checked: is the origin proven, is nothing missing, and what would an opponent ask?"""

from collections.abc import Callable

from cryptography import x509

from unitd.evidence.check_heads import Anchors, Heads
from unitd.evidence.check_manifest import Listed
from unitd.evidence.check_seal import Seal
from unitd.evidence.check_segments import Footage, StreamFacts, complete_until
from unitd.evidence.check_tree import safe
from unitd.evidence.manifest import Manifest
from unitd.evidence.verify_report import Report, StreamPart, Unproven
from unitd.evidence.verify_time import instant_text, utc_text

GET_HEADS = "Ask the control room for the heads it keeps of this unit, and give them with --heads."
GET_TRUST = "Ask whoever runs the units for their authority's certificate, and give it with --trust."


def claim(
    report: Report,
    listed: Listed | None,
    seal: Seal,
    with_trust: bool,
    heads: Heads | None,
    anchors: Anchors,
    sealed_n: int | None,
    footage: Footage,
) -> None:
    """Fill in what is proven and what is not, and the remarks. Pure but for the report."""
    if listed is not None:
        report.streams = [_part(stream, listed.manifest, anchors) for _, stream in sorted(footage.streams.items())]
    _origin(report, seal, with_trust, anchors, sealed_n)
    _completeness(report, heads, anchors, seal, footage, sealed_n)
    if listed is not None:
        _remarks(report, listed.manifest, seal, footage)


def _origin(report: Report, seal: Seal, with_trust: bool, anchors: Anchors, sealed_n: int | None) -> None:
    def unproven(why: str, how: str) -> None:
        report.not_proven.append(Unproven("origin", why, how))

    again = "If the unit is still there, export again while unitd runs on it."
    if not seal.checkpoints and sealed_n is not None:
        why = (
            f"There are no checkpoints here, though line number {sealed_n} of chain/core.jsonl seals this export: they "
            "were taken away, or core was too late with its answer. Nothing is signed."
        )
        unproven(why, again)
    elif not seal.checkpoints:
        unproven("The unit did not seal this export (core was not running, or refused): nothing is signed.", again)
    elif seal.unsigned:
        unproven("The checkpoints are not signed: the unit had no key.", again)
    elif seal.key is None:
        why = (
            "There is no certificate.pem: the unit had none yet, or it was taken away. Whose signature it is, is open."
        )
        unproven(why, "Have the unit's request (evidence.csr) signed by your authority, and export again.")
    elif not with_trust:
        unproven("Nobody has vouched here for the key that signed: anyone can make a key.", GET_TRUST)
    elif seal.self_signed:
        how = "Have the unit's request (evidence.csr) signed by your authority, and export again."
        unproven("The certificate is signed by its own key: no authority vouches that the key is this unit's.", how)
    elif sealed_n is not None and seal.certificate is not None and seal.signed:
        _validity(report, seal, seal.certificate, anchors)


def _validity(report: Report, seal: Seal, certificate: x509.Certificate, anchors: Anchors) -> None:
    """Dates are judged by the control room's clock when it had the seal, else by the unit's if that knew."""
    last = seal.signed[-1].said
    received = anchors.received_utc_us
    at_us, clock = (received, "the control room's") if received is not None else (last.utc_us, "the unit's")
    begin = int(certificate.not_valid_before_utc.timestamp() * 1e6)
    end = int(certificate.not_valid_after_utc.timestamp() * 1e6)
    dates = f"{utc_text(begin)} to {utc_text(end)}"
    if received is None and last.clock == "unknown":
        report.remarks.append(f"The unit did not know the time when it signed; its certificate is valid from {dates}.")
    elif not begin <= at_us <= end:
        why = f"The certificate is valid from {dates}, and was used at {utc_text(at_us)} by {clock} clock."
        report.not_proven.append(
            Unproven("origin", why, "Ask the authority whether the key was still this unit's then.")
        )
        return
    report.checked.append(
        f"The key that signed is the unit's, by the authority's word ({clock} clock, {utc_text(at_us)})."
    )


def _completeness(
    report: Report, heads: Heads | None, anchors: Anchors, seal: Seal, footage: Footage, sealed_n: int | None
) -> None:
    def unproven(why: str, how: str = "") -> None:
        report.not_proven.append(Unproven("completeness", why, how))

    later = "Get heads that the control room received after this export was made, and check again."
    if heads is None:
        unproven(
            "Without the control room's heads a chain that was cut, or made anew with the unit's key, looks whole.",
            GET_HEADS,
        )
    elif not heads.kept:
        unproven(_no_heads(heads), GET_HEADS)
    elif not seal.signed:
        unproven("Nobody signed the list of what belongs to this export: something may have been left out of it.", "")
        if anchors.heads:
            report.checked.append("Both logs are those that the control room knows, as far as its heads reach.")
    else:
        _until(report, anchors, footage, unproven, later)
    if not footage.streams:
        unproven("There is no footage in this export.")
    if heads is not None and heads.kept and heads.damaged:
        report.remarks.append(
            f"{len(heads.damaged)} line(s) of {heads.name} cannot be read (first: line {heads.damaged[0]})."
        )
    if footage.left_out:
        unproven(
            f"The export says itself that it leaves out: {', '.join(footage.left_out[:5])}.",
            "Export again from the unit.",
        )
    for why in footage.unseen:
        unproven(why, "Export again from the unit.")
    if footage.unsealed:
        files = ", ".join(footage.unsealed[:3])
        why = f"Not yet sealed when exported (still being written, or its writer had died): {files}."
        unproven(why, "Export again from the unit.")
    if footage.differing:
        files = ", ".join(footage.differing[:3])
        unproven(f"Not as the unit wrote it, for the disk had failed under it: {files}.")


def _no_heads(heads: Heads) -> str:
    if heads.damaged and not heads.others:
        return f"{heads.name} holds no heads: {len(heads.damaged)} line(s), and none can be read."
    if heads.others:
        return f"{heads.name} holds heads of other units only, none of this one."
    return f"{heads.name} is empty."


def _until(report: Report, anchors: Anchors, footage: Footage, unproven: Callable[..., None], later: str) -> None:
    if not anchors.heads:
        unproven("No head that the control room kept covers any part of this export.", later)
        return
    chained = {name for name, stream in footage.streams.items() if stream.lines}
    newer = [part for part in report.streams if part.newer_s or (part.stream in chained and not part.complete_until)]
    for part in report.streams:
        if part.complete_until:
            words = f"Nothing recorded by {part.stream} between {part.begins} and {part.complete_until} is missing"
            if footage.streams[part.stream].deleted:
                words += " but what the unit itself deleted"
            report.checked.append(words + (f"; the last {part.newer_s} s are newer." if part.newer_s else "."))
    for part in newer:
        what = f"the last {part.newer_s} s of {part.stream} are" if part.complete_until else f"all of {part.stream} is"
        unproven(f"{what[0].upper()}{what[1:]} newer than the control room's last head of this unit.", later)


def _part(stream: StreamFacts, manifest: Manifest, anchors: Anchors) -> StreamPart:
    begin, end = stream.begin(), stream.end()
    covered = complete_until(stream, anchors.record_n)
    until, newer_s = "", 0
    if covered:
        line = stream.lines[stream.files[covered - 1].path]
        header = stream.headers.get(line.path)
        last_ns = line.to_mono_ns if line.timed or header is None else header.mono_ns
        until = instant_text(line.key.boot, last_ns, manifest.times)
        chained = [file for file in stream.files if file.path in stream.lines]
        if covered < len(chained):
            same = end is not None and end[0] == line.key.boot
            newer_s = max(1, -(-(end[1] - last_ns) // 1_000_000_000)) if same and end is not None else 1
    return StreamPart(
        stream.name,
        len(stream.files),
        instant_text(*begin, manifest.times, day=True) if begin else "",
        instant_text(*end, manifest.times) if end else "",
        until,
        newer_s,
    )


def _remarks(report: Report, manifest: Manifest, seal: Seal, footage: Footage) -> None:
    """What an opponent would ask about, said before they do."""
    for note in [note for note in manifest.notes if note.startswith("not in the film")][:5]:
        report.remarks.append(f"A film leaves out what is in segments/; the export says: {safe(note)}.")
    for boot in sorted({file.boot for stream in footage.streams.values() for file in stream.files}):
        time = manifest.times.get(str(boot))
        if time is None:
            report.remarks.append(
                f"The unit's clock in its boot {boot} is not known: order and lengths hold, dates do not."
            )
        elif time.clock != "synced":
            report.remarks.append(
                f"Times of boot {boot}: the unit's clock was {time.clock!r}, not synchronised; lengths and order hold."
            )
    who = f"{report.by}" if report.by else "not named"
    report.remarks.append(f"Exported {report.made}; by: {who}. The unit does not check who stands at its keyboard.")
    if seal.key is not None:
        report.remarks.append(
            "Whoever had this unit's key file and the control room's heads together could forge. Not judged here: "
            "whether the authority took the certificate back."
        )
