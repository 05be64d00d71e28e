// Light or dark: the system's choice until the reader chooses; everything that draws listens to "themechange".
const root = document.documentElement;
const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return (root.dataset.theme || (darkSystem.matches ? "dark" : "light")) === "dark";
}

function color(name) {
  return getComputedStyle(root).getPropertyValue("--" + name).trim();
}

function themeChanged() {
  const button = document.getElementById("theme");
  if (button) button.textContent = isDark() ? "Light colours" : "Dark colours";
  window.dispatchEvent(new Event("themechange"));
}

function startTheme() {
  const button = document.getElementById("theme");
  if (button) {
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      themeChanged();
    });
  }
  darkSystem.addEventListener("change", themeChanged);
  themeChanged();
}
