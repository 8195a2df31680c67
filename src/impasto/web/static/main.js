// Starts the parts of the page, and asks for pictures.
import { ask } from "./api.js";
import * as filmstrip from "./filmstrip.js";
import * as look from "./look.js";
import * as photo from "./photo.js";
import * as settings from "./settings.js";
import { absent, areas, choices, choose, guides, isArea, listen, mask, network, networks, regionOf, show, subscribe, view, weights } from "./state.js";
import * as stage from "./stage.js";
import * as styles from "./styles.js";
import { sentence } from "./words.js";

const button = document.querySelector("#paint"), message = document.querySelector("#message");
let wrong = ""; // what the last request was answered with

const isFilm = () => Boolean(choices.photo?.seconds);

function missing() {
  if (!choices.photo) return "Choose a photograph first.";
  if (!choices.styles.length) return "Choose a painting first.";
  if (isArea(mask()) && !choices.styles.some(style => ["white", "all"].includes(regionOf(style))))
    return `No painting is for ${areas[mask()].label}: choose one beside the paintings.`;
  if (network() && choices.photo.mask && !isArea(choices.photo.mask)) return "A network paints all of a photograph alike: take its regions out by Brush…, or choose a painting.";
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

function form(paintings, kind = null, guided = []) {
  const fields = new FormData();
  if (kind !== "texture") fields.append(kind ?? "photo", choices.photo.id);
  fields.append("attended", "true");
  for (const [name, value] of settings.chosen(kind)) fields.append(name, value);
  for (const style of paintings) fields.append("style", style.id);
  for (const [name, value] of guided) fields.append(name, value);
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
  const fields = form(choices.styles, isFilm() ? "film" : null, guides());
  if (isFilm()) fields.append("boil", document.querySelector("#boil").value);
  submit(isFilm() ? "films" : "jobs", fields);
});
document.querySelector("#try-all").addEventListener("click", () => submit("sheets", form(styles.all())));
document.querySelector("#texture").addEventListener("click", () => {
  const fields = form(choices.styles, "texture", weights());
  fields.append("seamless", document.querySelector("#seamless").checked);
  if (!settings.can("texture")) fields.delete("quality"); // the usual one can
  submit("textures", fields);
});
document.querySelector("#try-strengths").addEventListener("click", () => submit("sheets", form(choices.styles.slice(0, 1))));

async function start() {
  const [known, qualities, presets, limits, visit, names, learnt, samples, found] = await Promise.all(
    ["settings", "qualities", "presets", "limits", "visit", "styles", "networks", "samples", "areas"].map(path => ask(path)));
  Object.assign(networks, learnt);
  for (const [name, area] of Object.entries(found)) (area.missing ? absent : areas)[name] = area;
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
