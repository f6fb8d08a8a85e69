// The dome by the picture itself: drag turns it, a click brings that place to the middle, the wheel zooms.
//
// A finger scrolls the page instead: on a telephone the pad is there for the dome.

const DRAG_AFTER_PX = 6;
const CLICK_SPEED = 0.4;
// Nobody tells how wide the dome sees or how fast it turns: a click goes most of the way for a wide view and a usual dome
// (60 degrees across, 60 degrees a second), and a second click the rest.
const HALF_VIEW_DEG = [30, 17];
const FULL_SPEED_DEG_S = 60;
const MOST_OF_THE_WAY = 0.8;
const WHEEL_LASTS_MS = 220;
const WHEEL_SPEED = 0.7;

/** `pad`: DomePad; `usable()`: whether the dome turns what is seen here. */
export function turnByPicture(stage, pad, usable) {
  let from = null;
  let dragging = false;
  let wheel = 0;

  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0 || !usable() || event.target.closest("button, a")) return;
    stage.setPointerCapture(event.pointerId);
    from = { x: event.clientX, y: event.clientY };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const x = event.clientX - from.x;
    const y = event.clientY - from.y;
    dragging ||= Math.hypot(x, y) > DRAG_AFTER_PX;
    if (!dragging) return;
    stage.classList.add("turning");
    const half = stage.clientWidth / 4;
    pad.hold("picture", { pan: soft(x / half), tilt: -soft(y / half) });
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    stage.addEventListener(name, (event) => {
      if (name === "pointerup" && from && !dragging) centre(event);
      from = null;
      dragging = false;
      stage.classList.remove("turning");
      pad.letGo("picture");
    });
  }
  stage.addEventListener("wheel", (event) => {
    if (!usable() || event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    pad.hold("wheel", { zoom: event.deltaY < 0 ? WHEEL_SPEED : -WHEEL_SPEED });
    clearTimeout(wheel);
    wheel = setTimeout(() => pad.letGo("wheel"), WHEEL_LASTS_MS);
  }, { passive: false });

  function centre(event) {
    const box = stage.getBoundingClientRect();
    const away = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((each, axis) => (each * 2 - 1) * HALF_VIEW_DEG[axis] * MOST_OF_THE_WAY);
    const farther = Math.max(...away.map(Math.abs));
    const seconds = farther / (CLICK_SPEED * FULL_SPEED_DEG_S);
    if (seconds < 0.05) return;
    const [pan, tilt] = away.map((each) => Number(((each / farther) * CLICK_SPEED).toFixed(2)));
    pad.nudge({ pan, tilt: -tilt, zoom: 0 }, Math.round(seconds * 1000));
  }
}

/** Slow near the start of the drag, for small corrections. */
function soft(part) {
  const held = Math.max(-1, Math.min(1, part));
  return held * Math.abs(held);
}
