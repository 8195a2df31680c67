// Day and night: as the system has it, until the visitor chooses.
const KEY = "impasto-theme";

export function start(element) {
  const button = element.querySelector("#light");
  const show = dark => {
    document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem(KEY);
  show(chosen ? chosen === "dark" : system.matches);
  system.addEventListener("change", () => localStorage.getItem(KEY) || show(system.matches));
  button.addEventListener("click", () => {
    const dark = !document.body.classList.contains("dark");
    localStorage.setItem(KEY, dark ? "dark" : "light");
    show(dark);
  });
}
