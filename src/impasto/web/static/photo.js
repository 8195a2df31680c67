// The photograph: chosen, dropped, pasted, or one of the samples.
import { bring, pictureUrl } from "./api.js";
import { look, open } from "./brush.js";
import { absent, areas, choices, choose, isArea, show, subscribe } from "./state.js";
import { sentence } from "./words.js";

const element = document.querySelector("#photo");
const find = selector => element.querySelector(selector);
const drop = find(".drop"), facts = find(".facts"), image = find(".chosen");
let said = ""; // in place of the facts: what is going on, or went wrong

function render() {
  const { photo } = choices;
  drop.classList.toggle("filled", Boolean(photo));
  image.hidden = !photo;
  find(".brush-open").hidden = !photo || Boolean(photo.seconds); // a film moves below what is drawn
  const isDrawn = Boolean(photo?.protect) && !isArea(photo.protect);
  keep(photo, isDrawn);
  const hasRegions = Boolean(photo?.mask) && !isArea(photo.mask);
  const drawn = isDrawn || hasRegions ? look(photo.id) : null;
  find(".drawn").hidden = !drawn;
  if (drawn) find(".drawn").src = drawn;
  if (photo) {
    const url = pictureUrl(photo.id, 800);
    if (image.getAttribute("src") !== url) image.src = url;
    image.alt = `The ${photo.seconds ? "film" : "photograph"}, ${photo.name}`;
  }
  const guides = photo ? [isDrawn && "an area is kept", hasRegions && "regions are drawn"] : [];
  const size = photo?.width && `${photo.width}\u00a0×\u00a0${photo.height}`;
  const words = [photo?.name, size, photo?.seconds && `${photo.seconds}\u00a0s`, ...guides].filter(Boolean).join(", ");
  write(said || words, said ? "" : photo?.name ?? "");
  for (const sample of element.querySelectorAll(".sample"))
    sample.setAttribute("aria-pressed", String(sample.dataset.id === photo?.id));
}

// The name that it begins with is cut where it is long; what follows is not.
function write(text, name) {
  if (facts.textContent === text) return;
  const first = name && text.slice(0, name.length + 1); // with the comma
  facts.replaceChildren(Object.assign(document.createElement("span"), { className: "name", textContent: first, title: name }), text.slice(first.length));
}

// What of the photograph stays: nothing, what the server finds, or what was drawn.
function keep(photo, isDrawn) {
  const choice = find(".keep select"), name = isArea(photo?.protect) ? photo.protect.split(":")[0] : "";
  const words = { "": "nothing", drawn: "what is drawn", ...Object.fromEntries(Object.entries(areas).map(([area, { label }]) => [area, label])) };
  const values = ["", ...Object.keys(areas), ...(isDrawn ? ["drawn"] : [])];
  const missing = Object.entries(absent).map(([area, { label }]) => new Option(`${label} (not installed)`, area));
  for (const option of missing) [option.disabled, option.title] = [true, absent[option.value].missing];
  if (choice.options.length !== values.length + missing.length || [...choice.options].some((option, i) => option.value !== [...values, ...Object.keys(absent)][i]))
    choice.replaceChildren(...values.map(value => new Option(words[value], value)), ...missing);
  choice.value = isDrawn ? "drawn" : name;
  find(".keep").hidden = !photo;
  find(".keep-help").hidden = find(".keep").hidden || !name;
  find(".keep-help").textContent = areas[name]?.help ?? "";
}

function say(words, isWrong = false) {
  said = words;
  facts.classList.toggle("wrong", isWrong);
  render();
}

async function take(file, count = 1) {
  if (!file) return;
  drop.classList.add("busy");
  say(`Reading ${file.name}…`);
  try {
    const photo = await bring(file);
    say(count > 1 ? `One at a time: ${file.name}, of ${count}` : "");
    choose({ photo: { ...photo, ...named() } });
    show(null); // the canvas shows what will be painted
  } catch (error) {
    say(sentence(error.message), true);
  }
  drop.classList.remove("busy");
}

// What is named, and not drawn, holds for the next photograph as well.
function named() {
  const { mask, protect } = choices.photo ?? {};
  return { mask: isArea(mask) ? mask : null, protect: isArea(protect) ? protect : null };
}

export async function brush() {
  const { photo } = choices;
  const result = await open({ picture: photo, title: "What stays, and regions", inks: ["protect", "red", "blue"] });
  if (!result) return;
  const id = async file => (file ? (await bring(file)).id : null);
  try {
    const drawn = { protect: await id(result.protect), mask: await id(result.mask) }, kept = named();
    if (choices.photo?.id === photo.id) choose({ photo: { ...photo, protect: drawn.protect ?? kept.protect, mask: drawn.mask ?? kept.mask } });
  } catch (error) {
    say(sentence(error.message), true);
  }
}

export function start(samples) {
  for (const name of samples) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "sample", title: name });
    button.dataset.id = name;
    button.append(Object.assign(new Image(), { src: pictureUrl(name, 160), alt: `Sample: ${name}` }));
    button.addEventListener("click", () => {
      said = "";
      facts.classList.remove("wrong");
      choose({ photo: { id: name, name, ...named() } });
      show(null);
    });
    find(".samples").append(button);
  }
  find(".samples").hidden = !samples.length;
  find(".brush-open").addEventListener("click", brush);
  find(".keep select").addEventListener("change", event => {
    const { value } = event.target;
    if (value !== "drawn") choose({ photo: { ...choices.photo, protect: value || null } });
  });
  find("input").addEventListener("change", event => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  // Wherever it is dropped, but on the paintings: a browser would leave the page for it.
  let inside = 0;
  const onPaintings = event => Boolean(event.target.closest?.("#styles"));
  const wave = () => document.body.classList.toggle("dropping", inside > 0);
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
    addEventListener(kind, event => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      inside = kind === "drop" ? 0 : inside + (kind === "dragenter") - (kind === "dragleave");
      wave();
      if (onPaintings(event)) document.body.classList.remove("dropping");
      else if (kind === "drop") take(event.dataTransfer.files[0], event.dataTransfer.files.length);
    });
  document.addEventListener("paste", event => take([...event.clipboardData.files].find(f => f.type.startsWith("image/"))));
  subscribe(render);
}
