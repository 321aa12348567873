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

/** Axes on an empty plot, with ticks at `xMarks` if given: returns the drawing, its scales, a layer that cuts off what lies outside the axes, and a function that changes the range of y. */
export function axes({ width, height, x, y, xName, yName, logX = false, xMarks }) {
  const left = 52, right = 12, top = 22, bottom = 36;
  const shape = logX ? Math.log10 : (value) => value;
  const [low, high] = x.map(shape);
  let [floor, ceiling] = y;
  const toX = (value) => left + ((shape(value) - low) / (high - low)) * (width - left - right);
  const toY = (value) => top + ((ceiling - value) / (ceiling - floor)) * (height - top - bottom);
  const fromX = (pixel) => low + ((pixel - left) / (width - left - right)) * (high - low);
  const drawing = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  const tick = (value) => String(value).replaceAll("-", "\u2212");
  const xTicks = xMarks ?? (logX ? ticks(low, high, high - low).filter(Number.isInteger).map((power) => 10 ** power) : ticks(...x, width < 420 ? 4 : 8));
  const across = node("path", { class: "plm-grid" }), zeros = node("path", { class: "plm-zero" }), rows = [];
  const upright = (value) => `M${toX(value)} ${top}V${height - bottom}`, level = (value) => `M${left} ${toY(value)}H${width - right}`;
  drawing.append(node("path", { class: "plm-grid", d: xTicks.filter(Boolean).map(upright).join("") }), across, zeros);
  drawing.append(...xTicks.map((value) => node("text", { x: toX(value), y: height - bottom + 16, "text-anchor": "middle" }, tick(value))));
  const name = node("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName);
  drawing.append(name, node("text", { x: 4, y: 13 }, yName));
  const setY = (range) => {
    [floor, ceiling] = range;
    const marks = ticks(...range, 7);
    while (rows.length > marks.length) rows.pop().remove();
    while (rows.length < marks.length) name.before((rows[rows.length] = node("text", { x: left - 6, "text-anchor": "end" })));
    marks.forEach((value, i) => {
      putAttribute(rows[i], "y", toY(value) + 4);
      putText(rows[i], tick(value));
    });
    putAttribute(across, "d", marks.filter(Boolean).map(level).join(""));
    putAttribute(zeros, "d", (xTicks.includes(0) ? upright(0) : "") + (marks.includes(0) ? level(0) : ""));
  };
  setY(y);
  const inside = node("svg", { x: left, y: top, width: width - left - right, height: height - top - bottom, viewBox: `${left} ${top} ${width - left - right} ${height - top - bottom}`, overflow: "hidden" });
  drawing.append(inside);
  return { drawing, inside, toX, toY, fromX, setY };
}

/** A plot in a box, whose parts are kept as long as possible: returns a function that gives the axes, `fresh` if they had to be made anew. */
export function plotIn(box) {
  let made, madeFor, range;
  return ({ y, ...settings }) => {
    const wanted = JSON.stringify(settings), fresh = wanted !== madeFor || made.drawing.parentNode !== box;
    if (fresh) {
      [made, madeFor] = [axes({ y, ...settings }), wanted];
      box.replaceChildren(made.drawing);
    } else if (String(y) !== range) made.setY(y);
    range = String(y);
    return Object.assign(made, { fresh });
  };
}

/** A round number at least as high: the top of an axis that should not move with every value. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value * 0.999999);
}

/** The `d` of a path through points given in data coordinates. */
export const pathThrough = (points, { toX, toY }) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("");

/** Marks that can be told apart without colour (picture.py has the same): circle, square, diamond, triangles up and down, cross. */
export const MARK_PATHS = ["M-5 0A5 5 0 1 1 5 0A5 5 0 1 1-5 0Z", "M-5-5H5V5H-5Z", "M0-6L6 0L0 6L-6 0Z", "M-6 5H6L0-6Z", "M-6-5H6L0 6Z", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"];

/** The mark of curve number `kind`, at a place in pixels. */
export const markAt = (kind, x, y, attributes = {}) =>
  node("path", { class: `plm-mark plm-${kind}`, d: MARK_PATHS[kind], transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, ...attributes });

/** Moves a part that is drawn around the origin to a place in pixels. */
export const moveTo = (part, x, y) => putAttribute(part, "transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);

/** Moves a mark to a place in a plot's data coordinates, or hides it. */
export function putMark(mark, { toX, toY }, isThere, x, y) {
  putAttribute(mark, "visibility", isThere ? "visible" : "hidden");
  if (isThere) moveTo(mark, toX(x), toY(y));
}

/** Writes a text or an attribute, unless it is there already: what does not change costs no layout. */
export function putText(part, text) {
  const inside = part.firstChild, next = String(text);
  if (inside?.nodeType !== Node.TEXT_NODE || inside.nextSibling) part.textContent = next;
  else if (inside.data !== next) inside.data = next; // cheaper than another text node
}
export const putAttribute = (part, name, value) => void (part.getAttribute(name) !== String(value) && part.setAttribute(name, value));
export const putHidden = (part, isHidden) => void (part.hidden !== isHidden && (part.hidden = isHidden));

/** To the nearest whole number, halves to the even one, as Python's `round`. */
export function roundHalfEven(value) {
  const below = Math.floor(value), rest = value - below;
  return below + Number(rest > 0.5 || (rest === 0.5 && below % 2 === 1));
}

/** The sum of a list, or of an object's values. */
export const sum = (values) => Object.values(values).reduce((all, value) => all + value, 0);

/** How many of `length` positions are asked about, by the rule of BERT's code: halves to the even neighbour, at least one. */
export const predictionCount = (length, rate = 0.15) => Math.max(1, roundHalfEven(length * rate));

/** Returns `changed(what, ...now)`, which says whether something must be drawn anew: true if a value differs from last time. */
export function changes() {
  const before = {};
  return (what, ...now) => {
    const last = before[what];
    before[what] = now;
    return !last || now.some((value, i) => value !== last[i]);
  };
}

/** `count` uniform numbers in [0, 1) from a seed (mulberry32; gelu.py draws the same). */
export function mulberry32(seed, count) {
  let state = seed >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** Which values are allowed, and the messages about others, for `takeState`: ranges of numbers and whole numbers, names of options, and `others` as [check, message]. */
export function rules({ numbers = {}, wholes = {}, names = {}, others = {} }) {
  const allowed = {}, wrong = {}, tidy = (value) => String(value).replace("-", "\u2212");
  for (const [kind, ranges] of [["number", numbers], ["whole number", wholes]])
    for (const [name, [low, high]] of Object.entries(ranges)) {
      allowed[name] = (v) => Number.isFinite(v) && v >= low && v <= high && (kind === "number" || Number.isInteger(v));
      wrong[name] = `${name} must be a ${kind} from ${tidy(low)} to ${tidy(high)}.`;
    }
  for (const [name, options] of Object.entries(names)) {
    allowed[name] = (v) => typeof v === "string" && Object.hasOwn(options, v);
    wrong[name] = `${name} must be ${Object.keys(options).join(", ").replace(/, (?=[^,]*$)/, " or ")}.`;
  }
  for (const [name, [check, message]] of Object.entries(others)) [allowed[name], wrong[name]] = [check, message];
  return { allowed, wrong };
}

const drawings = new WeakMap(); // a model's, for its own controls
const waiting = new Set(); // what is to be drawn once all changes of a move are made
let sending = false;

/** Returns a function that sends several changes to the model at once; they are drawn once, when all are made. The widget is drawn even if nothing has changed: a control that was moved in vain goes back, a message that no longer holds goes away. */
export const sender = (model) => (changes) => {
  sending = true;
  for (const [name, next] of Object.entries(changes)) model.set(name, next);
  sending = false;
  for (const draw of new Set([...(drawings.get(model) ?? []), ...waiting])) draw();
  waiting.clear();
  model.save_changes();
};

/** A button that sends nothing. */
export function pushButton(text, pressed) {
  const button = node("button", { type: "button" }, text);
  button.addEventListener("click", pressed);
  return button;
}

/** Returns a function that takes the presses and moves on a part and says of each whether it belongs to a drag. With a finger only those do that come after it has gone sideways: until then it may be about to scroll the page. A second finger ends the drag. */
function dragging() {
  let from, drags;
  return (event) => {
    if (event.type === "pointerdown") [from, drags] = [event.isPrimary ? event : {}, event.pointerType !== "touch"];
    const [across, down] = [event.clientX - from.clientX, event.clientY - from.clientY].map(Math.abs);
    return (drags ||= across > 8 && across > down);
  };
}

/** Calls `moved` with the value of a slider that is moved. A browser puts the slider where a finger begins, even one that goes on to scroll the page. So this value waits until the finger goes sideways or is lifted; if the page scrolls instead, the slider goes back and nothing else has changed. */
export function followSlider(input, moved) {
  const drags = dragging(), send = () => moved(Number(input.value));
  let before; // the value that a finger found, while it may be about to scroll
  const settle = (event) => {
    const found = before;
    before = undefined;
    if (found === undefined || found === input.value) return;
    if (event.type === "pointercancel") input.value = found;
    else send();
  };
  input.addEventListener("pointerdown", (event) => void (drags(event) || (before ??= input.value)));
  input.addEventListener("pointermove", (event) => before !== undefined && drags(event) && settle(event));
  for (const end of ["pointerup", "pointercancel"]) input.addEventListener(end, settle);
  input.addEventListener("input", () => before === undefined && send());
}

/** A slider with its name and its value as it is written. */
export function labelledSlider(label, attributes, moved) {
  const input = node("input", { type: "range", "aria-label": label, ...attributes }), output = node("span", { class: "plm-value" });
  followSlider(input, moved);
  const show = (value, written = String(value)) => {
    input.value = value;
    putAttribute(input, "aria-valuetext", written);
    putText(output, written);
  };
  return { element: node("label", { class: "plm-slider" }, node("span", {}, label), output, input), input, show };
}

/** A list to choose from; `options` are names and what is shown for them. */
export function labelledSelect(label, options, picked) {
  const input = node("select", { "aria-label": label }, ...Object.entries(options).map(([value, text]) => node("option", { value }, text)));
  input.addEventListener("change", () => picked(input.value));
  return { element: node("label", { class: "plm-select" }, label, input), input, show: (value) => void (input.value !== String(value) && (input.value = value)) };
}

/** A table whose rows become blocks where there is no room. Roles are written out, because such rows would lose theirs. */
export function valueTable(columns) {
  const heads = columns.map((column) => node("th", { scope: "col", role: "columnheader" }, column)), body = node("tbody", { role: "rowgroup" });
  const table = node("table", { class: "plm-values", role: "table" }, node("thead", { role: "rowgroup" }, node("tr", { role: "row" }, ...heads)), body);
  const row = (label, cells) => node("tr", { role: "row" }, node("th", { scope: "row", role: "rowheader" }, ...[label].flat()), ...cells);
  return { table, heads, body, row, cell: (text = "") => node("td", { role: "cell" }, text) };
}

/** A table of names and values; `names` are those of the cells and what is written before them. */
export function readings(names) {
  const cells = Object.fromEntries(Object.keys(names).map((name) => [name, node("td")]));
  const rows = Object.entries(cells).map(([name, cell]) => node("tr", {}, node("th", { scope: "row" }, names[name]), cell));
  return { table: node("table", {}, node("tbody", {}, ...rows)), cells };
}

/** The line for messages, above all about refused values; it is read out at once. */
export const messageLine = () => node("p", { class: "plm-message", role: "alert" });

const widths = new WeakMap(); // of forms, asked for while they are empty: whatever is in them by then is laid out twice

/** Puts a widget into its box: title, question and a form of `parts` that is never sent. Returns the form and a function that announces a text politely. */
export function fillBox(el, title, question, ...parts) {
  const form = node("form", { novalidate: "", autocomplete: "off" });
  form.addEventListener("submit", (event) => event.preventDefault());
  const spoken = node("p", { class: "plm-unseen", role: "status", "aria-live": "polite" });
  el.append(frame(title, question, form, spoken));
  // Where nothing is laid out yet, a widget is taken to be as wide as the one before; if it is not, it is drawn again.
  document.plmWidth = (isPutOff(form) && document.plmWidth) || form.clientWidth;
  widths.set(form, document.plmWidth);
  form.append(...parts);
  return { form, say: announcer(spoken) };
}

/** A set of radio buttons. `show` marks the chosen one. The widget's own form keeps those of two copies apart; two sets in one form need two groups. */
export function choice(legend, options, picked, group = "choice") {
  const inputs = Object.keys(options).map((value) => {
    const input = node("input", { type: "radio", name: group, value });
    input.addEventListener("change", () => picked(value));
    return input;
  });
  const labels = inputs.map((input) => node("label", { class: "plm-pill" }, input, options[input.value]));
  const element = node("fieldset", {}, node("legend", { class: "plm-unseen" }, legend), ...labels);
  return { element, show: (value) => inputs.forEach((input) => (input.checked = input.value === value)) };
}

/** A field for typing a number. An allowed number is taken at once; any other is refused, aloud, when the reader leaves the field. */
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

/** Copies what is allowed from the model to the state. If a value is not allowed, the last good one stays and the message about it is returned. */
export function takeState(model, state, allowed, wrong) {
  let message = "";
  for (const [name, isAllowed] of Object.entries(allowed)) {
    if (isAllowed(model.get(name))) state[name] = model.get(name);
    else message = wrong[name];
  }
  return message;
}

/** Draws now, whenever one of the model's values changes, and whenever the width of the form changes. `draw` is given the width: reading it there would lay out the page twice. Returns a function that ends this. */
export function keepDrawn(model, names, form, draw) {
  let width = widths.get(form);
  const again = () => draw(width);
  const observer = new ResizeObserver(() => {
    if (form.clientWidth === width) return;
    width = form.clientWidth;
    again();
  });
  observer.observe(form);
  const changed = () => void (sending ? waiting.add(again) : again());
  for (const name of names) model.on(`change:${name}`, changed);
  drawings.set(model, (drawings.get(model) ?? new Set()).add(again));
  again();
  return () => {
    observer.disconnect();
    drawings.get(model).delete(again);
    for (const name of names) model.off(`change:${name}`, changed);
  };
}

/** Calls `follow` with the pointer events that are meant for this part: a click, a drag that began here with one finger or button, and, if `hovers`, a mouse that passes over it. Not a drag from elsewhere that selects text, and not two fingers that enlarge the page. */
export function followPointer(part, follow, hovers = false) {
  const drags = dragging();
  let held;
  const letGo = () => (held = undefined);
  part.style.touchAction = "pan-y pinch-zoom"; // so that a phone can still scroll
  part.addEventListener("pointerdown", (event) => {
    letGo();
    if (!event.isPrimary || event.buttons !== 1) return;
    part.setPointerCapture((held = event.pointerId));
    if (drags(event)) follow(event);
  });
  part.addEventListener("pointermove", (event) => (event.buttons ? event.buttons === 1 && event.pointerId === held && drags(event) : hovers) && follow(event));
  part.addEventListener("lostpointercapture", letGo);
  part.addEventListener("click", follow);
}

/** What an attribute says about the theme, as common.css reads it; pages change their classes for other reasons, too, such as scrolling. */
const themeIn = (name, value) => (name === "class" ? /vscode-\w+/.exec(value)?.[0] : value);

/** Calls `repaint` when the page or the reader's system changes its theme: a canvas does not follow by itself. Returns a function that ends this. */
export function watchTheme(repaint) {
  const isOther = ({ target, attributeName: name, oldValue }) => themeIn(name, target.getAttribute(name)) !== themeIn(name, oldValue);
  const watch = new MutationObserver((records) => records.some(isOther) && repaint());
  const settings = { attributeFilter: ["data-theme", "theme", "data-jp-theme-light", "class"], attributeOldValue: true };
  const system = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query));
  for (const part of [document.documentElement, document.body]) watch.observe(part, settings);
  for (const query of system) query.addEventListener("change", repaint);
  return () => {
    watch.disconnect();
    for (const query of system) query.removeEventListener("change", repaint);
  };
}

/** Tells a screen reader what changed: the last of many changes, after a pause. The first state is not news. */
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

/** Whether the browser has put off laying out a part of the page, since it is far from the reader: whoever asks for its place or size has it laid out. */
const isPutOff = (part) => Boolean(part.checkVisibility?.()) && !part.checkVisibility({ contentVisibilityAuto: true });

/** Makes every block of this widget on the page live: at once where the reader is near, the others when the browser has nothing else to do, or after two seconds: it may never say so. Each is found by its attribute, not by an id: copies may be identical. */
export function mount(name, render) {
  for (const block of document.querySelectorAll(`[data-plm-widget="${name}"]`)) {
    if (block.plmLive) continue;
    block.plmLive = true;
    const near = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && start(), { rootMargin: "50%" });
    let waits = true;
    const start = () => {
      if (waits) enliven(block, render);
      waits = false;
      near.disconnect();
    };
    const { top, bottom } = isPutOff(block) ? { top: Infinity } : block.getBoundingClientRect();
    // Without idle callbacks (Safari) there is no scroll anchoring either: what grows late above the reader would move the page.
    if ((top < 1.5 * innerHeight && bottom > -0.5 * innerHeight) || !window.requestIdleCallback) start();
    else {
      near.observe(block);
      requestIdleCallback(start, { timeout: 2000 });
    }
  }
}

/** Puts the live widget in place of its picture, at once: whatever asks for a width has the page laid out, which with both in it would be wasted. */
function enliven(block, render) {
  const view = block.querySelector(".plm-view");
  const picture = [...view.childNodes];
  const live = node("div");
  if (!isPutOff(view)) view.style.minHeight = `${view.offsetHeight}px`; // otherwise the page could end, for a moment, above the reader
  view.replaceChildren(live);
  try {
    render({ model: pageModel(JSON.parse(block.querySelector('script[type="application/json"]').textContent)), el: live });
  } catch (error) {
    view.replaceChildren(...picture); // an error puts the picture back, never an empty box
    console.error(error);
  }
  view.style.minHeight = "";
}
