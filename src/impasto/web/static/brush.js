// A brush over a picture: areas to protect, and regions that pair with those of another picture.
import { pictureUrl } from "./api.js";

const LONGEST = 1024; // px of what is drawn; masks have no finer detail
const INKS = { protect: "#ffffff", red: "#ff0000", blue: "#0000ff" };
const UNDO = 20; // steps
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const WORDS = { protect: "Keep as it is", red: "Red region", blue: "Blue region", none: "Rub out" };

const drawn = new Map(); // what was drawn over a picture, by its id

export const look = id => drawn.get(id)?.toDataURL() ?? null;

// Opens the brush; resolves to { red or blue: "mask", white: "protect" } as PNG files, null where nothing is, or to
// undefined if the visitor changed nothing.
export function open({ picture, title, inks }) {
  const dialog = document.createElement("dialog");
  dialog.className = "brush";
  dialog.setAttribute("aria-labelledby", "brush-title");
  dialog.innerHTML = `
    <h2 id="brush-title"></h2>
    <div class="tools">
      <fieldset><legend class="hidden">Brush</legend></fieldset>
      <label>Size <input type="range" min="2" max="30" value="9"></label>
      <span class="buttons"><button type="button" class="quiet undo" disabled>Undo</button><button type="button" class="quiet clear">Clear</button></span>
    </div>
    <div class="sheet"><img alt=""><canvas tabindex="0" role="application" aria-label="What is drawn" aria-describedby="brush-keys"></canvas><span class="ring" hidden></span></div>
    <p class="keys regions" hidden>Regions: what is red or blue here is painted after the paintings that you give red or blue to, beside the paintings.</p>
    <p id="brush-keys" class="keys">Draw with the mouse, a finger, or the keyboard: arrow keys move the brush (Shift: further), Space puts it down or lifts it.</p>
    <p class="hidden said" role="status"></p>
    <div class="line">
      <label class="quiet file">Use a picture file for the chosen brush<input type="file" class="hidden" accept="image/*"></label>
      <span class="buttons"><button type="button" class="quiet cancel">Cancel</button><button type="button" class="quiet done">Done</button></span>
    </div>`;
  const find = selector => dialog.querySelector(selector);
  find("h2").textContent = title;
  find(".regions").hidden = !inks.includes("protect");
  find("fieldset").append(...[...inks, "none"].map((ink, i) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "ink", value: ink, checked: i === 0 });
    const swatch = Object.assign(document.createElement("i"), { className: ink });
    label.append(radio, swatch, WORDS[ink]);
    return label;
  }));
  const canvas = find("canvas"), pen = canvas.getContext("2d", { willReadFrequently: true });
  const image = find("img");
  image.src = pictureUrl(picture.id, 1024);
  image.onload = () => {
    const scale = Math.min(1, LONGEST / Math.max(image.naturalWidth, image.naturalHeight));
    canvas.width = Math.round(image.naturalWidth * scale);
    canvas.height = Math.round(image.naturalHeight * scale);
    const before = drawn.get(picture.id);
    if (before) pen.drawImage(before, 0, 0, canvas.width, canvas.height);
  };

  let at = null, down = false; // where the brush is, in the canvas's pixels, and whether it draws
  const ring = find(".ring"), earlier = [];
  const width = () => Number(find("input[type=range]").value) / 100 * Math.max(canvas.width, canvas.height);
  const showRing = () => {
    const scale = canvas.clientWidth / canvas.width;
    const [x, y] = at ?? [0, 0];
    for (const [name, value] of [["width", width() * scale], ["left", canvas.offsetLeft + x * scale], ["top", canvas.offsetTop + y * scale]])
      ring.style[name] = `${value}px`;
    ring.hidden = !at;
    ring.classList.toggle("down", down);
  };
  const remember = () => {
    earlier.push(pen.getImageData(0, 0, canvas.width, canvas.height));
    if (earlier.length > UNDO) earlier.shift();
    find(".undo").disabled = false;
  };
  const undo = () => {
    if (!earlier.length) return;
    pen.putImageData(earlier.pop(), 0, 0);
    find(".undo").disabled = !earlier.length;
  };
  const moveTo = to => {
    if (down) {
      const ink = dialog.querySelector("[name=ink]:checked").value;
      pen.globalCompositeOperation = ink === "none" ? "destination-out" : "source-over";
      pen.strokeStyle = INKS[ink] ?? "#000";
      pen.lineWidth = width();
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      pen.moveTo(...at);
      pen.lineTo(to[0], to[1] + 0.01);
      pen.stroke();
    }
    at = to;
    showRing();
  };
  const put = (where, isDown) => {
    at = where;
    if (isDown) remember();
    down = isDown;
    moveTo(where);
  };
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
  };
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    put(place(event), true);
  });
  canvas.addEventListener("pointermove", event => {
    if (!event.buttons) down = false; // the keyboard had put it down
    moveTo(place(event));
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, event => put(place(event), false));
  canvas.addEventListener("pointerleave", () => {
    at = null;
    down = false;
    showRing();
  });
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) moveTo(at ?? [canvas.width / 2, canvas.height / 2]);
  });
  canvas.addEventListener("blur", () => {
    down = false;
    showRing();
  });
  canvas.addEventListener("keydown", event => {
    at ??= [canvas.width / 2, canvas.height / 2];
    if (event.key === " ") {
      if (!event.repeat) put(at, !down);
      find(".said").textContent = down ? "Brush down" : "Brush up";
    } else if (event.key in ARROWS) {
      const step = width() / 2 * (event.shiftKey ? 4 : 1), [x, y] = ARROWS[event.key];
      moveTo([Math.min(canvas.width, Math.max(0, at[0] + x * step)), Math.min(canvas.height, Math.max(0, at[1] + y * step))]);
    } else {
      return;
    }
    event.preventDefault();
  });
  dialog.addEventListener("keydown", event => {
    if (!(event.ctrlKey || event.metaKey) || event.key !== "z") return;
    event.preventDefault();
    undo();
  });
  find("input[type=range]").addEventListener("input", showRing);
  find(".undo").addEventListener("click", undo);
  find(".clear").addEventListener("click", () => {
    remember();
    pen.clearRect(0, 0, canvas.width, canvas.height);
  });

  document.body.append(dialog);
  dialog.showModal();
  return new Promise(resolve => {
    const end = result => {
      dialog.close();
      dialog.remove();
      resolve(result);
    };
    dialog.addEventListener("cancel", () => end(undefined));
    find(".cancel").addEventListener("click", () => end(undefined));
    find(".done").addEventListener("click", async () => {
      const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
      const result = { protect: await layer(pixels, ["protect"]), mask: await layer(pixels, ["red", "blue"]) };
      if (result.protect || result.mask) drawn.set(picture.id, canvas);
      else drawn.delete(picture.id);
      end(result);
    });
    find(".file input").addEventListener("change", event => {
      const file = event.target.files[0];
      const white = dialog.querySelector("[name=ink]:checked").value === "protect";
      drawn.delete(picture.id);
      end(white ? { protect: file, mask: null } : { protect: null, mask: file });
    });
  });
}

// The pixels of some inks as a PNG file in pure colours on black, null if there are none.
async function layer(pixels, inks) {
  const canvas = Object.assign(document.createElement("canvas"), { width: pixels.width, height: pixels.height });
  const pen = canvas.getContext("2d");
  const out = pen.createImageData(pixels.width, pixels.height);
  let any = false;
  for (let i = 0; i < pixels.data.length; i += 4) {
    const [red, green, blue, alpha] = pixels.data.subarray(i, i + 4);
    const ink = alpha < 128 ? null : green > 127 ? "protect" : red > blue ? "red" : "blue";
    out.data[i + 3] = 255;
    if (!inks.includes(ink)) continue;
    any = true;
    for (const [channel, at] of [[1, 0], [3, 1], [5, 2]]) out.data[i + at] = parseInt(INKS[ink].slice(channel, channel + 2), 16);
  }
  if (!any) return null;
  pen.putImageData(out, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  return new File([blob], `${inks.join("-and-")}.png`, { type: "image/png" });
}
