// Sorting and filtering of tables, and the place in the contents. The page is whole without it.
"use strict";
for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows].at(-1).cells, shown = box.querySelector(".shown");
  const text = (cell) => (cell.querySelector(".chip") ?? cell).textContent.trim();
  const value = (row, column) => row.cells[column].dataset.sort ?? text(row.cells[column]);
  if (rows.length > 2) [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.classList.add("sorted");
      const filled = rows.filter((row) => value(row, column) !== "");
      const empty = rows.filter((row) => value(row, column) === "");
      const numeric = filled.every((row) => !Number.isNaN(Number(value(row, column))));
      filled.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        return (numeric ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
      });
      body.append(...filled, ...empty); // what has no value stays last either way
    });
  });
  const selects = [...box.querySelectorAll("select")];
  const filter = () => {
    let count = 0;
    for (const row of rows) {
      row.hidden = selects.some((s) => s.value !== "" && text(row.cells[s.dataset.column]) !== s.value);
      count += !row.hidden;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} rows`;
  };
  for (const select of selects) {
    select.parentElement.hidden = false;
    select.value = "";
    select.addEventListener("change", filter);
  }
}
// what need not be scrolled is no stop of the keyboard
const regions = [...document.querySelectorAll(".scroll, .card.broad, pre")];
const stops = () => {
  for (const box of regions) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", stops);
document.addEventListener("toggle", stops, true);
stops();
const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    for (const a of links.values()) a.classList.remove("here");
    links.get(target.id).classList.add("here");
  }
}, { rootMargin: "0px 0px -75% 0px" });
for (const id of links.keys()) seen.observe(document.getElementById(decodeURIComponent(id)));
if (matchMedia("(max-width: 62rem)").matches) document.querySelector(".contents details")?.removeAttribute("open");
