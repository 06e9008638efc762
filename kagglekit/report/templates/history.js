"use strict";
// Filters and order, which the address keeps when the page reloads itself.
(() => {
  const table = document.getElementById("runs");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, keys: row.dataset.keys.split("\t"), text: row.textContent.toLowerCase() }));
  const bar = document.querySelector(".filters");
  const selects = [...bar.querySelectorAll("select")], search = bar.querySelector("input");
  const heads = [...table.tHead.rows[0].cells].slice(0, -1);
  const names = heads.map((head) => head.textContent);
  const state = new URLSearchParams(location.hash.slice(1));
  bar.hidden = false;
  for (const select of selects) select.value = state.get(select.dataset.head) ?? "";
  search.value = state.get("text") ?? "";

  const keep = () => history.replaceState(null, "", "#" + state);
  const filter = () => {
    for (const select of selects) state.set(select.dataset.head, select.value);
    state.set("text", search.value);
    const text = search.value.toLowerCase();
    for (const { row, keys, text: own } of rows) {
      const chosen = selects.every((select) => select.value === "" || keys[names.indexOf(select.dataset.head)] === select.value);
      row.classList.toggle("off", !(chosen && own.includes(text)));
    }
    keep();
  };
  const sort = () => {
    const column = names.indexOf(state.get("sort")), down = state.get("down") === "1";
    if (column < 0) return;
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const numbers = heads[column].classList.contains("n");
    const order = (a, b) => {
      const [x, y] = [a.keys[column], b.keys[column]];
      if (x === "" || y === "") return (x === "") - (y === "");
      return (numbers ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
    };
    for (const { row } of [...rows].sort(order)) body.append(row);
  };
  heads.forEach((head, number) => head.addEventListener("click", () => {
    const again = state.get("sort") === names[number] && state.get("down") !== "1";
    state.set("sort", names[number]);
    state.set("down", again ? "1" : "0");
    sort();
    keep();
  }));
  for (const select of selects) select.addEventListener("change", filter);
  search.addEventListener("input", filter);
  filter();
  sort();
  const reload = () => (document.activeElement === search ? setTimeout(reload, 5000) : location.reload());
  setTimeout(reload, Number(table.dataset.reload));
})();
