// Zoom, 1:1 and full screen of the canvas: by wheel, pinch, drag, keys and buttons.
const LARGEST = 16;
const MOVES = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

export function zoomable(canvas, room, buttons, pixelScale) {
  let scale = 1, x = 0, y = 0;
  const pointers = new Map();

  const apply = () => {
    const spare = [(scale - 1) * room.clientWidth / 2, (scale - 1) * room.clientHeight / 2];
    x = Math.max(-spare[0], Math.min(spare[0], x));
    y = Math.max(-spare[1], Math.min(spare[1], y));
    room.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    canvas.dataset.zoom = scale.toFixed(2);
  };
  const to = (next, at = null) => {
    next = Math.min(LARGEST, Math.max(1, next));
    const box = canvas.getBoundingClientRect();
    const [px, py] = at ? [at[0] - box.left - box.width / 2, at[1] - box.top - box.height / 2] : [0, 0];
    x = px - (px - x) * next / scale;
    y = py - (py - y) * next / scale;
    scale = next;
    apply();
  };
  const act = {
    in: () => to(scale * 1.5),
    out: () => to(scale / 1.5),
    fit: () => to(1),
    pixels: () => to(pixelScale()),
    full: () => (document.fullscreenElement ? document.exitFullscreen() : canvas.requestFullscreen?.()),
  };
  const KEYS = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "pixels", f: "full" };

  canvas.addEventListener("wheel", event => {
    if (canvas.dataset.mode === "empty") return;
    event.preventDefault();
    to(scale * Math.exp(-event.deltaY / 400), [event.clientX, event.clientY]);
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    if (event.target !== canvas || event.ctrlKey || event.metaKey) return;
    if (event.key in KEYS) act[KEYS[event.key]]();
    else if (event.key in MOVES && scale > 1) [x, y] = [x + MOVES[event.key][0], y + MOVES[event.key][1]];
    else return;
    event.preventDefault();
    apply();
  });
  canvas.addEventListener("pointerdown", event => {
    if (!event.target.closest("button, input, video")) pointers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  addEventListener("pointermove", event => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    pointers.set(event.pointerId, now);
    if (other) {
      const apart = place => Math.hypot(place[0] - other[0], place[1] - other[1]);
      to(scale * apart(now) / Math.max(1, apart(before)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (scale > 1) {
      x += now[0] - before[0];
      y += now[1] - before[1];
      apply();
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, event => pointers.delete(event.pointerId));
  buttons.addEventListener("click", event => {
    const button = event.target.closest("[data-view]");
    if (button) act[button.dataset.view]();
  });
  return { reset: act.fit };
}
