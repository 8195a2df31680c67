// The paintings: those that ship and the visitor's own. A click switches, "+" or Ctrl blends.
import { bring, pictureUrl } from "./api.js";
import { open } from "./brush.js";
import { choices, choose, isNetwork, network, networks, subscribe } from "./state.js";
import { sentence } from "./words.js";

const element = document.querySelector("#styles");
const tiles = element.querySelector(".tiles"), own = element.querySelector(".own");
const caption = element.querySelector(".caption"), also = element.querySelector(".also");
const facts = element.querySelector(".facts"), shares = element.querySelector(".shares");
const known = new Map(); // paintings that have a tile, by id
let pointed = null; // the id of the one under the pointer or the focus

export const all = () => [...known.values()].filter(style => !isNetwork(style))

const canBlend = style => !isNetwork(style) && !network();

function pick(style, blend) {
  const others = choices.styles.filter(one => one.id !== style.id);
  const isChosen = others.length < choices.styles.length;
  if (!blend || !canBlend(style)) return choose({ styles: isChosen && !others.length ? [] : [style] });
  choose({ styles: isChosen ? others : [...choices.styles, style] });
}

function add(style, title = style.name) {
  known.set(style.id, { ...style, title });
  const tile = Object.assign(document.createElement("div"), { className: "tile" });
  tile.dataset.style = style.id;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "pick" });
  button.append(
    Object.assign(new Image(), { src: pictureUrl(style.id, 160), alt: "" }),
    Object.assign(document.createElement("span"), { textContent: style.name, className: "hidden" }),
  );
  button.addEventListener("click", event => pick(style, event.ctrlKey || event.metaKey));
  const plus = Object.assign(document.createElement("button"), { type: "button", className: "blend", textContent: "+" });
  plus.addEventListener("click", () => pick(style, true));
  for (const [kind, id] of [["pointerenter", style.id], ["pointerleave", null], ["focusin", style.id], ["focusout", null]])
    tile.addEventListener(kind, () => {
      pointed = id;
      tellTitle();
    });
  tile.append(button, plus);
  if (isNetwork(style)) button.append(Object.assign(document.createElement("span"), { textContent: "at once", className: "badge" }));
  tiles.insertBefore(tile, own);
}

// What the painting is that is pointed at, else those that are chosen; and what can be done.
function tellTitle() {
  const { styles } = choices, titles = styles.map(style => known.get(style.id)?.title ?? style.name);
  const name = document.createElement("strong");
  name.textContent = pointed ? known.get(pointed).title : titles.join(" and ");
  const others = pointed && styles.length && !styles.some(style => style.id === pointed);
  caption.replaceChildren(name, others ? `: a click switches to it${canBlend(known.get(pointed)) ? ", its + blends it in" : ""}` : pointed || styles.length ? "" : "Choose one, or bring your own");
  also.hidden = !styles.length || Boolean(others) || Boolean(network());
}

function render() {
  for (const style of choices.styles) if (!known.has(style.id)) add(style);
  const chosen = new Set(choices.styles.map(style => style.id));
  for (const tile of tiles.querySelectorAll("[data-style]")) {
    const isChosen = chosen.has(tile.dataset.style), plus = tile.querySelector(".blend");
    const { name } = known.get(tile.dataset.style);
    tile.classList.toggle("chosen", isChosen);
    tile.querySelector(".pick").setAttribute("aria-pressed", String(isChosen));
    plus.hidden = !chosen.size || (isChosen && chosen.size === 1) || !canBlend(known.get(tile.dataset.style));
    plus.textContent = isChosen ? "−" : "+";
    plus.setAttribute("aria-label", isChosen ? `Take ${name} out` : `Blend ${name} in`);
  }
  tellTitle();
  const regions = Boolean(choices.photo?.mask) && !network(), several = choices.styles.length > 1;
  const look = JSON.stringify([choices.styles, regions]);
  if (shares.dataset.look === look || shares.contains(document.activeElement) && several && !regions) return;
  shares.dataset.look = look;
  shares.replaceChildren(...(several || regions ? choices.styles : []).map(style => row(style, several, regions)));
}

function change(id, what) {
  choose({ styles: choices.styles.map(style => (style.id === id ? { ...style, ...what } : style)) });
}

function shareOf(style) {
  const sum = choices.styles.reduce((all, one) => all + (one.weight ?? 1), 0);
  return `${Math.round((style.weight ?? 1) / sum * 100)} %`;
}

// How much of a painting, and where.
function row(style, several, regions) {
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("span"), { textContent: style.name, className: "name" }));
  if (several) {
    const share = Object.assign(document.createElement("input"), { type: "range", min: 1, max: 100, value: (style.weight ?? 1) * 50 });
    const number = Object.assign(document.createElement("output"), { textContent: shareOf(style) });
    share.setAttribute("aria-label", `Share of ${style.name}`);
    share.addEventListener("input", () => {
      change(style.id, { weight: share.value / 50 });
      for (const [i, output] of shares.querySelectorAll("output").entries()) output.textContent = shareOf(choices.styles[i]);
    });
    item.append(share, number);
  }
  if (regions) item.append(placeOf(style));
  return item;
}

function placeOf(style) {
  const where = document.createElement("select");
  where.setAttribute("aria-label", `Where ${style.name} is painted`);
  where.append(new Option("everywhere", "all"), new Option("in red", "red"), new Option("in blue", "blue"), new Option("by its own regions…", "own"));
  where.value = ["red", "blue"].includes(style.region) ? style.region : style.region && style.region !== "all" ? "own" : "all";
  where.addEventListener("change", async () => {
    if (where.value !== "own") return change(style.id, { region: where.value });
    try {
      const result = await open({ picture: style, title: `Regions of ${style.name}`, inks: ["red", "blue"] });
      change(style.id, { region: result?.mask ? (await bring(result.mask)).id : "all" });
    } catch (error) {
      say(sentence(error.message), true);
    }
  });
  return where;
}

function say(words, isWrong = false) {
  facts.textContent = words;
  facts.classList.toggle("wrong", isWrong);
}

async function take(files) {
  own.classList.add("busy");
  const brought = [];
  say("Reading the painting…");
  try {
    for (const file of files) brought.push(await bring(file));
    say("");
  } catch (error) {
    say(sentence(error.message), true);
  }
  own.classList.remove("busy");
  if (brought.length) choose({ styles: brought.some(isNetwork) ? brought.slice(-1) : brought });
}

export function start(names, pictures) {
  for (const [name, title] of Object.entries(names)) add({ id: name, name }, title);
  for (const [name, { title }] of Object.entries(networks)) add({ id: name, name }, title);
  for (const style of choices.styles) if (!known.has(style.id)) add(pictures.find(one => one.id === style.id) ?? style);
  element.querySelector("#styles-file").addEventListener("change", event => {
    take([...event.target.files]);
    event.target.value = "";
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
    tiles.addEventListener(kind, event => {
      own.classList.toggle("over", ["dragenter", "dragover"].includes(kind));
      if (kind === "drop") take([...event.dataTransfer.files]);
    });
  subscribe(render);
}
