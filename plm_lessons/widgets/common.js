// What every widget shares. base.py puts this text in front of NAME.js, so that each widget is one ES module without imports.

const DRAWN = new Set(["svg", "g", "path", "line", "rect", "text"]);

/** A new element (HTML or SVG). Strings among the children become text, never markup. */
export function node(tag, attributes = {}, ...children) {
  const made = DRAWN.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The box around a widget. Plain keys stay inside: a notebook would take the arrows from sliders and act on letters. */
export function frame(title, ...children) {
  const box = node("div", { class: "plm-widget", role: "group", "aria-label": title }, node("p", { class: "plm-title" }, title), ...children);
  box.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape")) event.stopPropagation();
  });
  return box;
}

/** A number for reading: `digits` decimals, powers of ten below 0.001, a true minus sign. */
export function format(value, digits = 5) {
  if (value === 0) return "0";
  const text = Math.abs(value) < 0.001 ? value.toExponential(2) : value.toFixed(digits);
  return text.replaceAll("-", "\u2212");
}

/** Round tick positions from low to high, about `count` of them, in steps of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 3);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(9)));
  return found;
}

/** Axes on an empty plot: returns the drawing, its scales, and a layer that cuts off what lies outside the axes. */
export function axes({ width, height, x, y, xName, yName, logX = false }) {
  const left = 52, right = 12, top = 22, bottom = 36;
  const shape = logX ? Math.log10 : (value) => value;
  const [low, high] = x.map(shape);
  const toX = (value) => left + ((shape(value) - low) / (high - low)) * (width - left - right);
  const toY = (value) => top + ((y[1] - value) / (y[1] - y[0])) * (height - top - bottom);
  const fromX = (pixel) => low + ((pixel - left) / (width - left - right)) * (high - low);
  const drawing = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  const tick = (value) => String(value).replaceAll("-", "\u2212");
  const xTicks = logX ? ticks(low, high, high - low).filter(Number.isInteger).map((power) => 10 ** power) : ticks(...x, width < 420 ? 4 : 8);
  for (const value of xTicks)
    drawing.append(
      node("line", { class: value === 0 ? "plm-zero" : "plm-grid", x1: toX(value), x2: toX(value), y1: top, y2: height - bottom }),
      node("text", { x: toX(value), y: height - bottom + 16, "text-anchor": "middle" }, tick(value)),
    );
  for (const value of ticks(...y, 7))
    drawing.append(
      node("line", { class: value === 0 ? "plm-zero" : "plm-grid", x1: left, x2: width - right, y1: toY(value), y2: toY(value) }),
      node("text", { x: left - 6, y: toY(value) + 4, "text-anchor": "end" }, tick(value)),
    );
  drawing.append(
    node("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName),
    node("text", { x: 4, y: 13 }, yName),
  );
  const inside = node("svg", { x: left, y: top, width: width - left - right, height: height - top - bottom, viewBox: `${left} ${top} ${width - left - right} ${height - top - bottom}`, overflow: "hidden" });
  drawing.append(inside);
  return { drawing, inside, toX, toY, fromX };
}

/** The `d` of a path through points given in data coordinates. */
export const pathThrough = (points, { toX, toY }) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("");

/** A set of radio buttons. `show` marks the chosen one. The widget's own form keeps those of two copies apart. */
export function choice(legend, options, picked) {
  const inputs = Object.keys(options).map((value) => {
    const input = node("input", { type: "radio", name: "choice", value });
    input.addEventListener("change", () => picked(value));
    return input;
  });
  const labels = inputs.map((input) => node("label", { class: "plm-pill" }, input, options[input.value]));
  const element = node("fieldset", {}, node("legend", { class: "plm-unseen" }, legend), ...labels);
  return { element, show: (value) => inputs.forEach((input) => (input.checked = input.value === value)) };
}

/** A field for typing a number. What is allowed is taken at once; the rest is refused, aloud, when the reader leaves it. */
export function numberField(label, attributes, allowed, taken, refused) {
  const input = node("input", { type: "number", ...attributes });
  const read = () => (input.value === "" ? NaN : Number(input.value));
  input.addEventListener("input", () => allowed(read()) && taken(read()));
  input.addEventListener("change", () => {
    if (allowed(read())) return;
    input.setAttribute("aria-invalid", "true");
    refused();
  });
  const show = (value) => {
    if (read() !== value) input.value = value;
    input.removeAttribute("aria-invalid");
  };
  return { element: node("label", {}, label, input), show };
}

/** Copies what is allowed from the model to the state. Where a value is not, the last good one stays and its message returns. */
export function takeState(model, state, allowed, wrong) {
  let message = "";
  for (const [name, isAllowed] of Object.entries(allowed)) {
    if (isAllowed(model.get(name))) state[name] = model.get(name);
    else message = wrong[name];
  }
  return message;
}

/** Draws now, when one of the model's values changes and when the box gets another width. Returns what ends this. */
export function keepDrawn(model, names, box, draw) {
  let width = box.clientWidth;
  const observer = new ResizeObserver(() => {
    if (box.clientWidth !== width) draw();
    width = box.clientWidth;
  });
  observer.observe(box);
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => {
    observer.disconnect();
    for (const name of names) model.off(`change:${name}`, draw);
  };
}

/** Says what changed to a screen reader: the last of many changes, after a pause. The first state is not news. */
export function announcer(region, pause = 600) {
  let timer, last;
  return (text) => {
    if (text === last) return;
    clearTimeout(timer);
    if (last === undefined) return void (last = text);
    last = text;
    timer = setTimeout(() => (region.textContent = text), pause);
  };
}

/** The same get/set/on/off that anywidget's model has, for a page without a kernel. */
export function pageModel(state) {
  const heard = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      for (const callback of [...(heard[`change:${name}`] ?? [])]) callback();
    },
    save_changes() {},
    on: (event, callback) => (heard[event] ??= new Set()).add(callback),
    off: (event, callback) => heard[event]?.delete(callback),
  };
}

/** Makes every block of this widget on the page live. Each is found by its attribute, not by an id: copies may be equal. */
export function mount(name, render) {
  for (const block of document.querySelectorAll(`[data-plm-widget="${name}"]`)) {
    if (block.plmLive) continue;
    block.plmLive = true;
    const view = block.querySelector(".plm-view");
    const picture = [...view.childNodes];
    const live = node("div");
    view.append(live);
    try {
      render({ model: pageModel(JSON.parse(block.querySelector('script[type="application/json"]').textContent)), el: live });
      for (const part of picture) part.remove();
    } catch (error) {
      live.remove(); // an error leaves the picture in place, never an empty box
      console.error(error);
    }
  }
}
