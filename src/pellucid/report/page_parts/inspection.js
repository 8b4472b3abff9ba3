const data = JSON.parse(document.getElementById("data").textContent);
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, kind = "", text = "") => Object.assign(document.createElement(tag), { className: kind, textContent: text });
const press = (buttons, chosen) => buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === chosen)));

// ---- activations ----

const colours = Object.fromEntries(Object.entries(data.tables).map(([name, table]) => [name, bytesOf(table)]));
const layers = (data.layers || []).map((layer) => ({ ...layer, maps: layer.maps.map(decodeMap) }));
let layerShown = 0;
let common = "unit";

function paintMap(canvas, map, scale) {
  canvas.width = map.columns;
  canvas.height = map.rows;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(map.columns, map.rows);
  const table = palette(colours, scale, LOOKS.veil, true);
  paint(image.data, null, place(map.values, scale), scale, table, 1);
  pen.putImageData(image, 0, 0);
}

function unitScale(layer, map) {
  if (common === "unit") return scaleOf(map.values, 99.5);
  if (common === "layer") return { high: layer.high, signed: layer.signed };
  return { high: Math.max(...layers.map((l) => l.high)), signed: layers.some((l) => l.signed) };
}

function showLayer() {
  const layer = layers[layerShown];
  one(".which").textContent = layer.site;
  all(".counts").forEach((text) => (text.hidden = Number(text.dataset.layer) !== layerShown));
  one(".units").replaceChildren(
    ...layer.units.map((unit, k) => {
      const map = layer.maps[k + 1];
      const figure = make("figure");
      const canvas = make("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `map of unit ${unit}`);
      paintMap(canvas, map, unitScale(layer, map));
      canvas.addEventListener("pointermove", (event) => {
        const place = canvas.getBoundingClientRect();
        const column = Math.min(map.columns - 1, Math.max(0, Math.floor(((event.clientX - place.left) / place.width) * map.columns)));
        const row = Math.min(map.rows - 1, Math.max(0, Math.floor(((event.clientY - place.top) / place.height) * map.rows)));
        const averaged = layer.averaged > 1 ? `, mean of ${layer.averaged} × ${layer.averaged} cells` : "";
        one(".layers .readout .value").textContent = map.values[row * map.columns + column].toPrecision(4);
        one(".layers .readout .where").textContent = `unit ${unit} at row ${row * layer.averaged}, column ${column * layer.averaged}${averaged}`;
      });
      figure.append(canvas, make("figcaption", "", `unit ${unit}`));
      return figure;
    }),
  );
}

if (layers.length) {
  all(".station").forEach((button, k) => {
    paintMap(one("canvas", button), layers[k].maps[0], { ...scaleOf(layers[k].maps[0].values, 99.5), signed: false });
    button.addEventListener("click", () => {
      layerShown = k;
      press(all(".station"), button);
      showLayer();
    });
  });
  all("[data-common]").forEach((button) =>
    button.addEventListener("click", () => {
      common = button.dataset.common;
      press(all("[data-common]"), button);
      showLayer();
    }),
  );
  showLayer();
}

// ---- drawing ----

const LANE = 11;
const AT_ONCE = 1200;
const graph = one(".graph");
const ABOVE = -1;
const short = (n) => (n >= 1e9 ? `${+(n / 1e9).toPrecision(3)} G` : n >= 1e6 ? `${+(n / 1e6).toPrecision(3)} M` : n >= 1e3 ? `${+(n / 1e3).toPrecision(3)} k` : String(n));

function about(box) {
  const facts = [
    `${box.path || box.label}: ${[box.label, box.detail].filter(Boolean).join(", ")}`,
    box.shape && `gives ${box.shape}`,
    box.parameters && `${short(box.parameters)} parameters`,
    box.costs && `${short(box.costs)} multiply-adds`,
    box.reads && `hears from ${box.reads.join(", ")}`,
  ];
  one(".about").textContent = facts.filter(Boolean).join(" · ");
}

function words(box) {
  const run = box.family === "run";
  const inside = box.items ? (run ? box.detail : `${box.count} parts`) : "";
  const first = [box.label, run ? "" : box.detail].filter(Boolean).join(" ");
  return [first, [box.name, box.shape, inside].filter(Boolean).join(" · ")];
}

function closed(box) {
  const sign = box.family === "join" && box.label.length === 1;
  const button = make("button", `node ${box.family}${box.items ? " group" : ""}${sign ? " sign" : ""}`);
  button.type = "button";
  const [first, second] = words(box);
  button.append(first);
  if (!sign) button.append(make("small", "", second));
  else button.setAttribute("aria-label", `${box.label} of ${(box.reads || []).join(" and ")}`);
  return button;
}

function draw(box) {
  const node = closed(box);
  node.box = box;
  node.addEventListener("focus", () => about(box));
  node.addEventListener("pointerenter", () => about(box));
  if (!box.items) return node;
  node.setAttribute("aria-expanded", "false");
  node.addEventListener("click", () => {
    toggle(node);
    wireAll();
  });
  return node;
}

function toggle(node) {
  const box = node.box;
  if (node.getAttribute("aria-expanded") === "true") {
    const fresh = draw(box);
    node.parentElement.replaceWith(fresh);
    fresh.focus({ preventScroll: true });
    return fresh;
  }
  const frame = make("div", "open");
  node.replaceWith(frame);
  node.className = "node";
  node.replaceChildren(make("strong", "", box.name || box.label), box.name ? ` ${box.label}` : "");
  node.setAttribute("aria-expanded", "true");
  frame.append(node, inside(box));
  node.focus({ preventScroll: true });
  return node;
}

function inside(box) {
  const place = make("div", "inside");
  place.box = box;
  place.style.paddingLeft = place.style.paddingRight = `${14 + LANE * (box.lanes || 0)}px`;
  place.parts = [];
  for (const numbers of box.ranks) {
    const rank = make("div", "rank");
    for (const k of numbers) rank.append(draw(box.items[k]));
    place.append(rank);
  }
  place.append(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
  place.lastChild.setAttribute("class", "wires");
  place.lastChild.setAttribute("aria-hidden", "true");
  return place;
}

// Where a part stands within its box; `top` and `bottom` are where lines meet it.
function spot(place, element) {
  const outer = place.getBoundingClientRect();
  const own = element.getBoundingClientRect();
  const left = own.left - outer.left;
  return { middle: left + own.width / 2, right: left + own.width, top: own.top - outer.top, bottom: own.bottom - outer.top };
}

function wire(place) {
  const { box } = place;
  const ranks = [...place.children].slice(0, -1);
  const spots = {};
  const lonely = {};
  box.ranks.forEach((numbers, r) =>
    numbers.forEach((k, c) => {
      const part = ranks[r].children[c];
      spots[k] = spot(place, part);
      lonely[k] = numbers.length === 1 && !part.classList.contains("open");
    }),
  );
  const wide = place.clientWidth, high = place.clientHeight;
  const paths = [], tips = [];
  const tip = (x, y, side) => tips.push(side ? `M${x} ${y} l6 -3.5 v7 z` : `M${x} ${y} l-3.5 -6 h7 z`);
  for (const [start, end, lane] of box.lines || []) {
    const from = spots[start] || { middle: wide / 2, bottom: 0 };
    const to = spots[end] || { middle: wide / 2, top: high };
    const last = !(end in spots);
    if (!lane) {
      const half = (from.bottom + to.top) / 2;
      paths.push(Math.abs(from.middle - to.middle) < 1 ? `M${from.middle} ${from.bottom} V${to.top}` : `M${from.middle} ${from.bottom} C${from.middle} ${half} ${to.middle} ${half} ${to.middle} ${to.top - 2}`);
      if (!last) tip(to.middle, to.top);
      continue;
    }
    const x = wide - 8 - LANE * (box.lanes - lane + 0.5);
    const begin = lonely[start] ? `M${from.right} ${(from.top + from.bottom) / 2} H${x - 6} q6 0 6 6` : `M${from.middle} ${from.bottom} v4 q0 4 4 4 H${x - 6} q6 0 6 6`;
    if (lonely[end]) {
      const level = (to.top + to.bottom) / 2;
      paths.push(`${begin} V${level - 6} q0 6 -6 6 H${to.right + 5}`);
      tip(to.right, level, true);
    } else {
      paths.push(`${begin} V${to.top - 14} q0 6 -6 6 H${to.middle + 8} q-4 0 -4 4 V${to.top - 2}`);
      if (!last) tip(to.middle + 4, to.top);
    }
  }
  const svg = place.lastChild;
  const shape = (d, kind) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    if (kind) path.setAttribute("class", kind);
    return path;
  };
  svg.replaceChildren(shape(paths.join(" ")), shape(tips.join(" "), "tip"));
}

function wireAll() {
  all(".inside", graph).forEach(wire);
}

function unfoldLevel() {
  const folded = all('.node[aria-expanded="false"]', graph);
  let shown = all(".node", graph).length;
  for (const node of folded) {
    shown += node.box.items.length;
    if (shown > AT_ONCE) {
      one(".about").textContent = `Not everything was unfolded: more than ${AT_ONCE} boxes at once are of little use. Open single ones.`;
      break;
    }
    toggle(node);
  }
  wireAll();
}

function foldAll() {
  graph.replaceChildren(inside(data.graph));
  wireAll();
}

one('[data-fold="all"]').addEventListener("click", foldAll);
one('[data-fold="more"]').addEventListener("click", (event) => {
  unfoldLevel();
  event.currentTarget.focus({ preventScroll: true });
});
graph.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const nodes = all(".node", graph);
  const next = nodes[nodes.indexOf(document.activeElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
});
new ResizeObserver(wireAll).observe(graph);
foldAll();

// ---- table ----

all("[data-rows]").forEach((button) =>
  button.addEventListener("click", () => {
    press(all("[data-rows]"), button);
    all(".structure tbody tr").forEach((row) => (row.hidden = button.dataset.rows === "outer" && Number(row.dataset.depth) > 2));
  }),
);
