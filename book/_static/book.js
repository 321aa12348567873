// Paper is white: print in the light theme, and go back to the reader's own afterwards. A browser may announce one
// printing twice.
(() => {
  const root = document.documentElement;
  let theme;
  addEventListener("beforeprint", () => {
    theme ??= root.dataset.theme;
    root.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    if (theme) root.dataset.theme = theme;
    theme = undefined;
  });
})();

// The theme's buttons that fold a part of the contents have a picture and no name.
addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("summary:has(.toctree-toggle)")) {
    const link = button.closest("li").querySelector("a");
    button.setAttribute("aria-label", `Pages of: ${link.textContent.trim()}`);
  }
});

// Whoever has no mouse can scroll a wide table, too.
addEventListener("DOMContentLoaded", () => {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  });
  for (const part of document.querySelectorAll(".pst-scrollable-table-container, .text_html, .math > .katex-display")) observer.observe(part);
});
