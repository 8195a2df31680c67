// Starts the parts of the page, and asks for pictures.
import { ask } from "./api.js";
import * as filmstrip from "./filmstrip.js";
import * as look from "./look.js";
import * as photo from "./photo.js";
import * as settings from "./settings.js";
import { areas, choices, choose, isArea, listen, network, networks, show, subscribe, view } from "./state.js";
import * as stage from "./stage.js";
import * as styles from "./styles.js";
import { sentence } from "./words.js";

const button = document.querySelector("#paint"), message = document.querySelector("#message");
let wrong = ""; // what the last request was answered with

const isFilm = () => Boolean(choices.photo?.seconds);

function missing() {
  if (!choices.photo) return "Choose a photograph first.";
  if (!choices.styles.length) return "Choose a painting first.";
  if (network() && choices.photo.mask) return "A network paints all of a photograph alike: take its regions out by Brush…, or choose a painting.";
  return isFilm() && !network() && !settings.can("film") ? "Films are painted by another quality: choose one." : "";
}

function say() {
  button.disabled = Boolean(missing());
  button.textContent = isFilm() ? "Paint the film" : "Paint";
  message.textContent = missing() || wrong || view.hint;
  message.classList.toggle("wrong", !missing() && Boolean(wrong));
  for (const id of ["#try-all", "#try-strengths"]) document.querySelector(id).disabled = !choices.photo;
  if (!choices.styles.length) document.querySelector("#try-strengths").disabled = true;
}

function form(paintings, kind = null) {
  const fields = new FormData();
  if (kind !== "texture") fields.append(kind ?? "photo", choices.photo.id);
  fields.append("attended", "true");
  for (const [name, value] of settings.chosen(kind)) fields.append(name, value);
  for (const style of paintings) fields.append("style", style.id);
  return fields;
}

function weighted(fields) {
  const weights = choices.styles.map(style => style.weight ?? 1);
  if (new Set(weights).size > 1) fields.append("style_weight", weights.join(","));
  return fields;
}

async function submit(path, fields) {
  button.setAttribute("aria-busy", "true");
  view.asking = true;
  wrong = view.hint = "";
  try {
    show((await ask(path, "POST", fields)).id);
    const canvas = document.querySelector(".canvas"), box = canvas.getBoundingClientRect();
    if (box.top > innerHeight / 2 || box.bottom < innerHeight / 2) canvas.scrollIntoView({ block: "start" });
  } catch (error) {
    wrong = sentence(error.message);
  }
  button.removeAttribute("aria-busy");
  view.asking = false;
  say();
}

button.addEventListener("click", () => {
  const { photo, styles } = choices, fields = weighted(form(styles, isFilm() ? "film" : null));
  if (isFilm()) {
    fields.append("boil", document.querySelector("#boil").value);
    if (photo.protect) fields.append("protect", photo.protect);
    return submit("films", fields);
  }
  if (photo.protect) fields.append("protect", photo.protect);
  if (photo.mask) {
    fields.append("mask", photo.mask);
    for (const style of styles) fields.append("style_mask", style.region ?? "all");
  }
  submit("jobs", fields);
});
document.querySelector("#try-all").addEventListener("click", () => submit("sheets", form(styles.all())));
document.querySelector("#texture").addEventListener("click", () => {
  const fields = weighted(form(choices.styles, "texture"));
  fields.append("seamless", document.querySelector("#seamless").checked);
  if (!settings.can("texture")) fields.delete("quality"); // the usual one can
  submit("textures", fields);
});
document.querySelector("#try-strengths").addEventListener("click", () => submit("sheets", form(choices.styles.slice(0, 1))));

async function start() {
  const [known, qualities, presets, limits, visit, names, learnt, samples, found] = await Promise.all(
    ["settings", "qualities", "presets", "limits", "visit", "styles", "networks", "samples", "areas"].map(path => ask(path)));
  Object.assign(networks, learnt);
  Object.assign(areas, found);
  const brought = new Set(visit.pictures.map(picture => picture.id));
  const stays = id => (there(id) || isArea(id) ? id : null);
  const there = id => brought.has(id) || id in names || id in networks || samples.includes(id);
  const { photo: chosen, styles: paintings } = choices; // those that the server does not know any more are left out
  choose({
    photo: chosen && there(chosen.id) ? {
      ...chosen, mask: stays(chosen.mask), protect: stays(chosen.protect),
    } : null,
    styles: paintings.filter(style => there(style.id)),
  });
  settings.start({ known, qualities, presets, limits });
  photo.start(samples);
  styles.start(names, visit.pictures);
  stage.start();
  filmstrip.start();
  look.start();
  listen();
  subscribe(say);
  document.body.dataset.ready = "yes";
}

start().catch(error => (message.textContent = sentence(error.message)));
