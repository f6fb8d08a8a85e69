"""What the tests see and hear in the operator's page: frames of the live picture, the caller's loudest frequency."""

import base64
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from playwright.async_api import Page

from hw_sim.world.timecode import read_time_code

GRAB = """() => {
  const video = document.getElementById('picture');
  if (!video.videoWidth) return null;
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  return canvas.toDataURL('image/png');
}"""

LISTEN = """() => {
  const page = window.console_page;
  const stream = document.getElementById('caller').srcObject;
  if (!stream) return false;
  const analyser = page.context.createAnalyser();
  analyser.fftSize = 8192;
  page.context.createMediaStreamSource(stream).connect(analyser);
  page.ear = analyser;
  return true;
}"""

HEAR = """() => {
  const { ear, context } = window.console_page;
  const bins = new Float32Array(ear.frequencyBinCount);
  ear.getFloatFrequencyData(bins);
  const from = Math.ceil(100 * ear.fftSize / context.sampleRate);
  let loudest = from;
  for (let i = from; i < bins.length; i++) if (bins[i] > bins[loudest]) loudest = i;
  return { hz: loudest * context.sampleRate / ear.fftSize, db: bins[loudest] };
}"""


@dataclass(frozen=True)
class Frame:
    """One picture of the live video: RGB, and the time code in it (ms of this machine's monotonic clock) if legible."""

    pixels: npt.NDArray[np.uint8]
    code_ms: int | None

    def differs_from(self, other: "Frame") -> float:
        """Mean absolute difference below the time code, 0..255."""
        top = self.pixels.shape[0] // 6
        return float(np.mean(cv2.absdiff(self.pixels[top:], other.pixels[top:])))


async def grab(page: Page) -> Frame | None:
    data: str | None = await page.evaluate(GRAB)
    if data is None:
        return None
    png = np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8)
    pixels = cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return Frame(pixels, read_time_code(pixels))


async def listen(page: Page) -> bool:
    """Put an ear on the caller's track; False when there is none."""
    return bool(await page.evaluate(LISTEN))


async def loudest(page: Page) -> dict[str, Any]:
    """The loudest frequency that the ear hears now, {hz, db}."""
    heard: dict[str, Any] = await page.evaluate(HEAR)
    return heard
