// What the parts of the page share: what is chosen, this visit's pictures as the server tells them, which one is shown.
const KEY = "impasto-choices";

export const jobs = new Map(); // by id, oldest first
export const removed = new Set(); // ids of those that go unless it is undone
// picked: the visitor has chosen what is shown; shows: how often; hint: beside Paint; look: at what the settings do, done;
// wanted: the id of the one that is waited for; asking: for a picture, of which the server has not heard yet; told: it has
// said what there is
export const view = { shown: null, picked: false, shows: 0, hint: "", look: null, wanted: null, asking: false, told: false };

// photo: { id, name, mask, protect }; styles: [{ id, name, weight, region }]; settings: texts by name
export const choices = { photo: null, styles: [], settings: {}, ...stored() };

export const networks = {}; // that ship, by name: a style which is painted at once, as GET /api/networks has it
export const areas = {}; // that the server finds in a photograph, by name, as GET /api/areas has it
export const absent = {}; // those for which something is missing there

// Whether what a photograph is painted with is such an area, as "faces" or "faces:80", and no file.
export const isArea = given => given?.split(":")[0] in areas;

export const isNetwork = style => Boolean(style?.learnt) || style?.id in networks;

// The one that is chosen, as { strength }; null where paintings are.
export const network = () => (isNetwork(choices.styles[0]) ? networks[choices.styles[0].id] ?? { strength: choices.styles[0].learnt } : null);

// Where the paintings go: the name of an area, of which there is the rest as well, or the id of what was drawn; null where
// all of them go everywhere.
export function mask() {
  const { photo, styles } = choices;
  if (!photo?.mask || photo.seconds || network()) return null;
  return isArea(photo.mask) && styles.length < 2 ? null : photo.mask;
}

// Where one of them goes: "all", the colour of a region, or the id of a mask of its own. An area is white on black; until
// the visitor says otherwise the first painting is for it, and the others are for the rest.
export function regionOf(style) {
  const known = one => (isArea(mask()) === ["white", "black"].includes(one.region) || one.region === "all" ? one.region : null);
  if (known(style)) return known(style);
  if (!isArea(mask())) return "all";
  const first = choices.styles.find(one => !known(one));
  return style.id === first.id && !choices.styles.some(one => known(one) === "white") ? "white" : "black";
}

// Whether each painting has a region to itself: then there is nothing to share.
export function isApart() {
  const regions = mask() ? choices.styles.map(regionOf) : ["all"];
  return regions.every(region => ["white", "black", "red", "blue"].includes(region)) && new Set(regions).size === regions.length;
}

// Where what is painted and how much of each painting, as the API takes it.
export function guides() {
  const { photo, styles } = choices, pairs = weights();
  if (photo.protect) pairs.push(["protect", photo.protect]);
  if (mask()) pairs.push(["mask", mask()], ...styles.map(style => ["style_mask", regionOf(style)]));
  return pairs;
}

export function weights() {
  const all = choices.styles.map(style => style.weight ?? 1);
  return new Set(all).size > 1 && !isApart() ? [["style_weight", all.join(",")]] : [];
}

const listeners = new Set(), looks = new Map(); // by id, as they were told last

export function subscribe(listener) {
  listeners.add(listener);
  listener();
}

export function tell() {
  for (const listener of listeners) listener();
}

export function choose(change) {
  Object.assign(choices, change);
  sessionStorage.setItem(KEY, JSON.stringify(choices));
  tell();
}

export function show(id) {
  view.picked = true;
  view.shown = id;
  view.shows += 1;
  view.wanted = null;
  if (id) view.look = null;
  tell();
}

// A look takes the canvas once it is done. The server may tell that it is before it answers who has asked for it.
export function look(job) {
  const known = looks.get(job.id), newest = known?.version > job.version ? known : job;
  looks.set(job.id, newest);
  if (newest.id === view.wanted && over(newest)) {
    view.wanted = null;
    if (newest.state === "done") {
      view.shown = null;
      view.look = newest;
    }
  }
  tell();
}

export const visible = () => [...jobs.values()].filter(job => !removed.has(job.id));

export const over = job => ["done", "stopped", "failed"].includes(job.state);

function latest() {
  view.shown = visible().at(-1)?.id ?? null;
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export function listen() {
  const news = new EventSource("/api/visit/events"), untold = new Set();
  news.addEventListener("all", event => { // at the beginning, and when the server was away: what there still is
    const there = new Set(JSON.parse(event.data));
    for (const id of there) untold.add(id);
    view.told ||= !there.size;
    for (const known of [jobs, looks]) for (const id of [...known.keys()]) if (!there.has(id)) known.delete(id);
    if (view.shown && !there.has(view.shown)) latest();
    if (!there.has(view.wanted)) view.wanted = null;
    tell();
  });
  news.addEventListener("job", event => {
    const job = JSON.parse(event.data);
    untold.delete(job.id);
    view.told ||= !untold.size;
    if (job.kind === "look") return look(job);
    if (!view.picked && !jobs.has(job.id)) view.shown = job.id; // after a reload the latest
    jobs.set(job.id, job);
    tell();
  });
  news.addEventListener("gone", event => {
    const id = JSON.parse(event.data);
    jobs.delete(id);
    looks.delete(id);
    removed.delete(id);
    if (view.shown === id) latest();
    tell();
  });
}

export function hide(id) {
  removed.add(id);
  if (view.shown === id) latest();
  tell();
}
