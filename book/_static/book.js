// The reader's system says which theme, at once: the theme's own script asks when the page is read, and has all of it styled
// a second time.
if (document.documentElement.dataset.theme === "auto")
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

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

// Whoever has no mouse can scroll what is wide, too. All is measured before anything is changed, or each would be laid out
// anew. For code and outputs the theme's script would do it (tools/book_site.py says why it does not). A formula gets another
// width when its font arrives, and its box does not.
addEventListener("DOMContentLoaded", () => {
  const measure = (parts) => {
    const wide = parts.map((part) => part.scrollWidth > part.clientWidth);
    for (const [i, part] of parts.entries()) part.tabIndex = wide[i] ? 0 : -1;
  };
  const observer = new ResizeObserver((entries) => measure(entries.map(({ target }) => target)));
  const formulas = [...document.querySelectorAll(".math > .katex-display")];
  document.fonts.addEventListener("loadingdone", () => measure(formulas));
  const others = document.querySelectorAll("pre, .cell_output > .output, .pst-scrollable-table-container, .text_html");
  for (const part of [...others, ...formulas]) observer.observe(part);
});

// Sphinx's link that takes the marks of a search away is itself a script, which the policy of the site forbids.
document.addEventListener("click", (event) => {
  if (!event.target.closest(".highlight-link a")) return;
  event.preventDefault();
  SphinxHighlight.hideSearchWords();
});
