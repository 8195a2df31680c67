// Day and night: as the system has it, until the visitor chooses. Runs before the page is drawn.
{
  const KEY = "impasto-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    const button = document.querySelector("#light");
    if (button) button.textContent = isDark() ? "Light" : "Dark";
  };
  show();
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.querySelector("#light").addEventListener("click", () => {
      localStorage.setItem(KEY, isDark() ? "light" : "dark");
      show();
    });
  });
}
