"use strict";
// Values under the pointer. A chart's points are read back from its lines: see `chart` in kagglekit/report/svg.py.
(() => {
  const box = document.createElement("div");
  box.id = "values";
  box.hidden = true;
  document.body.append(box);
  const format = (value) => (Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4))));
  const read = (line) => line.getAttribute("points").split(" ").filter(Boolean).map((pair) => pair.split(",").map(Number));
  for (const chart of document.querySelectorAll("svg[data-chart]")) {
    const [x0, x1, y0, y1, left, right, top, bottom] = chart.dataset.chart.split(" ").map(Number);
    let lines = null;
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "line");
    mark.setAttribute("class", "found");
    mark.setAttribute("y1", top);
    mark.setAttribute("y2", bottom);
    const hide = () => { mark.remove(); box.hidden = true; };
    const show = (event) => {
      lines ??= [...chart.querySelectorAll("g[data-name]")].map((g) => [g.dataset.name, read(g.querySelector("polyline"))]);
      const matrix = chart.getScreenCTM();
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse()).x;
      if (at < left - 6 || at > right + 6) return hide();
      const rows = [];
      let nearest = null;
      for (const [name, points] of lines) {
        let best = null;
        for (const point of points) if (best === null || Math.abs(point[0] - at) < Math.abs(best[0] - at)) best = point;
        if (best === null) continue;
        if (nearest === null || Math.abs(best[0] - at) < Math.abs(nearest - at)) nearest = best[0];
        rows.push((name ? name + " " : "") + format(y1 - ((best[1] - top) / (bottom - top)) * (y1 - y0)));
      }
      if (nearest === null) return hide();
      const step = Math.round(x0 + ((nearest - left) / (right - left)) * (x1 - x0));
      mark.setAttribute("x1", nearest);
      mark.setAttribute("x2", nearest);
      chart.append(mark);
      box.textContent = ["step " + step.toLocaleString("en"), ...rows].join("\n");
      box.hidden = false;
      const width = document.documentElement.clientWidth;
      box.style.left = Math.max(4, Math.min(event.clientX + 14, width - box.offsetWidth - 4)) + "px";
      box.style.top = Math.max(4, event.clientY - box.offsetHeight - 14) + "px";
    };
    for (const name of ["pointermove", "pointerdown"]) chart.addEventListener(name, show);
    for (const name of ["pointerleave", "pointercancel"]) chart.addEventListener(name, hide);
  }
  addEventListener("scroll", () => { box.hidden = true; }, { passive: true });
  for (const filter of document.querySelectorAll("p.filter")) {
    filter.hidden = false;
    const select = filter.querySelector("select");
    select.addEventListener("change", () => {
      for (const item of document.querySelectorAll("[data-of]")) {
        const of = item.dataset.of.split(" ");
        const here = of[0].startsWith(filter.dataset.part);
        if (here) item.classList.toggle("off", select.value !== "" && !of.includes(select.value));
      }
    });
  }
})();
