// What the parts of the page share: this visit's jobs, as the server tells them, and which of them is shown.
export const jobs = new Map(); // by id, oldest first
export let shown = null; // id of the job on the stage
let picked = false; // has the visitor chosen what is shown?
const listeners = new Set();

export function subscribe(listener) {
  listeners.add(listener);
  listener();
}

function tell() {
  for (const listener of listeners) listener();
}

export function show(id) {
  picked = true;
  shown = id;
  tell();
}

export async function ask(path, method = "POST", body = undefined) {
  const answer = await fetch(path, { method, body });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(content.error);
  return content;
}

export async function bring(file) {
  const form = new FormData();
  form.append("file", file);
  return ask("/studio/pictures", "POST", form);
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

export function pictureOf(job, size) {
  return `/api/jobs/${job.id}/preview?v=${job.version}${size ? `&size=${size}` : ""}`;
}

export const over = job => ["done", "stopped", "failed"].includes(job.state);

const news = new EventSource("/studio/events");
news.addEventListener("all", event => { // at the beginning, and when the server was away: what there still is
  const there = new Set(JSON.parse(event.data));
  for (const id of [...jobs.keys()]) if (!there.has(id)) jobs.delete(id);
  if (shown && !there.has(shown)) shown = [...jobs.keys()].at(-1) ?? null;
  tell();
});
news.addEventListener("job", event => {
  const job = JSON.parse(event.data);
  if (!picked && !jobs.has(job.id)) shown = job.id; // after a reload the latest
  jobs.set(job.id, job);
  tell();
});
news.addEventListener("gone", event => {
  const id = JSON.parse(event.data);
  jobs.delete(id);
  if (shown === id) shown = [...jobs.keys()].at(-1) ?? null;
  tell();
});
