// The HTTP API, as /api/openapi.json describes it.
export async function ask(path, method = "GET", body = undefined) {
  const answer = await fetch(`/api/${path}`, { method, body });
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw new Error(content.error);
  return content;
}

export async function bring(file) {
  const form = new FormData();
  form.append("file", file);
  return ask("pictures", "POST", form);
}

export const forget = id => fetch(`/api/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

export const pictureUrl = (id, size) => `/api/pictures/${encodeURIComponent(id)}${size ? `?size=${size}` : ""}`;

export const previewUrl = (job, size) => `/api/jobs/${job.id}/preview?v=${job.version}${size ? `&size=${size}` : ""}`;
