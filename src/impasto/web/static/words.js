// A picture in words.
const stem = name => name.replace(/\.[a-z]{3,4}$/i, "");

// The first letter of a name is not changed: a sentence may begin with a file's.
export function sentence(text) {
  const begin = /^\S*[.\d_]/.test(text) ? text.charAt(0) : text.charAt(0).toUpperCase();
  return begin + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

export function titleOf(job) {
  if (job.kind === "sheet") return `${stem(job.photo)}, a sheet`;
  if (job.kind === "texture") return `Texture of ${job.styles.map(stem).join(", ")}`;
  return `${stem(job.photo)} after ${job.styles.map(stem).join(", ")}`;
}

export function howOf(job) {
  const { strength, quality, size } = job.settings;
  if (job.kind === "sheet") return "instant";
  if (job.kind === "texture") return `${job.seamless ? "seamless, " : ""}${quality}, ${size} px`;
  return `strength ${strength}, ${quality}, ${size === "full" ? "full size" : `${size} px`}`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
}

export function stateOf(job) {
  if (job.state === "waiting")
    return job.position > 1 ? `Waiting: ${job.position} pictures are before yours.` : "Waiting: one picture is before yours.";
  if (job.state === "failed") return sentence(job.error ?? "it failed");
  if (job.kind === "film" && job.state === "done") return `Done in ${duration(job.seconds)}, ${job.step} frames of ${job.width} × ${job.height}.`;
  if (job.kind === "film" && job.state === "stopped")
    return job.step && !job.preview ? `Stopped after ${job.step} of ${job.steps} frames. The film so far is kept.` : "Stopped.";
  if (job.state === "done") return `Done in ${duration(job.seconds)}, ${job.width} × ${job.height}.`;
  if (job.state === "stopped")
    return job.step ? `Stopped after ${job.step} of ${job.steps} evaluations. The picture so far is kept.` : "Stopped.";
  if (!job.step) return "Mixing the colours…";
  if (job.kind === "sheet") return `${job.step} of ${job.steps} painted.`;
  if (job.preview) return `An instant preview; the ${job.kind === "film" ? "film" : "painting"} follows.`;
  const left = job.seconds_left === null ? "" : ` About ${duration(job.seconds_left)} left.`;
  if (job.kind === "film") return `Frame ${job.step} of ${job.steps}.${left}`;
  return `Painting at ${job.width} × ${job.height}, scale ${job.scale} of ${job.scales}.${left}`;
}
