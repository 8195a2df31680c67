// The paintings: those that ship and the visitor's own. A click switches, "+" or Ctrl blends.
import { bring, pictureUrl } from "./api.js";
import { open } from "./brush.js";
import { brush } from "./photo.js";
import { absent, areas, choices, choose, isApart, isArea, isNetwork, mask, network, networks, regionOf, subscribe, tell } from "./state.js";
import { sentence } from "./words.js";

const element = document.querySelector("#styles");
const tiles = element.querySelector(".tiles"), own = element.querySelector(".own");
const caption = element.querySelector(".caption"), also = element.querySelector(".also");
const facts = element.querySelector(".facts"), shares = element.querySelector(".shares");
const where = element.querySelector(".where"), whereHelp = element.querySelector("#where-help");
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
    tile.addEventListener(kind, event => {
      if (event.pointerType === "touch" || kind === "focusin" && !event.target.matches(":focus-visible")) return; // it has been chosen, not pointed at
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
  also.querySelector("#texture").textContent = `Paint ${styles.length > 1 ? "their" : "its"} texture`;
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
  place();
  rows();
}

// Where they go, of several: everywhere, apart by an area that is found, or by regions that are drawn.
function place() {
  const select = where.querySelector("select"), { photo, styles } = choices;
  where.hidden = whereHelp.hidden = styles.length < 2 || !photo || Boolean(photo.seconds);
  if (where.hidden) return;
  if (!select.options.length) {
    const apart = ([name, { label }]) => new Option(`one on ${label}, one on the rest`, name);
    const missing = Object.entries(absent).map(apart);
    for (const option of missing) option.disabled = true;
    select.append(new Option("everywhere, mixed", ""), ...Object.entries(areas).map(apart), ...missing, new Option("by regions that you draw…", "drawn"));
    select.addEventListener("change", choosePlace);
  }
  select.value = !mask() ? "" : isArea(mask()) ? mask() : "drawn";
  const missing = Object.values(absent), labels = missing.map(area => area.label).join(" and ");
  whereHelp.textContent = labels && sentence(`${labels} cannot be found here: what does it is not installed (see “What finds faces” in the documentation)`);
  whereHelp.title = missing.map(area => area.missing).join("\n");
}

async function choosePlace({ target: { value } }) {
  if (value !== "drawn") return choose({ photo: { ...choices.photo, mask: value || null } });
  await brush();
  tell(); // as it was, if nothing was drawn
}

function rows() {
  const several = choices.styles.length > 1, isShared = several && !isApart(), isPlaced = Boolean(mask());
  const look = JSON.stringify([choices.styles.map(style => style.id), isShared, isPlaced && (isArea(mask()) || "drawn")]);
  if (shares.dataset.look !== look) {
    const held = shares.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    shares.dataset.look = look;
    shares.replaceChildren(...(several || isPlaced ? choices.styles : []).map(style => row(style, isShared, isPlaced)));
    if (held) shares.querySelector(`[aria-label="${CSS.escape(held)}"]`)?.focus();
  }
  for (const [i, item] of [...shares.children].entries()) update(item, choices.styles[i]);
}

function change(id, what) {
  choose({ styles: choices.styles.map(style => (style.id === id ? { ...style, ...what } : style)) });
}

function shareOf(style) {
  const sum = choices.styles.reduce((all, one) => all + (one.weight ?? 1), 0);
  return `${Math.round((style.weight ?? 1) / sum * 100)} %`;
}

// How much of a painting, and where.
function row(style, isShared, isPlaced) {
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("span"), { textContent: style.name, className: "name" }));
  if (isShared) {
    const share = Object.assign(document.createElement("input"), { type: "range", min: 1, max: 100 });
    share.setAttribute("aria-label", `Share of ${style.name}`);
    share.addEventListener("input", () => change(style.id, { weight: share.value / 50 }));
    item.append(share, document.createElement("output"));
  }
  if (isPlaced) item.append(placeOf(style));
  return item;
}

function update(item, style) {
  const share = item.querySelector("input"), select = item.querySelector("select");
  if (share) {
    if (share !== document.activeElement) share.value = (style.weight ?? 1) * 50;
    item.querySelector("output").textContent = shareOf(style);
  }
  if (select) select.value = [...select.options].some(option => option.value === regionOf(style)) ? regionOf(style) : "own";
}

function placeOf(style) {
  const select = document.createElement("select");
  select.setAttribute("aria-label", `Where ${style.name} is painted`);
  select.append(new Option("everywhere", "all"));
  if (isArea(mask())) select.append(new Option(`on ${areas[mask()].label}`, "white"), new Option("on the rest", "black"));
  else select.append(new Option("in red", "red"), new Option("in blue", "blue"), new Option("by its own regions…", "own"));
  select.addEventListener("change", () => put(style, select.value));
  return select;
}

async function put(style, region) {
  if (region !== "own") {
    const others = choices.styles.filter(one => one.id !== style.id), opposite = { white: "black", black: "white" }[region];
    // of two paintings the other one goes where this one is not
    const moved = others.length === 1 && opposite && regionOf(others[0]) === region ? others[0].id : null;
    return choose({ styles: choices.styles.map(one => ({ ...one, region: one.id === style.id ? region : one.id === moved ? opposite : regionOf(one) })) });
  }
  try {
    const result = await open({ picture: style, title: `Regions of ${style.name}`, inks: ["red", "blue"] });
    if (result) change(style.id, { region: result.mask ? (await bring(result.mask)).id : "all" });
    else tell(); // as it was
  } catch (error) {
    say(sentence(error.message), true);
  }
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
