// The picture: being painted, compared, taken along.
import { ask, jobs, over, pictureOf, sentence, show, shown, subscribe } from "./store.js";

const WIDTH = 600, HEIGHT = 60; // of the plot

export function start(element, props, trigger, watch) {
  const find = selector => element.querySelector(selector);
  const canvas = find(".canvas"), divider = find(".divider"), other = find(".other");
  const after = find(".after img"), before = find(".before img");
  let mode = "single", current = null, loading = null, wanted = null;

  const render = () => {
    const job = jobs.get(shown);
    if (job?.id !== current) begin(job);
    canvas.classList.toggle("busy", Boolean(job) && !over(job) && !job.step);
    find(".work").hidden = !job;
    if (!job) {
      canvas.dataset.mode = "empty";
      find(".tools").hidden = find(".recipe").hidden = true;
      return;
    }
    if (job.step) load(pictureOf(job));
    describe(job);
    plot(job);
    offer(job);
  };

  const begin = job => {
    current = job?.id ?? null;
    wanted = null;
    after.removeAttribute("src");
    mode = "single";
    if (!job) return;
    find(".recipe").hidden = job.kind !== "painting";
    if (job.kind === "painting")
      ask(`/api/jobs/${job.id}/recipe`, "GET").then(recipe => {
        if (current !== job.id) return;
        for (const kind of ["command", "python"]) find(`.${kind}`).textContent = recipe[kind];
      }).catch(() => {});
    find(".grid").replaceChildren(...job.names.map(name => {
      const button = Object.assign(document.createElement("button"), { type: "button", title: `Paint with ${name}` });
      button.setAttribute("aria-label", `Choose ${name}`);
      button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("impasto:style", { detail: name })));
      return button;
    }));
  };

  // One picture at a time is fetched; of those announced meanwhile, the last.
  const load = url => {
    wanted = url;
    if (loading) return;
    const image = new Image();
    const id = current;
    loading = image;
    image.onload = image.onerror = event => {
      loading = null;
      if (id === current && event.type === "load") {
        after.src = image.src;
        canvas.style.setProperty("--ratio", `${image.naturalWidth} / ${image.naturalHeight}`);
      }
      if (wanted !== url) load(wanted);
    };
    image.src = url;
  };

  const describe = job => {
    const words = find(".words"), progress = find("progress");
    const text = inWords(job);
    if (words.textContent !== text) words.textContent = text;
    words.classList.toggle("wrong", job.state === "failed");
    progress.hidden = over(job);
    if (job.state === "painting" && !job.preview) progress.value = job.steps ? job.step / job.steps : 0;
    else progress.removeAttribute("value");
    after.alt = job.kind === "sheet"
      ? `${job.photo} in the style of ${job.names.join(", ")}`
      : `${job.photo} painted in the style of ${job.styles.join(" and ")}`;
    find("[data-do=stop]").hidden = job.state !== "painting";
    find("[data-do=continue]").hidden = !job.can_continue;
    find("[data-do=cancel]").hidden = job.state !== "waiting";
    find(".tag").textContent = job.state === "painting" && job.preview ? "Instant preview" : "";
  };

  const plot = job => {
    const svg = find(".plot"), points = job.curve;
    svg.classList.toggle("off", points.length < 2);
    find(".numbers").textContent = Object.keys(job.losses).length
      ? `Loss ${short(job.losses.total)}: ` +
        Object.entries(job.losses).filter(([name]) => name !== "total").map(([name, x]) => `${name} ${short(x)}`).join(", ")
      : "";
    if (points.length < 2) return;
    const values = points.map(([, loss]) => Math.log(Math.max(loss, 1e-9)));
    const low = Math.min(...values), range = Math.max(...values) - low || 1;
    const last = Math.max(job.steps, 1);
    const line = points
      .map(([step], i) => `${(step / last * WIDTH).toFixed(1)},${(HEIGHT - 4 - (values[i] - low) / range * (HEIGHT - 8)).toFixed(1)}`)
      .join("L");
    find(".curve").setAttribute("d", `M${line}`);
    find(".area").setAttribute("d", `M${line}L${(points.at(-1)[0] / last * WIDTH).toFixed(1)},${HEIGHT}L${(points[0][0] / last * WIDTH).toFixed(1)},${HEIGHT}Z`);
    svg.setAttribute("aria-label", `Loss ${short(points.at(-1)[1])} after ${job.step} of at most ${job.steps} evaluations`);
  };

  const offer = job => {
    const ready = job.state === "done" || job.state === "stopped" && job.step > 0;
    find(".tools").hidden = !ready || job.kind === "sheet";
    for (const kind of ["png", "jpg"]) {
      find(`[data-do=${kind}]`).hidden = !ready;
      find(`[data-do=${kind}]`).href = `/api/jobs/${job.id}/picture?format=${kind}`;
    }
    if (!ready) mode = "single";
    const others = [...jobs.values()].filter(j => j.id !== job.id && j.kind === "painting" && over(j) && j.step);
    const options = [["photo", "the photograph"], ...others.reverse().map(j => [j.id, titleOf(j)])];
    if (options.map(String).join() !== [...other.options].map(o => [o.value, o.text]).map(String).join()) {
      const kept = other.value;
      other.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
      other.value = options.some(([value]) => value === kept) ? kept : "photo";
    }
    arrange(job);
  };

  const arrange = job => {
    canvas.dataset.mode = job.kind === "sheet" ? "sheet" : mode;
    divider.hidden = mode !== "slide";
    for (const button of element.querySelectorAll("[data-mode]:not(.canvas)"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    if (mode === "single") return;
    const rival = jobs.get(other.value);
    const url = rival ? pictureOf(rival) : `/studio/jobs/${job.id}/photograph`;
    if (before.getAttribute("src") !== url) before.src = url;
    before.alt = rival ? titleOf(rival) : `The photograph, ${job.photo}`;
    canvas.style.setProperty("--cut", divider.value / 100);
  };

  element.addEventListener("click", async event => {
    const button = event.target.closest("[data-do], [data-mode]:not(.canvas), [data-copy]");
    if (!button) return;
    if (button.dataset.mode) {
      mode = button.dataset.mode;
      arrange(jobs.get(shown));
    } else if (button.dataset.copy) {
      await copy(find(`.${button.dataset.copy}`).textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    } else if (["stop", "continue", "cancel"].includes(button.dataset.do)) {
      const path = `/api/jobs/${shown}`, what = button.dataset.do;
      button.disabled = true;
      try {
        await (what === "cancel" ? ask(path, "DELETE") : ask(`${path}/${what}`));
      } catch (error) {
        find(".words").textContent = sentence(error.message);
      }
      button.disabled = false;
    }
  });
  divider.addEventListener("input", () => canvas.style.setProperty("--cut", divider.value / 100));
  divider.addEventListener("input", () => divider.setAttribute("aria-valuetext", `${divider.value} percent`));
  other.addEventListener("change", () => {
    if (mode === "single") mode = "slide";
    arrange(jobs.get(shown));
  });
  watch("value", () => {
    if (!props.value) return;
    show(props.value);
    // On a phone the picture is below; it is shown once the page has grown by what belongs to it.
    setTimeout(() => {
      if (canvas.getBoundingClientRect().top > innerHeight * 0.5) canvas.scrollIntoView({ block: "start" });
    }, 400);
  });
  subscribe(render);
}

export function titleOf(job) {
  const stem = name => name.replace(/\.[a-z]{3,4}$/i, "");
  return job.kind === "sheet" ? `${stem(job.photo)}, all paintings` : `${stem(job.photo)} after ${job.styles.map(stem).join(", ")}`;
}

function inWords(job) {
  if (job.state === "waiting")
    return job.position > 1 ? `Waiting: ${job.position} pictures are before yours.` : "Waiting: one picture is before yours.";
  if (job.state === "failed") return sentence(job.error ?? "it failed");
  if (job.state === "done") return `Done in ${duration(job.seconds)}, ${job.width} × ${job.height}.`;
  if (job.state === "stopped")
    return job.step ? `Stopped after ${job.step} of ${job.steps} evaluations. The picture so far is kept.` : "Stopped.";
  if (!job.step) return "Mixing the colours…";
  if (job.kind === "sheet") return `Painting ${job.names[job.step] ?? "the last"}, ${job.step} of ${job.steps} done.`;
  if (job.preview) return "An instant preview; the painting follows.";
  const left = job.seconds_left === null ? "" : ` About ${duration(job.seconds_left)} left.`;
  return `Painting at ${job.width} × ${job.height}, scale ${job.scale} of ${job.scales}.${left}`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
}

const short = x => Number(x.toPrecision(2)).toString();

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed where the page is not on this machine and not encrypted
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
