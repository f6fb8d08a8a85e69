"""What a call costs the pole: CPU and memory of `unitd call` with 1080p passed through and voice both ways.

The stream is coded beforehand (1080p25, 4 Mbit/s, a group of one second) and played in a loop by a stand-in for
`record`; the far end is an independent implementation in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av

from hw_sim.devices.sound import VirtualSound
from tests.bench.figures import Row
from tests.bench.progress import Progress
from tests.bench.usage import cpu_s, rss_mb
from tests.system.call_rig import HEADER, RecordEnd, rig, until

STREAMS = {"main": (1920, 1080, 4_000_000), "sub": (640, 360, 500_000)}
"""Width, height, bit/s."""
RATE_FPS = 25
LOOP_S = 4
SETTLE_S = 12.0
"""So that the call has settled: after 10 s of main the sub stream is let go."""
WATCH_S = 30.0
CPU_CEILING_S = 7.0
RSS_CEILING_MB = 110.0

FAR_END = """
import asyncio, sys
from hw_sim.operator.peer import OperatorPeer
async def main():
    peer = OperatorPeer(sys.argv[1])
    await peer.start()
    peer.speak(700)
    print("ready", flush=True)
    while True:
        await asyncio.sleep(1.0)
        print(peer.frames, flush=True)
asyncio.run(main())
"""


async def measure(progress: Progress) -> list[Row]:
    progress.step("coding 1080p")
    units = {name: await asyncio.to_thread(_coded, *stream) for name, stream in STREAMS.items()}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        sound = VirtualSound(directory / "sound")
        await asyncio.to_thread(sound.start)
        try:
            async with rig(directory, record=False) as made:
                made.record = record = LoopEnd(made.run_dir, units)
                await record.start()
                try:
                    await made.start_call(sound.env())
                    sound.play_caller(440)
                    with _far_end(made.relay.peer_url) as far_end:
                        made.core.want(made.call(microphone=True, voices=True))
                        await until(lambda: "call_connected" in made.core.names(), 15, "the call")
                        await asyncio.sleep(SETTLE_S)
                        assert made.process is not None
                        progress.step(f"a call for {WATCH_S:.0f} s")
                        before_s, began_s = cpu_s(made.process.pid), time.monotonic()
                        await asyncio.sleep(WATCH_S)
                        minute_s = (cpu_s(made.process.pid) - before_s) * 60 / (time.monotonic() - began_s)
                        memory_mb = rss_mb(made.process.pid)
                        assert far_end.poll() is None, "the far end died"
                        step = str(made.core.health.facts.get("link"))
                finally:
                    await record.stop()
        finally:
            await asyncio.to_thread(sound.stop)
    note = f"{WATCH_S:.0f} s; {step}"
    return [
        Row("call, 1080p25 at 4 Mbit/s and voice: CPU seconds a minute", minute_s, "s", CPU_CEILING_S, note),
        Row("call, 1080p25 at 4 Mbit/s and voice: RSS", memory_mb, "MB", RSS_CEILING_MB, "", 0),
    ]


class LoopEnd(RecordEnd):
    """`record.sock` that plays coded pictures in a loop."""

    def __init__(self, run_dir: Path, units: dict[str, list[tuple[bytes, bool]]]) -> None:
        super().__init__(run_dir)
        self._units = units

    async def _film(self, camera: str, profile: str) -> None:
        key = f"{camera} {profile}"
        self._groups[key] = []
        start_s, count = time.monotonic(), 0
        while True:
            units = self._units[profile]
            data, keyframe = units[count % len(units)]
            message = HEADER.pack(len(data), int(keyframe), count * 90_000 // RATE_FPS, time.monotonic_ns()) + data
            self._groups[key] = [message] if keyframe else [*self._groups[key], message]
            for writer, wanted in list(self._writers.items()):
                if wanted == key:
                    writer.write(message)
            count += 1
            await asyncio.sleep(max(0.0, start_s + count / RATE_FPS - time.monotonic()))


def _coded(width: int, height: int, bit_s: int) -> list[tuple[bytes, bool]]:
    """LOOP_S seconds of a moving test picture, as Annex B."""
    command = [
        "ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r={RATE_FPS}:d={LOOP_S}",
        "-vf", "noise=alls=12:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
        "-b:v", str(bit_s), "-maxrate", str(bit_s), "-bufsize", str(bit_s // 4), "-g", str(RATE_FPS),
        "-x264-params", "repeat-headers=1:annexb=1:scenecut=0", "-f", "h264", "pipe:1",
    ]  # fmt: skip
    data = subprocess.run(command, capture_output=True, check=True).stdout
    parser = av.CodecContext.create("h264", "r")
    packets = [*parser.parse(data), *parser.parse(b"")]
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


@contextlib.contextmanager
def _far_end(url: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FAR_END, url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
