(() => {
  "use strict";
  const number = (value) => Number(value.toPrecision(3)).toString();
  const LEFT = 16, WIDE = 968, TOP = 14, HIGH = 152;

  function show(root, data) {
    const find = (selector) => root.querySelector(selector);
    let chosen = 0, now = 0;
    const slider = find('input[type="range"]'), film = find(".film"), curve = find(".importance");
    const x = (share) => LEFT + WIDE * share, y = (share) => TOP + HIGH * share;

    const buttons = data.titles.map((title, k) => {
      const button = document.createElement("button"), image = document.createElement("img");
      button.type = "button";
      image.alt = "";
      button.append(image, title);
      button.addEventListener("click", () => go(k));
      film.append(button);
      return button;
    });

    function go(frame) {
      const map = data.maps[chosen];
      now = Math.max(0, Math.min(data.titles.length - 1, frame));
      const image = find(".frame-now");
      image.src = map.frames[now];
      image.alt = `${data.titles[now]}, with the map over it`;
      slider.value = now;
      slider.setAttribute("aria-valuetext", `${data.titles[now]}, sum ${number(map.sums[now])}`);
      find(".now").textContent = data.titles[now];
      find(".here").setAttribute("x1", x(map.at[now]));
      find(".here").setAttribute("x2", x(map.at[now]));
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === now)));
      find(".range").textContent = `sum here ${number(map.sums[now])}; from ${number(map.ends[1])} to ${number(map.ends[0])}`;
    }

    function all() {
      const map = data.maps[chosen];
      find("polyline").setAttribute("points", map.curve.map(([a, b]) => `${x(a)},${y(b)}`).join(" "));
      find(".zero").setAttribute("y1", y(map.zero));
      find(".zero").setAttribute("y2", y(map.zero));
      buttons.forEach((button, k) => { button.firstChild.src = map.frames[k]; });
      go(now);
    }

    const chips = [...root.querySelectorAll(".methods .chip")];
    chips.forEach((chip, k) => chip.addEventListener("click", () => {
      chosen = k;
      chips.forEach((each) => each.setAttribute("aria-pressed", String(each === chip)));
      all();
    }));
    slider.addEventListener("input", () => go(Number(slider.value)));
    curve.addEventListener("pointerdown", (event) => {
      const box = curve.getBoundingClientRect(), at = data.maps[chosen].at;
      const share = ((event.clientX - box.left) / box.width * 1000 - LEFT) / WIDE;
      go(at.reduce((best, each, k) => Math.abs(each - share) < Math.abs(at[best] - share) ? k : best, 0));
    });
    now = data.maps[0].sums.reduce((best, each, k, sums) => Math.abs(each) > Math.abs(sums[best]) ? k : best, 0);
    all();
  }

  const views = JSON.parse(document.getElementById("data").textContent).views;
  document.querySelectorAll("[data-video]").forEach((root) => show(root, views[Number(root.closest("[data-sample]").dataset.sample)]));
  document.documentElement.dataset.ready = "";
})();
