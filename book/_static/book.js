// The reader's system says, at once, whether it is light or dark: the theme's own script asks only when the page has been
// read, and then all of it is styled a second time.
if (document.documentElement.dataset.theme === "auto")
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

// A chapter is long, and laying all of it out takes a phone a second, several times while it loads. Until the page is loaded
// and its widgets are alive, only what is in view is laid out (book.css); the rest follows in idle moments, some blocks at a
// time. Not after a reload or a way back, when the browser restores the old scroll position, and not without scroll
// anchoring (Safari), where blocks that get their height late would move the page.
(() => {
  const root = document.documentElement;
  const [arrival] = performance.getEntriesByType("navigation");
  if (arrival?.type !== "navigate" || !window.requestIdleCallback || !CSS.supports("overflow-anchor", "auto")) return;
  root.classList.add("lays-out-late");
  // Who came by a link to a place stays there until they move: near the end of a page no browser sees to it, within a block
  // that gets its height late Firefox does not.
  let stays = true;
  for (const move of ["wheel", "touchmove", "pointerdown", "keydown"]) addEventListener(move, () => (stays = false), { once: true, passive: true });
  addEventListener("load", () => {
    const soon = { timeout: 2000 }; // a browser may never say that it is idle
    let done = 0, blocks;
    const layOutSome = ({ didTimeout }) => {
      blocks ??= [...document.querySelectorAll(".bd-article section > :not(section, h1, h2, h3)")];
      for (const block of blocks.slice(done, (done += didTimeout ? blocks.length : 20))) block.style.contentVisibility = "visible";
      if (stays) document.querySelector(":target")?.scrollIntoView({ behavior: "instant" });
      if (done < blocks.length) requestIdleCallback(layOutSome, soon);
      else document.querySelector(".bd-article-container").dataset.laidOut = "whole"; // removing the class would style the whole page anew
    };
    requestIdleCallback(layOutSome, soon);
  });
})();

// When a page is read and its widgets are live, the theme adds what can wait (tools/book_site.py lists it). Pictures that
// arrive late do not hold it up.
addEventListener("DOMContentLoaded", () => {
  const rest = () => document.dispatchEvent(new Event("at-rest", { bubbles: true }));
  if (window.requestIdleCallback) requestIdleCallback(rest, { timeout: 2000 }); // after the widgets, which have asked before
  else setTimeout(rest); // without idle moments (Safari) they are live by now
});

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

// Readers without a mouse can scroll what is too wide, too. All is measured before anything is changed, otherwise each part
// would be laid out anew. For code and outputs the theme's script would do it (tools/book_site.py says why it does not). When
// its font arrives, a formula changes its width, but its box does not.
addEventListener("at-rest", () => {
  // Whatever the Tab key stops at has a name. It is a group: as regions, dozens of them would be among the landmarks.
  const names = [["table, :has(> table)", "Table"], [".math > *", "Formula"], [".cell_output *", "Output"], ["*", "Code"]];
  const measure = (parts) => {
    const wide = parts.map((part) => part.scrollWidth > part.clientWidth);
    for (const [i, part] of parts.entries()) {
      part.tabIndex = wide[i] ? 0 : -1;
      part.role = wide[i] ? "group" : null;
      part.ariaLabel = wide[i] ? names.find(([selector]) => part.matches(selector))[1] : null;
    }
  };
  const observer = new ResizeObserver((entries) => measure(entries.map(({ target }) => target)));
  const formulas = [...document.querySelectorAll(".math > .katex-display")];
  document.fonts.addEventListener("loadingdone", () => measure(formulas));
  const others = document.querySelectorAll("pre, .cell_output > .output, .pst-scrollable-table-container, .text_html");
  for (const part of [...others, ...formulas]) observer.observe(part);
});

// After a copy button is used the focus is nowhere, and only a picture says that it worked. (The picture that was clicked
// has left the button by now: the path still knows it.)
addEventListener("DOMContentLoaded", () => {
  const told = document.createElement("div");
  told.className = "visually-hidden";
  told.role = "status";
  document.body.append(told);
  document.addEventListener("click", (event) => {
    const button = event.composedPath().find((part) => part.matches?.("button.copybtn"));
    if (!button) return;
    button.focus({ preventScroll: true });
    told.textContent = button.dataset.tooltip;
    setTimeout(() => (told.textContent = ""), 2000); // otherwise the same words are not announced a second time
  });
});

// Sphinx's link that removes the marks of a search is itself a script, which the policy of the site forbids.
document.addEventListener("click", (event) => {
  if (!event.target.closest(".highlight-link a")) return;
  event.preventDefault();
  SphinxHighlight.hideSearchWords();
});

// The button for light and dark says which of its three modes holds: the system's own looks like one of the others.
addEventListener("DOMContentLoaded", () => {
  const modes = { auto: "as the system", light: "light", dark: "dark" };
  const tell = () => {
    for (const button of document.querySelectorAll(".theme-switch-button")) {
      button.ariaLabel = `Colour theme: ${modes[document.documentElement.dataset.mode]} (press to change)`;
      bootstrap.Tooltip.getInstance(button)?.setContent({ ".tooltip-inner": button.ariaLabel });
    }
  };
  tell();
  addEventListener("at-rest", tell); // now the tooltip is there
  new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-mode"] });
});

// Beside the page, the section that is being read is marked, with those it is a part of: those on a line in the upper part of
// the window. (tools/book_site.py says why the theme does not do it.)
addEventListener("at-rest", () => {
  const target = (link) => document.getElementById(decodeURIComponent(link.hash.slice(1)))?.closest("section, dl");
  const links = new Map([...document.querySelectorAll(".bd-toc-nav a")].map((link) => [target(link), link]));
  links.delete(undefined);
  const sections = [...links.keys()], onTheLine = new Set();
  let atTheEnd = false; // of the page, where the last section may be too short to reach the line
  const show = () => {
    const read = atTheEnd ? sections.filter((section) => section.contains(sections.at(-1))) : sections.filter((section) => onTheLine.has(section));
    if (!read.length) return; // between two sections the mark stays
    for (const [section, link] of links) for (const part of [link, link.parentElement]) part.classList.toggle("active", read.includes(section));
    const bar = document.querySelector(".bd-sidebar-secondary"), room = bar.getBoundingClientRect();
    const { top, bottom } = links.get(read.at(-1)).getBoundingClientRect();
    if (top < room.top || bottom > room.bottom) bar.scrollTop += (top + bottom - room.top - room.bottom) / 2; // long contents follow
  };
  const lines = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) onTheLine[isIntersecting ? "add" : "delete"](target);
    show();
  }, { rootMargin: "-25% 0px -74%" });
  for (const section of sections) lines.observe(section);
  const end = new IntersectionObserver(([{ isIntersecting }]) => {
    atTheEnd = isIntersecting && scrollY > 0;
    show();
  }, { threshold: 1 });
  for (const footer of document.querySelectorAll(".bd-footer-content")) end.observe(footer);
});

// What lies over the page, a drawer or the search, keeps the rest of it out of reach as long as it is open. Where there is
// no room for the theme's sidebars, a button opens each as a drawer. It closes when something is chosen in it, on the way
// to another page and on Escape.
addEventListener("DOMContentLoaded", () => {
  const layers = [];
  const cover = () => {
    for (const part of document.querySelectorAll("[inert]")) part.inert = false;
    for (const [layer] of layers.filter(([, isOpen]) => isOpen()))
      for (let at = layer; at !== document.body; at = at.parentElement)
        for (const other of at.parentElement.children)
          if (other !== at && !other.matches(".overlay, .search-button__wrapper")) other.inert = true;
  };

  for (const [name, width] of [["primary", 960], ["secondary", 1200]]) {
    const box = document.getElementById(`pst-${name}-sidebar-checkbox`);
    const bar = document.querySelector(`.bd-sidebar-${name}`);
    const button = document.querySelector(`button.${name}-toggle`);
    if (!bar || !button) continue;
    const wide = matchMedia(`(min-width: ${width}px)`);
    const isOpen = () => box.checked && !wide.matches;
    const update = () => {
      button.ariaExpanded = box.checked !== wide.matches; // beside the page, a sidebar is there unless the box is checked
      cover();
    };
    const close = () => {
      box.checked = false;
      update();
    };
    layers.push([bar, isOpen]);
    box.autocomplete = "off"; // otherwise a browser opens it again on the way back
    close();
    button.addEventListener("click", update);
    box.addEventListener("change", update, true); // before the theme puts the focus on the button
    wide.addEventListener("change", close);
    addEventListener("pagehide", () => isOpen() && close());
    bar.addEventListener("click", ({ target }) => target.closest("a") && isOpen() && close(), true);
    document.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape" || !isOpen()) return;
      close();
      button.focus();
    }, true);
  }

  // Wherever the theme's search closes, the focus goes back to where it was.
  const search = document.querySelector(".search-button__wrapper");
  const isOpen = () => search.classList.contains("show");
  let last;
  layers.push([search, isOpen]);
  const button = () => [...document.querySelectorAll(".search-button, .search-button-field")].find((part) => part.checkVisibility?.());
  search.addEventListener("focusin", ({ relatedTarget }) => (last = relatedTarget ?? last ?? button())); // in Safari a click gives a button no focus
  new MutationObserver(() => {
    cover();
    if (isOpen()) return;
    last?.focus({ preventScroll: true });
    last = undefined;
  }).observe(search, { attributeFilter: ["class"] });
  addEventListener("pagehide", () => search.classList.remove("show"));
});

// The theme's search closes on Escape, wherever the focus is, and a drawer below it does not. This listener comes before
// those of the theme and of the drawers.
addEventListener("keydown", (event) => {
  const search = document.querySelector(".search-button__wrapper.show");
  if (event.key !== "Escape" || !search) return;
  event.stopImmediatePropagation();
  search.classList.remove("show");
}, true);

// On the page for missing addresses, <base> makes each link within the page lead away from it.
addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector("base")) return;
  for (const link of document.querySelectorAll('a[href^="#"]'))
    link.href = location.pathname + location.search + link.getAttribute("href");
});
