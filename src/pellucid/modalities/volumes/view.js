(() => {
  "use strict";
  const INVALID = [0, 200, 120], STRONGEST = 0.85, DIM = 0.15, CURVE = 0.75;
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

  const halves = (text, unit) => {
    const raw = new DataView(bytes(text).buffer);
    const found = new Float64Array(raw.byteLength / 2);
    for (let k = 0; k < found.length; k++) {
      const bits = raw.getUint16(2 * k, true), power = (bits >> 10) & 31, part = bits & 1023;
      const size = power === 0 ? part * 2 ** -24 : power === 31 ? (part ? NaN : Infinity) : (1 + part / 1024) * 2 ** (power - 15);
      found[k] = (bits >> 15 ? -size : size) * unit;
    }
    return found;
  };

  const number = (value) => Number.isFinite(value) ? Number(value.toPrecision(3)).toString() : "not finite";

  function show(root, data) {
    const find = (selector) => root.querySelector(selector);
    const tables = { true: bytes(data.tables.signed), false: bytes(data.tables.oneSided) };
    const ground = bytes(data.ground), sizes = data.sizes, strides = [sizes[1] * sizes[2], sizes[2], 1];
    const maps = data.maps.map((map) => ({ ...map, values: halves(map.data, map.unit), largest: {} }));
    const lightest = {};
    let chosen = 0, largest = false, opacity = 1;
    const place = peak(maps[0].values);

    function peak(values) {
      let best = 0, size = -1;
      values.forEach((value, k) => { if (Math.abs(value) > size) { size = Math.abs(value); best = k; } });
      return strides.map((stride, axis) => Math.floor(best / stride) % sizes[axis]);
    }

    const offset = (plane, at, i, j) => at * strides[plane.axis]
      + (plane.turnDown ? sizes[plane.down] - 1 - i : i) * strides[plane.down]
      + (plane.turnRight ? sizes[plane.right] - 1 - j : j) * strides[plane.right];

    const sought = (kept, plane, values, size) => kept[plane.axis] ??= (() => {
      const rows = sizes[plane.down], columns = sizes[plane.right], found = new Float64Array(rows * columns);
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
        let best = -1;
        for (let at = 0; at < sizes[plane.axis]; at++) {
          const value = values[offset(plane, at, i, j)], now = Number.isNaN(value) ? Infinity : size(value);
          if (now > best) { best = now; found[i * columns + j] = value; }
        }
      }
      return found;
    })();

    function flat(plane, at) {
      const map = maps[chosen], rows = sizes[plane.down], columns = sizes[plane.right];
      const table = tables[map.signed], curve = map.signed ? 1 : CURVE;
      const below = largest && at === null ? sought(lightest, plane, ground, (value) => value) : null;
      const above = largest && at === null ? sought(map.largest, plane, map.values, Math.abs) : null;
      const canvas = document.createElement("canvas");
      canvas.width = columns; canvas.height = rows;
      const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
      const here = at === null ? place[plane.axis] : at;
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
        const k = i * columns + j, from = offset(plane, here, i, j);
        const level = below ? below[k] : ground[from], value = above ? above[k] : map.values[from];
        const low = map.signed ? -map.high : 0;
        const share = map.high ? Math.min(Math.max(value, low), map.high) / map.high : 0;
        const strength = Math.abs(share), alpha = opacity * STRONGEST * strength ** curve;
        const colour = map.signed ? (share < 0 ? 0 : 255) : Math.round(255 * strength);
        const grey = level * (1 - DIM * opacity);
        for (let c = 0; c < 3; c++) {
          image.data[4 * k + c] = Number.isFinite(value) ? grey * (1 - alpha) + table[3 * colour + c] * alpha : INVALID[c];
        }
        image.data[4 * k + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      return canvas;
    }

    const stages = [...root.querySelectorAll(".stage")].map((canvas) => {
      const plane = data.planes[Number(canvas.dataset.plane)], factor = 640 / Math.max(plane.high, plane.wide);
      canvas.width = Math.max(24, Math.round(plane.wide * factor));
      canvas.height = Math.max(24, Math.round(plane.high * factor));
      return { canvas, plane };
    });

    const drawn = (plane, axis) => {
      const turned = axis === plane.down ? plane.turnDown : plane.turnRight;
      return ((turned ? sizes[axis] - 1 - place[axis] : place[axis]) + 0.5) / sizes[axis];
    };

    function letters(context, plane, wide, high, size) {
      context.font = `600 ${size}px system-ui, sans-serif`;
      context.fillStyle = "#ececea"; context.strokeStyle = "#000c"; context.lineWidth = size / 5; context.lineJoin = "round";
      const gap = size / 3, [top, bottom, left, right] = plane.ends;
      [[top, wide / 2, gap, "center", "top"], [bottom, wide / 2, high - gap, "center", "bottom"],
        [left, gap, high / 2, "left", "middle"], [right, wide - gap, high / 2, "right", "middle"]].forEach(([text, x, y, align, base]) => {
        context.textAlign = align; context.textBaseline = base;
        context.strokeText(text, x, y); context.fillText(text, x, y);
      });
    }

    function stage({ canvas, plane }) {
      const context = canvas.getContext("2d"), wide = canvas.width, high = canvas.height;
      context.imageSmoothingQuality = "high";
      context.drawImage(flat(plane, null), 0, 0, wide, high);
      const x = drawn(plane, plane.right) * wide, y = drawn(plane, plane.down) * high, gap = 16;
      for (const [colour, width] of [["#0009", 4], ["#fffc", 1.5]]) {
        context.strokeStyle = colour; context.lineWidth = width;
        context.beginPath();
        [[x, 0, x, y - gap], [x, y + gap, x, high], [0, y, x - gap, y], [x + gap, y, wide, y]].forEach(([a, b, c, d]) => {
          if (c >= a && d >= b) { context.moveTo(a, b); context.lineTo(c, d); }
        });
        context.stroke();
      }
      letters(context, plane, wide, high, 22);
    }

    function contact() {
      const canvas = find(".contact"), plane = data.planes[data.sheet.plane], places = data.sheet.places;
      const columns = Math.min(root.clientWidth < 520 ? 3 : 5, places.length), cell = 240, gap = 6;
      const factor = cell / plane.wide, high = Math.max(12, Math.min(2 * cell, Math.round(plane.high * factor)));
      canvas.width = columns * (cell + gap) - gap;
      canvas.height = Math.ceil(places.length / columns) * (high + gap) - gap;
      const context = canvas.getContext("2d");
      places.forEach((at, k) => {
        const x = (k % columns) * (cell + gap), y = Math.floor(k / columns) * (high + gap);
        context.drawImage(flat(plane, at), x, y, cell, high);
        context.font = `600 ${columns === 3 ? 34 : 16}px system-ui, sans-serif`; context.textAlign = "left"; context.textBaseline = "top";
        context.fillStyle = "#ececea"; context.strokeStyle = "#000c"; context.lineWidth = 3;
        const text = String(at * data.blocks[plane.axis]);
        context.strokeText(text, x + 6, y + 5); context.fillText(text, x + 6, y + 5);
      });
    }

    const full = () => place.map((at, axis) => Math.min(at * data.blocks[axis] + (data.blocks[axis] >> 1), data.full[axis] - 1));

    function read() {
      const value = maps[chosen].values[place.reduce((sum, at, axis) => sum + at * strides[axis], 0)];
      const at = full(), output = find(".readout .value");
      output.textContent = number(value); output.dataset.value = value;
      const span = (axis) => {
        const first = place[axis] * data.blocks[axis], last = Math.min(first + data.blocks[axis], data.full[axis]) - 1;
        return first === last ? `${first}` : `${first} to ${last}`;
      };
      let where = data.names.map((name, axis) => `${name} ${span(axis)}`).join(", ");
      if (data.affine) {
        const place3 = data.affine.slice(0, 3).map((row) => row[0] * at[0] + row[1] * at[1] + row[2] * at[2] + row[3]);
        const sides = data.body ? ["R", "A", "S"] : ["x", "y", "z"];
        where += ` · ${sides.map((side, k) => `${side} ${place3[k].toFixed(1)}`).join(", ")} mm`;
      }
      find(".where").textContent = where;
      root.querySelectorAll("input[data-axis]").forEach((input) => {
        const axis = Number(input.dataset.axis);
        input.value = at[axis];
        input.closest("figure").querySelector("output").textContent = largest ? "all" : `${at[axis]} of ${data.full[axis] - 1}`;
      });
    }

    function legend() {
      const map = maps[chosen], canvas = find(".key"), context = canvas.getContext("2d"), image = context.createImageData(256, 1);
      for (let k = 0; k < 256; k++) {
        for (let c = 0; c < 3; c++) image.data[4 * k + c] = tables[map.signed][3 * k + c];
        image.data[4 * k + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      find(".low").textContent = map.signed ? `${number(-map.high)} against` : "0";
      find(".zero").textContent = map.signed ? "0" : "";
      find(".high").textContent = `${number(map.high)} in favour`;
      find(".scale").textContent = map.note;
    }

    function moved() { stages.forEach(stage); read(); }
    function all() { moved(); legend(); contact(); }
    const press = (buttons, pressed) => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
    const clamp = (axis) => { place[axis] = Math.max(0, Math.min(sizes[axis] - 1, place[axis])); };

    const chips = [...root.querySelectorAll(".methods .chip")];
    chips.forEach((chip, k) => chip.addEventListener("click", () => { chosen = k; press(chips, chip); all(); }));
    const switches = [...root.querySelectorAll("[data-largest]")];
    switches.forEach((button) => button.addEventListener("click", () => { largest = button.dataset.largest !== ""; press(switches, button); moved(); }));
    find(".opacity").addEventListener("input", (event) => { opacity = event.target.value / 100; moved(); contact(); });
    root.querySelectorAll("input[data-axis]").forEach((input) => input.addEventListener("input", () => {
      const axis = Number(input.dataset.axis);
      place[axis] = Math.floor(input.value / data.blocks[axis]); clamp(axis); moved();
    }));

    stages.forEach(({ canvas, plane }) => {
      const point = (event) => {
        const box = canvas.getBoundingClientRect();
        [[plane.right, plane.turnRight, (event.clientX - box.left) / box.width], [plane.down, plane.turnDown, (event.clientY - box.top) / box.height]]
          .forEach(([axis, turned, share]) => { place[axis] = Math.floor((turned ? 1 - share : share) * sizes[axis]); clamp(axis); });
        moved();
      };
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); point(event); });
      canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
      canvas.addEventListener("keydown", (event) => {
        const step = {
          ArrowLeft: [plane.right, plane.turnRight ? 1 : -1], ArrowRight: [plane.right, plane.turnRight ? -1 : 1],
          ArrowUp: [plane.down, plane.turnDown ? 1 : -1], ArrowDown: [plane.down, plane.turnDown ? -1 : 1],
          PageUp: [plane.axis, 1], PageDown: [plane.axis, -1],
        }[event.key];
        if (!step) return;
        event.preventDefault();
        place[step[0]] += step[1]; clamp(step[0]); moved();
      });
    });
    let narrow = root.clientWidth < 520;
    addEventListener("resize", () => { if (narrow !== root.clientWidth < 520) { narrow = !narrow; contact(); } });
    all();
  }

  const views = JSON.parse(document.getElementById("data").textContent).views;
  document.querySelectorAll("[data-volume]").forEach((root) => show(root, views[Number(root.closest("[data-sample]").dataset.sample)]));
  document.documentElement.dataset.ready = "";
})();
