// The picture: being painted, compared, taken along.
import { ask, pictureUrl, previewUrl } from "./api.js";
import { set } from "./settings.js";
import { choices, choose, isArea, jobs, over, subscribe, view, visible } from "./state.js";
import { sentence, stateOf, titleOf } from "./words.js";
import { zoomable } from "./zoom.js";

const WIDTH = 600, HEIGHT = 60; // of the plot
const FORMATS = [["PNG", "png"], ["PNG, 16 bits", "png&bits=16"], ["JPEG", "jpg"], ["TIFF", "tif"], ["TIFF, 16 bits", "tif&bits=16"], ["WebP", "webp"], ["AVIF", "avif"]];
const element = document.querySelector("#easel");
const find = selector => element.querySelector(selector);
const canvas = find(".canvas"), divider = find(".divider"), other = find(".other"), format = find(".format");
const after = find(".after img"), before = find(".before img");
const video = find("video"), repeated = find(".repeated");
let mode = "single", current = null, loading = null, wanted = null, zoom = null;

function render() {
  const job = jobs.get(view.shown);
  if ((job?.id ?? null) !== current) begin(job);
  canvas.classList.toggle("busy", Boolean(job) && !over(job) && !job.step);
  find(".work").hidden = !job;
  if (!job) return renderEmpty();
  load(job.step ? previewUrl(job) : job.photo ? `/api/jobs/${job.id}/photograph` : pictureUrl(job.chosen.styles[0].id));
  describe(job);
  plot(job);
  offer(job);
}

// Before the picture: a look at what the settings do, the photograph that is chosen, or an example.
function renderEmpty() {
  const { photo } = choices, look = choices.styles.length && view.look?.chosen.photo.id === photo?.id ? view.look : null;
  canvas.dataset.mode = look ? "single" : photo ? "waiting" : "empty";
  find(".tools").hidden = true;
  play(null);
  find(".tag.left").textContent = look ? "A quick look: press Paint for the picture"
    : view.wanted ? "A quick look comes…" : photo ? `Your ${photo.seconds ? "film" : "painting"} appears here` : "An example: press Paint to make your own";
  find(".tag.right").textContent = "";
  after.alt = look ? `A quick look at ${photo.name} in the style of ${look.styles.join(" and ")}`
    : photo ? `The photograph, ${photo.name}` : "A cup of coffee, painted";
  load(look ? previewUrl(look) : photo ? pictureUrl(photo.id) : "/static/presets/example.jpg");
}

function begin(job) {
  current = job?.id ?? null;
  wanted = null;
  mode = "single";
  zoom?.reset();
  find(".grid").replaceChildren();
  for (const kind of ["command", "python"]) find(`.${kind}`).textContent = "";
  if (!job) return;
  find(".more").hidden = job.kind === "sheet";
  if (job.kind !== "sheet") recipe(job);
  find(".grid").style.gridTemplateColumns = `repeat(${job.columns || 1}, 1fr)`;
  find(".grid").append(...job.cells.map(cell => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: `Choose ${cell.label}` });
    button.setAttribute("aria-label", `Choose ${cell.label}`);
    button.addEventListener("click", () => {
      for (const one of find(".grid").children) one.setAttribute("aria-pressed", String(one === button));
      view.hint = `Chosen: ${cell.label}. Paint it?`;
      choose({ styles: [cell.style] });
      set(cell.settings);
    });
    return button;
  }));
}

async function recipe(job) {
  const found = await ask(`jobs/${job.id}/recipe`).catch(() => null);
  if (!found || current !== job.id) return;
  for (const kind of ["command", "python"]) find(`.${kind}`).textContent = found[kind];
  const files = ["mask", "protect"].filter(name => job.chosen[name] && !job.chosen[name].includes(",") && !isArea(job.chosen[name]));
  find(".guides").replaceChildren(...(files.length ? ["Its files: "] : []), ...files.map(name =>
    Object.assign(document.createElement("a"), { href: `/api/jobs/${job.id}/guides/${name}`, textContent: name, download: "" })));
}

// One picture at a time is fetched; of those announced meanwhile, the last.
function load(url) {
  if (wanted === url) return;
  wanted = url;
  if (loading) return;
  const image = new Image(), id = current;
  loading = image;
  image.onload = image.onerror = event => {
    loading = null;
    if (id === current && event.type === "load") {
      after.src = image.src;
      canvas.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    }
    if (wanted !== url) {
      const next = wanted;
      wanted = null;
      load(next);
    }
  };
  image.src = url;
}

function describe(job) {
  const words = find(".words"), progress = find("progress"), text = stateOf(job);
  if (words.textContent !== text) words.textContent = text;
  words.classList.toggle("wrong", job.state === "failed");
  find(".notes").textContent = job.notes.map(sentence).join(" ");
  progress.hidden = over(job);
  if (job.state === "painting" && !job.preview) progress.value = job.steps ? job.step / job.steps : 0;
  else progress.removeAttribute("value");
  const share = job.state === "painting" && !job.preview && job.steps ? `${Math.round(job.step / job.steps * 100)} % · ` : "";
  document.title = `${share}impasto`; // for who looks at another page meanwhile
  after.alt = job.step ? `${job.photo} painted in the style of ${job.styles.join(" and ")}` : `The photograph, ${job.photo}`;
  if (job.kind === "texture") after.alt = `The texture of ${job.styles.join(" and ")}`;
  find("[data-do=stop]").hidden = job.state !== "painting";
  find("[data-do=continue]").hidden = !job.can_continue;
  find("[data-do=cancel]").hidden = job.state !== "waiting";
}

// The loss over the evaluations, with a gap where a new scale begins: it measures another picture.
function plot(job) {
  const points = job.curve;
  find(".numbers").textContent = Object.entries(job.losses).map(([name, x]) => `${name} ${short(x)}`).join(", ");
  if (points.length < 2) return find(".curve").setAttribute("d", "");
  const values = points.map(([, loss]) => Math.log(Math.max(loss, 1e-9)));
  const low = Math.min(...values), range = Math.max(...values) - low || 1, last = Math.max(job.steps, 1);
  const path = points.map(([step, , scale], i) => {
    const begins = i === 0 || scale !== points[i - 1][2];
    return `${begins ? "M" : "L"}${(step / last * WIDTH).toFixed(1)},${(HEIGHT - 4 - (values[i] - low) / range * (HEIGHT - 8)).toFixed(1)}`;
  });
  find(".curve").setAttribute("d", path.join(""));
  find(".plot").setAttribute("aria-label", `Loss ${short(points.at(-1)[1])} after ${job.step} of at most ${job.steps} evaluations`);
}

const short = x => Number(x.toPrecision(2)).toString();

function offer(job) {
  const isFilm = job.kind === "film", ready = job.state === "done" || job.state === "stopped" && job.step > 0 && !(isFilm && job.preview);
  find(".tools").hidden = !ready || job.kind === "sheet" || isFilm;
  find("[data-do=download]").hidden = format.parentElement.hidden = !ready;
  format.parentElement.hidden ||= isFilm;
  find("[data-do=download]").href = isFilm ? `/api/jobs/${job.id}/film` : `/api/jobs/${job.id}/picture?format=${format.value}`;
  play(isFilm && ready ? `/api/jobs/${job.id}/film` : null);
  if (!ready) mode = "single";
  const others = visible().filter(one => one.id !== job.id && one.kind === "painting" && over(one) && one.step);
  const options = [["photo", "the photograph"], ...others.reverse().map(one => [one.id, titleOf(one)])];
  if (options.map(String).join() !== [...other.options].map(o => [o.value, o.text]).map(String).join()) {
    const kept = other.value;
    other.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    other.value = options.some(([value]) => value === kept) ? kept : "photo";
  }
  arrange(job);
}

// A film that is done, in place of its last frame.
function play(url) {
  video.hidden = !url;
  after.hidden = Boolean(url);
  if (url === video.getAttribute("src")) return;
  if (url) video.src = url;
  else video.removeAttribute("src");
  video.load();
}

function arrange(job) {
  const isTexture = job.kind === "texture";
  for (const button of find(".modes").children)
    button.hidden = isTexture ? ["slide", "beside"].includes(button.dataset.mode) : button.dataset.mode === "repeated";
  find(".modes [data-mode=repeated]").hidden ||= !job.seamless;
  find(".modes").hidden = isTexture && !job.seamless;
  find(".modes [data-mode=single]").textContent = isTexture ? "Texture" : "Painting";
  other.parentElement.hidden = isTexture || other.options.length < 2; // nothing to choose
  repeated.hidden = mode !== "repeated";
  repeated.style.backgroundImage = repeated.hidden ? "" : `url("${previewUrl(job, 400)}")`;
  canvas.dataset.mode = job.kind === "sheet" ? "sheet" : job.step ? mode : "waiting";
  divider.hidden = mode !== "slide";
  for (const button of find(".modes").children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  const rival = jobs.get(other.value), compared = mode === "slide" || mode === "beside";
  find(".tag.left").textContent = job.state === "painting" && job.preview ? "Instant preview" : compared ? (rival ? titleOf(rival) : "Photograph") : "";
  find(".tag.right").textContent = compared ? (rival ? titleOf(job) : "Painting") : "";
  if (!compared) return;
  const url = rival ? previewUrl(rival) : `/api/jobs/${job.id}/photograph`;
  if (before.getAttribute("src") !== url) before.src = url;
  before.alt = rival ? titleOf(rival) : `The photograph, ${job.photo}`;
  canvas.style.setProperty("--cut", divider.value / 100);
}

async function act(what, button) {
  const path = `jobs/${view.shown}`;
  button.disabled = true;
  try {
    await (what === "cancel" ? ask(path, "DELETE") : ask(`${path}/${what}`, "POST"));
  } catch (error) {
    find(".words").textContent = sentence(error.message);
  }
  button.disabled = false;
}

export function start() {
  format.append(...FORMATS.map(([text, value]) => new Option(text, value)));
  format.addEventListener("change", render);
  // of the picture's own pixels: as many of the screen's as it has
  zoom = zoomable(canvas, find(".room"), find(".view"), () => {
    const job = jobs.get(view.shown);
    return (job?.width || after.naturalWidth) / Math.max(1, after.getBoundingClientRect().width / Number(canvas.dataset.zoom ?? 1)) / devicePixelRatio;
  });
  find(".modes").addEventListener("click", event => {
    mode = event.target.dataset.mode ?? mode;
    arrange(jobs.get(view.shown));
  });
  element.addEventListener("click", async event => {
    const button = event.target.closest("button[data-do], [data-copy]");
    if (!button) return;
    if (button.dataset.do) return act(button.dataset.do, button);
    await copy(find(`.${button.dataset.copy}`).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  divider.addEventListener("input", () => {
    canvas.style.setProperty("--cut", divider.value / 100);
    divider.setAttribute("aria-valuetext", `${divider.value} percent`);
  });
  other.addEventListener("change", () => {
    if (mode !== "beside") mode = "slide";
    arrange(jobs.get(view.shown));
  });
  subscribe(render);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed where the page is not on this machine and not encrypted
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
