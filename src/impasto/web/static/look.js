// What the settings would do: painted small, at once, while they are being changed.
import { ask } from "./api.js";
import { chosen } from "./settings.js";
import { choices, guides, jobs, look, over, subscribe, tell, view, visible } from "./state.js";

const PAUSE = 350; // ms without a change, before it is asked for
let known = "", shows = 0, timer = null, begun = false;

// What a small instant picture depends on; "" where there can be none.
function order() {
  const { photo, styles } = choices;
  if (!photo || photo.seconds || !styles.length) return "";
  return JSON.stringify([["photo", photo.id], ...styles.map(style => ["style", style.id]), ...chosen("look"), ...guides()]);
}

// Not in place of what is being painted, nor of a sheet, from which one chooses.
function isWelcome() {
  const shown = jobs.get(view.shown);
  return !view.asking && visible().every(over) && (!shown || shown.kind === "painting");
}

function watch() {
  const now = order();
  if (!begun && view.told) { // after a reload: a picture that is there is shown, else a look
    begun = true;
    const isDue = timer !== null; // for a change that came before the server told what there is
    if (now && now === known && !isDue && !visible().length) timer = setTimeout(request, PAUSE);
  }
  if (now === known && shows === view.shows) return;
  const isAsked = shows !== view.shows && view.shown; // to see an earlier picture
  known = now;
  shows = view.shows;
  clearTimeout(timer);
  if (now && !isAsked && isWelcome()) timer = setTimeout(request, PAUSE);
}

async function request() {
  if (!known || !isWelcome()) return;
  const asked = known, then = view.shows, fields = new FormData();
  for (const [name, value] of JSON.parse(asked)) fields.append(name, value);
  const answer = await ask("looks", "POST", fields).catch(() => null); // what is wrong is said when Paint is pressed
  if (!answer || asked !== known || then !== view.shows || !isWelcome()) return;
  view.wanted = answer.id;
  tell();
  look(answer);
}

export function start() {
  known = order();
  shows = view.shows;
  subscribe(watch);
}
