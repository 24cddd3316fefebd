// Nodes. Text from anywhere goes in as text nodes only; nothing here ever parses markup.

const SVG = "http://www.w3.org/2000/svg";

// A node. traits: attributes; `class`, `on` (events), `data`, and properties that attributes cannot set.
export function make(tag, traits = {}, ...children) {
  return filled(document.createElement(tag), traits, children);
}

export function draw(tag, traits = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), traits, children);
}

function filled(node, traits, children) {
  for (const [name, value] of Object.entries(traits)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [type, heard] of Object.entries(value)) node.addEventListener(type, heard);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "checked" || name === "indeterminate" || name === "disabled" || name === "open") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// A part of the page that is drawn anew when what `select` takes of the state has changed. Whoever has the focus keeps
// it: the new node with the same data-key gets it.
export function section(store, node, select, render) {
  let before;
  const update = (state) => {
    const now = select(state);
    if (before && now.length === before.length && now.every((value, n) => Object.is(value, before[n]))) return;
    before = now;
    const children = [render(state)].flat(Infinity).filter(Boolean);
    const focused = node.contains(document.activeElement) ? document.activeElement : null;
    const key = focused?.dataset.key;
    node.hidden = children.length === 0;
    node.replaceChildren(...children);
    if (!focused || node.contains(document.activeElement)) return;
    const heir = key && [...node.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key && !one.disabled);
    (heir || node.querySelector("[tabindex='-1']") || document.getElementById("main")).focus({ preventScroll: true });
  };
  store.watch(update);
  return node;
}

// A heading that a script may give the focus to.
export function heading(level, id, text) {
  return make("h" + level, { id, tabindex: "-1" }, text);
}

export function link(href, text, traits = {}) {
  return make("a", { href, ...traits }, text);
}

// A link to another site, which learns nothing of ours; only over https.
export function outward(url, text, traits = {}) {
  let safe = null;
  try {
    safe = new URL(url).protocol === "https:" ? url : null;
  } catch {
    safe = null;
  }
  return safe ? make("a", { href: safe, target: "_blank", rel: "noopener noreferrer", ...traits }, text) : null;
}

export function button(text, traits, click) {
  return make("button", { type: "button", ...traits, on: { click } }, text);
}

// Says it to those who do not see the page. Twice the same is said twice.
export function say(text) {
  const said = document.getElementById("said");
  said.replaceChildren(make("p", {}, text));
}

export function focus(id) {
  const node = document.getElementById(id);
  if (!node) return;
  node.focus({ preventScroll: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
}
