// The form, made from what GET /api/settings says there is to set.
import { ask } from "./api.js";
import { choices, choose, jobs, network, subscribe } from "./state.js";
import { duration } from "./words.js";

const SIZES = [256, 512, 768, 1024, 1536, 2048, 3072, 4096];
const COMMON = 512 * 384; // pixels of a picture whose seconds the server says
const LEARNT = "The network has learnt this";
const LEARNT_COLORS = ["match", "histogram"]; // as the painting has them
const SCALES = { min: 0.25, max: 4, step: 0.05 }; // of the slider; the API allows more
const front = document.querySelector("#settings .front"), rest = document.querySelector("#rest .fields");
const fields = new Map(); // controls by name
let qualities = [], limits = {}, sets = [], painted = 0;

const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

const textOf = value => (Array.isArray(value) ? value.join(",") : String(value));

const valueOf = control => textOf(choices.settings[control.name] ?? control.default);

// The settings that are chosen, of those that mean something for what is painted ("film", "texture", "look", else all) by
// what paints.
export function chosen(kind) {
  const counts = name => (!kind || fields.get(name)?.[kind]) && (!network() || fields.get(name)?.network);
  const some = Object.entries(choices.settings).filter(([name, value]) => counts(name) && !(network() && LEARNT_COLORS.includes(value)));
  return some.filter(([, value]) => String(value) !== "");
}

export const can = kind => Boolean(qualities.find(one => one.name === valueOf(fields.get("quality")))?.[kind]);

export function set(values) {
  const settings = { ...choices.settings };
  for (const [name, value] of Object.entries(values)) if (fields.has(name)) settings[name] = textOf(value);
  choose({ settings });
}

function inputOf(control) {
  if (control.shown === "switch") return make("input", { type: "checkbox" });
  if (control.name === "quality") return qualityOf(control);
  if (control.shown === "choice" || control.name === "strokes") {
    const select = make("select", {}), labels = control.choice_labels;
    const values = control.name === "size" ? [...SIZES.filter(size => size <= limits.largest), ...control.choices]
      : control.name === "strokes" ? Object.keys(labels) : control.choices;
    const words = value => labels[value] ?? (value === "full" ? "as the photograph" : control.name === "size" ? `${value} px` : value);
    select.append(...values.map(value => new Option(words(value), value)));
    return select;
  }
  if (control.shown === "slider") {
    const limits = control.name === "style_scale" ? SCALES : { min: control.minimum, max: control.maximum, step: 1 };
    return make("input", { type: "range", ...limits });
  }
  if (control.shown === "number")
    return make("input", { type: "number", min: control.minimum ?? "", max: control.maximum ?? "", step: control.type === "int" ? 1 : "any" });
  return make("input", { type: "text", spellcheck: false });
}

// Each quality with the seconds that it takes about.
function qualityOf(control) {
  const group = make("div", { className: "qualities" });
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", `label-${control.name}`);
  for (const quality of qualities) {
    const label = make("label", { title: quality.help });
    label.append(make("input", { type: "radio", name: "quality", value: quality.name }), make("span", { textContent: quality.name }), make("small", {}));
    group.append(label);
  }
  return group;
}

// Said where it matters: the picture would be larger than the photograph, or a small part of it.
function tellSize() {
  const longest = Math.max(choices.photo?.width ?? 0, choices.photo?.height ?? 0), size = Number(valueOf(fields.get("size")));
  const help = document.querySelector("#help-size"), what = choices.photo?.seconds ? "film" : "photograph";
  const matters = longest && size && (size > longest || size * 4 <= longest);
  help.classList.toggle("matters", Boolean(matters));
  help.textContent = !matters ? fields.get("size").help
    : size > longest ? `More than the ${what} has: ${longest} px` : `The ${what} has ${longest} px`;
}

function foretell() {
  tellSize();
  const { width = 4, height = 3 } = choices.photo ?? {}, longest = Math.max(width, height), known = choices.photo?.width;
  const side = choices.settings.size === "full" ? (known ? longest : 512) : Number(choices.settings.size ?? 512);
  const pixels = side ** 2 * Math.min(width, height) / longest;
  for (const label of document.querySelectorAll(".qualities label")) {
    const { seconds } = qualities.find(one => one.name === label.querySelector("input").value);
    label.querySelector("small").textContent = seconds && !choices.photo?.seconds && !network() ? `≈ ${duration(Math.max(1, seconds * pixels / COMMON)).replace(/ \d+ s$/, "")}` : "";
  }
}

// Each picture tells how long they take here.
async function learn() {
  const count = [...jobs.values()].filter(job => job.kind === "painting" && job.state === "done").length;
  if (count <= painted) return;
  painted = count;
  qualities = await ask("qualities").catch(() => qualities);
  foretell();
}

function fieldOf(control) {
  const field = make("div", { className: `field ${control.shown}`, id: `setting-${control.name}` });
  const input = inputOf(control), isGroup = control.name === "quality";
  const label = make(isGroup ? "span" : "label", { id: `label-${control.name}`, className: "label", textContent: control.label });
  const help = make("p", { id: `help-${control.name}`, className: "help", textContent: control.help });
  if (!isGroup) label.htmlFor = input.id = `input-${control.name}`;
  input.setAttribute("aria-describedby", help.id);
  field.append(label);
  if (control.shown === "slider") {
    const number = make("input", { type: "number", min: input.min, max: control.maximum, step: "any" });
    number.setAttribute("aria-label", `${control.label}, as a number`);
    number.addEventListener("change", () => set({ [control.name]: number.value || control.default }));
    input.addEventListener("input", () => set({ [control.name]: input.value }));
    field.append(input, number);
  } else {
    input.addEventListener("change", event => set({ [control.name]: control.shown === "switch" ? input.checked : event.target.value }));
    field.append(input);
  }
  field.append(help);
  return field;
}

function render() {
  for (const control of fields.values()) {
    const value = valueOf(control), field = document.querySelector(`#setting-${control.name}`);
    for (const input of field.querySelectorAll("input, select")) {
      if (input.type === "radio") input.checked = input.value === value;
      else if (input.type === "checkbox") input.checked = value === "true";
      else {
        if (input.tagName === "SELECT" && ![...input.options].some(option => option.value === value)) input.append(new Option(value, value));
        const isTyped = input === document.activeElement && ["number", "text"].includes(input.type);
        if (input.value !== value && !isTyped) input.value = value;
      }
    }
  }
  const quality = qualities.find(one => one.name === valueOf(fields.get("quality")));
  document.querySelector("#help-quality").textContent = network() ? LEARNT : quality?.help ?? "";
  leaveToNetwork();
  for (const card of document.querySelectorAll(".preset")) {
    const wanted = Object.entries(sets.find(one => one.name === card.dataset.preset).settings);
    card.setAttribute("aria-pressed", String(wanted.every(([name, value]) => valueOf(fields.get(name)) === textOf(value))));
  }
  document.querySelector("#film-only").hidden = !choices.photo?.seconds;
  foretell();
}

// What a network has learnt already, or cannot do, is not asked for; the field says why.
function leaveToNetwork() {
  const learnt = network();
  for (const control of fields.values()) {
    const field = document.querySelector(`#setting-${control.name}`), has = !learnt || control.network;
    for (const input of field.querySelectorAll("input, select")) input.disabled = !has;
    field.classList.toggle("learnt", !has);
    field.title = has ? "" : LEARNT;
    const help = document.querySelector(`#help-${control.name}`);
    if (!has) help.textContent = LEARNT;
    else if (!["quality", "size"].includes(control.name)) help.textContent = control.help;
  }
  for (const option of document.querySelector("#input-color").options) option.disabled = Boolean(learnt) && LEARNT_COLORS.includes(option.value);
  if (learnt) document.querySelector("#help-strength").textContent = `Up to ${learnt.strength}, which the network has learnt`;
}

export function start({ known, qualities: found, presets, limits: given }) {
  qualities = found;
  limits = given;
  sets = presets;
  for (const control of known) {
    if (control.shown === "beside") continue;
    fields.set(control.name, control);
    (control.front ? front : rest).append(fieldOf(control));
  }
  for (const preset of presets) {
    const card = make("button", { type: "button", className: "preset", title: preset.help });
    card.dataset.preset = preset.name;
    const image = make("img", { src: `/static/presets/${preset.name}.jpg`, alt: "" });
    image.addEventListener("error", () => image.remove());
    card.append(image, make("strong", { textContent: preset.name }), make("span", { textContent: preset.help }));
    card.addEventListener("click", () => {
      const settings = { ...choices.settings };
      for (const one of presets) for (const name of Object.keys(one.settings)) delete settings[name];
      choose({ settings: { ...settings, ...preset.settings } });
    });
    document.querySelector(".presets").append(card);
  }
  const boil = document.querySelector("#boil");
  boil.addEventListener("input", () => (boil.nextElementSibling.textContent = boil.value));
  subscribe(render);
  subscribe(learn);
}
