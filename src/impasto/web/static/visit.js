// All pictures of this visit: show, use again, delete.
import { ask, jobs, over, pictureOf, show, shown, subscribe } from "./store.js";
import { titleOf } from "./stage.js";

export function start(element, props, trigger) {
  const section = element.querySelector("section"), list = element.querySelector(".cards");
  const cards = new Map();

  const render = () => {
    section.hidden = jobs.size === 0;
    for (const [id, card] of cards)
      if (!jobs.has(id)) {
        card.remove();
        cards.delete(id);
      }
    for (const job of jobs.values()) {
      if (!cards.has(job.id)) {
        cards.set(job.id, cardOf(job));
        list.prepend(cards.get(job.id));
      }
      update(cards.get(job.id), job);
    }
  };

  const cardOf = job => {
    const card = document.createElement("li");
    const title = titleOf(job);
    card.innerHTML = `
      <button type="button" class="thumb"><img alt=""></button>
      <div class="what"><strong></strong><span class="how"></span></div>
      <div class="buttons">
        <button type="button" class="quiet again">Use again</button>
        <button type="button" class="quiet delete">Delete</button>
      </div>`;
    card.querySelector("strong").textContent = title;
    card.querySelector(".how").textContent = howOf(job);
    card.querySelector(".thumb").setAttribute("aria-label", `Show ${title}, ${howOf(job)}`);
    card.querySelector(".again").setAttribute("aria-label", `Use again: ${title}`);
    card.querySelector(".delete").setAttribute("aria-label", `Delete: ${title}`);
    card.querySelector(".again").hidden = job.kind !== "painting";
    card.querySelector(".thumb").addEventListener("click", () => show(job.id));
    card.querySelector(".again").addEventListener("click", () => trigger("again", { id: job.id }));
    card.querySelector(".delete").addEventListener("click", () => ask(`/api/jobs/${job.id}`, "DELETE").catch(() => {}));
    return card;
  };

  const update = (card, job) => {
    card.classList.toggle("shown", job.id === shown);
    card.querySelector(".thumb").setAttribute("aria-current", String(job.id === shown));
    card.classList.toggle("busy", !over(job));
    const look = `${job.state} ${job.preview} ${job.step > 0}`;
    if (job.step && card.dataset.look !== look) {
      card.dataset.look = look;
      card.querySelector("img").src = pictureOf(job, 320);
    }
  };

  subscribe(render);
}

function howOf(job) {
  const { strength, quality, size } = job.settings;
  if (job.kind === "sheet") return `strength ${strength}, instant`;
  return `strength ${strength}, ${quality}, ${size === "full" ? "full size" : `${size} px`}`;
}
