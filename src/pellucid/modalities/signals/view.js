(() => {
  "use strict";
  const SPACE = "http://www.w3.org/2000/svg", LEFT = 12, RIGHT = 12, FOOT = 30, STRONGEST = 0.72, LEVELS = 48;

  const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer);
  const digits = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(3))).replace("-", "−") : "not finite");
  const node = (parent, kind, facts, text) => {
    const made = document.createElementNS(SPACE, kind);
    for (const [name, value] of Object.entries(facts)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  function ticks(low, high, about) {
    const rough = (high - low) / about, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough);
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push([k * step, (k * step).toFixed(places)]);
    return found;
  }

  function strongest(values, from, to) {
    let found = 0;
    for (let k = from; k < to; k++) {
      if (Number.isNaN(values[k])) return NaN;
      if (Math.abs(values[k]) > Math.abs(found)) found = values[k];
    }
    return found;
  }

  function show(box, data) {
    const plot = box.querySelector(".plot"), value = box.querySelector(".value"), where = box.querySelector(".where");
    const lines = data.lines.map((line) => {
      const low = floats(line.low), high = line.high ? floats(line.high) : low;
      let bottom = Infinity, top = -Infinity;
      for (const x of low) bottom = Math.min(bottom, x);
      for (const x of high) top = Math.max(top, x);
      return { name: line.name, low, high, bottom, top };
    });
    const maps = data.maps.map((map) => ({ ...map, values: floats(map.values) }));
    const parts = lines[0].low.length, hint = where.textContent;
    let chosen = 0, from = 0, to = parts, drag = null, cursor = null;

    const row = lines.length === 1 ? 230 : lines.length < 8 ? 110 : 60;
    const wide = () => Math.max(plot.clientWidth, 200) - LEFT - RIGHT;
    const x = (part) => LEFT + (wide() * (part - from)) / (to - from);
    const time = (part) => (part / parts) * data.length;

    function ground(svg, map) {
      const columns = Math.min(to - from, wide()), high = row * lines.length;
      let begun = 0, last = null;
      const close = (end) => {
        if (!last || last === "none 0") return;
        const [kind, level] = last.split(" ");
        const left = LEFT + (wide() * begun) / columns;
        node(svg, "rect", { class: kind, x: left, y: 0, width: LEFT + (wide() * end) / columns - left, height: high, "fill-opacity": kind === "broken" ? 1 : (STRONGEST * level) / LEVELS });
      };
      for (let c = 0; c < columns; c++) {
        const first = from + Math.floor(((to - from) * c) / columns), end = Math.max(first + 1, from + Math.floor(((to - from) * (c + 1)) / columns));
        const found = strongest(map.values, first, end);
        const size = map.end ? Math.round(LEVELS * Math.min(1, Math.abs(found) / map.end)) : 0;
        const shown = Number.isNaN(found) ? "broken 1" : size === 0 || (found < 0 && !map.signed) ? "none 0" : `${found > 0 ? "for" : "against"} ${size}`;
        if (shown !== last) { close(c); begun = c; last = shown; }
      }
      close(columns);
    }

    function trace(svg, line, top) {
      const columns = Math.min(to - from, Math.ceil(wide())), span = line.top - line.bottom;
      const y = (v) => (top + 8 + (row - 16) * (span ? 1 - (v - line.bottom) / span : 0.5)).toFixed(1);
      let path = "";
      for (let c = 0; c < columns; c++) {
        const first = from + Math.floor(((to - from) * c) / columns), end = Math.max(first + 1, from + Math.floor(((to - from) * (c + 1)) / columns));
        let low = Infinity, high = -Infinity;
        for (let k = first; k < end; k++) { low = Math.min(low, line.low[k]); high = Math.max(high, line.high[k]); }
        const across = (LEFT + (wide() * (c + 0.5)) / columns).toFixed(1);
        path += `${path ? "L" : "M"}${across} ${y(low)}${high > low ? `L${across} ${y(high)}` : ""}`;
      }
      node(svg, "path", { class: "line", d: path });
      if (line.name) node(svg, "text", { class: "name", x: LEFT + 4, y: top + 15 }, line.name);
    }

    function draw() {
      const high = row * lines.length, svg = document.createElementNS(SPACE, "svg");
      svg.setAttribute("viewBox", `0 0 ${wide() + LEFT + RIGHT} ${high + FOOT}`);
      ground(svg, maps[chosen]);
      lines.forEach((line, number) => {
        if (number) node(svg, "line", { class: "rule", x1: LEFT, x2: LEFT + wide(), y1: number * row, y2: number * row });
        trace(svg, line, number * row);
      });
      node(svg, "line", { class: "rule", x1: LEFT, x2: LEFT + wide(), y1: high, y2: high });
      for (const [at, text] of ticks(time(from), time(to), Math.max(2, wide() / 90))) {
        const across = LEFT + (wide() * (at - time(from))) / (time(to) - time(from));
        node(svg, "line", { class: "rule", x1: across, x2: across, y1: high, y2: high + 5 });
        const last = across > LEFT + wide() - 40, first = across < LEFT + 12;
        node(svg, "text", { x: across, y: high + 20, "text-anchor": last ? "end" : first ? "start" : "middle" }, first || last ? `${text} ${data.unit}` : text);
      }
      cursor = node(svg, "line", { class: "at", x1: -9, x2: -9, y1: 0, y2: high });
      plot.replaceChildren(svg);
      plot.dataset.from = time(from);
      plot.dataset.to = time(to);
      key();
    }

    function key() {
      const map = maps[chosen], said = box.querySelector(".key");
      said.replaceChildren();
      const entry = (kind, text) => {
        const together = document.createElement("span"), svg = node(together, "svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
        node(svg, "rect", { class: kind, width: 10, height: 10, "fill-opacity": STRONGEST });
        together.append(text);
        said.append(together);
      };
      if (!map.end) { said.append("no evidence anywhere"); return; }
      entry("for", `in favour, up to ${digits(map.end)}`);
      if (map.signed) entry("against", `against, down to ${digits(-map.end)}`);
    }

    function zoom(middle, length) {
      const size = Math.round(Math.min(parts, Math.max(Math.min(8, parts), length)));
      from = Math.round(Math.min(parts - size, Math.max(0, middle - size / 2)));
      to = from + size;
      draw();
    }

    const part = (event) => {
      const bounds = plot.getBoundingClientRect();
      const share = (event.clientX - bounds.left - LEFT) / (bounds.width - LEFT - RIGHT);
      return Math.min(to - 1, Math.max(from, Math.floor(from + share * (to - from))));
    };

    function read(at) {
      const across = x(at + 0.5);
      cursor.setAttribute("x1", across);
      cursor.setAttribute("x2", across);
      value.textContent = digits(maps[chosen].values[at]);
      value.dataset.value = maps[chosen].values[at];
      const levels = lines.map((line) => `${line.name ? `${line.name} ` : ""}${digits(line.low[at])}${line.high[at] > line.low[at] ? ` to ${digits(line.high[at])}` : ""}`);
      where.textContent = `at ${digits(time(at))} ${data.unit} · signal ${levels.slice(0, 4).join(", ")}${levels.length > 4 ? ", …" : ""}`;
    }

    plot.addEventListener("pointermove", (event) => {
      const at = part(event);
      read(at);
      if (drag === null) return;
      const [a, b] = [Math.min(drag, at), Math.max(drag, at) + 1];
      plot.querySelector(".drag")?.remove();
      node(plot.firstChild, "rect", { class: "drag", x: x(a), y: 0, width: x(b) - x(a), height: row * lines.length });
    });
    plot.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && event.button === 0) drag = part(event); });
    window.addEventListener("pointerup", (event) => {
      if (drag === null) return;
      const at = part(event), first = drag;
      drag = null;
      if (Math.abs(at - first) > (to - from) / 50) zoom((at + first + 1) / 2, Math.abs(at - first) + 1);
      else draw();
    });
    plot.addEventListener("pointerleave", () => {
      if (drag !== null) return;
      cursor.setAttribute("x1", -9);
      cursor.setAttribute("x2", -9);
      value.textContent = "–";
      delete value.dataset.value;
      where.textContent = hint;
    });

    const moves = {
      in: () => zoom((from + to) / 2, (to - from) / 2), out: () => zoom((from + to) / 2, (to - from) * 2),
      back: () => zoom((from + to) / 2 - (to - from) / 2, to - from), on: () => zoom((from + to) / 2 + (to - from) / 2, to - from),
      whole: () => zoom(parts / 2, parts),
    };
    for (const button of box.querySelectorAll("[data-zoom]")) button.addEventListener("click", moves[button.dataset.zoom]);
    const keys = { "+": "in", "-": "out", ArrowLeft: "back", ArrowRight: "on", Escape: "whole" };
    plot.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault();
      moves[keys[event.key]]();
    });
    const chips = [...box.querySelectorAll("[data-map]")];
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chosen = Number(chip.dataset.map);
        for (const each of chips) each.setAttribute("aria-pressed", String(each === chip));
        draw();
      });
    }
    let last = 0;
    new ResizeObserver(() => { if (plot.clientWidth !== last) { last = plot.clientWidth; draw(); } }).observe(plot);
    draw();
  }

  const views = JSON.parse(document.getElementById("data").textContent).views;
  for (const article of document.querySelectorAll("article[data-sample]")) {
    const box = article.querySelector(".signal");
    if (box) show(box, views[article.dataset.sample]);
  }
  document.documentElement.dataset.ready = "";
})();
