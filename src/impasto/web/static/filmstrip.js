// All pictures of this visit: show, use again, delete (and have back).
import { forget, previewUrl } from "./api.js";
import { set } from "./settings.js";
import { choices, choose, hide, jobs, over, removed, show, subscribe, tell, view, visible } from "./state.js";
import { howOf, titleOf } from "./words.js";

const UNDO = 8000; // ms
const section = document.querySelector("#visit"), list = section.querySelector(".cards"), undo = document.querySelector("#undo");
const cards = new Map();

function render() {
  const there = visible();
  section.hidden = !there.length;
  for (const [id, card] of cards)
    if (!jobs.has(id) || removed.has(id)) {
      card.remove();
      cards.delete(id);
    }
  for (const job of there) {
    if (!cards.has(job.id)) {
      cards.set(job.id, cardOf(job));
      list.prepend(cards.get(job.id));
    }
    update(cards.get(job.id), job);
  }
}

function cardOf(job) {
  const card = document.createElement("li"), title = titleOf(job);
  card.innerHTML = `
    <button type="button" class="thumb"><img alt=""></button>
    <span class="what"><strong></strong><span class="how"></span></span>
    <span class="icons">
      <button type="button" class="quiet again" title="Use its photograph, paintings and settings again"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 8a5 5 0 1 0 1.6-3.7M4.6 1.6v2.8h2.8"/></svg>Reuse</button>
      <button type="button" class="quiet delete" title="Delete"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9"/></svg></button>
    </span>`;
  card.querySelector("strong").textContent = title;
  card.querySelector(".how").textContent = howOf(job);
  card.querySelector(".thumb").setAttribute("aria-label", `Show ${title}, ${howOf(job)}`);
  card.querySelector(".thumb").title = `${title}, ${howOf(job)}`;
  card.querySelector(".again").setAttribute("aria-label", `Use again: ${title}`);
  card.querySelector(".delete").setAttribute("aria-label", `Delete: ${title}`);
  card.querySelector(".again").hidden = job.kind === "sheet";
  card.querySelector(".thumb").addEventListener("click", () => show(job.id));
  card.querySelector(".again").addEventListener("click", () => again(jobs.get(job.id)));
  card.querySelector(".delete").addEventListener("click", () => remove(job.id, title));
  return card;
}

// Everything as it was for an earlier picture, which is shown as well.
function again(job) {
  const { photo, styles, mask, protect, style_mask: regions } = job.chosen;
  const weights = [].concat(job.settings.style_weight);
  choose({
    photo: photo ? { ...photo, mask, protect } : choices.photo, // a texture has none
    styles: styles.map((style, i) => ({ ...style, weight: weights[i] ?? weights[0], region: regions?.[i] ?? "all" })),
  });
  set(job.settings);
  show(job.id);
}

function remove(id, title) {
  hide(id);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "Undo" });
  undo.replaceChildren(`Deleted ${title}. `, button);
  const end = () => {
    clearTimeout(timer);
    removeEventListener("pagehide", now);
    if (undo.contains(button)) undo.replaceChildren();
  };
  const now = () => {
    end();
    forget(id);
  };
  const timer = setTimeout(now, UNDO);
  addEventListener("pagehide", now);
  button.addEventListener("click", () => {
    end();
    removed.delete(id);
    tell();
    show(id);
  });
}

function update(card, job) {
  card.classList.toggle("shown", job.id === view.shown);
  card.querySelector(".thumb").setAttribute("aria-current", String(job.id === view.shown));
  card.classList.toggle("busy", !over(job));
  const look = `${job.state} ${job.preview} ${job.step > 0}`;
  if (job.step && card.dataset.look !== look) {
    card.dataset.look = look;
    card.querySelector("img").src = previewUrl(job, 320);
  }
}

export const start = () => subscribe(render);
