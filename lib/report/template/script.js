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
// a list per axis picks which parts are shown
for (const box of document.querySelectorAll(".picker")) {
  const selects = [...box.querySelectorAll("select")], items = [...box.querySelectorAll(".item")];
  const shown = box.querySelector(".shown");
  const pick = () => {
    for (const item of items) {
      const place = item.dataset.place.split("|");
      item.hidden = !selects.every((s, axis) => s.value === "all" || s.value === place[axis]);
    }
    shown.textContent = items.every((item) => item.hidden) ? shown.dataset.none : "";
    stops();
  };
  for (const select of selects) {
    select.parentElement.hidden = false;
    select.addEventListener("change", pick);
  }
  box.reveal = (item) => {
    item.dataset.place.split("|").forEach((value, axis) => { selects[axis].value = value; });
    pick();
  };
  pick();
}
// a link opens the chapter and picks the part that it leads to; print opens all
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
    if (at.matches(".item[hidden]")) at.closest(".picker").reveal(at);
  }
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
// what a number rests on: by hover, tap or focus; the arrows go from one number to the next
const note = document.body.appendChild(document.createElement("div"));
note.className = "tip-box";
note.hidden = true;
note.setAttribute("aria-hidden", "true");
const hide = () => { note.hidden = true; };
for (const group of document.querySelectorAll("[data-roving]")) {
  const tips = [...group.querySelectorAll(".tip")];
  tips.forEach((tip, place) => {
    const title = tip.querySelector("title"), text = tip.getAttribute("title") ?? title.textContent;
    if (title) {
      tip.setAttribute("aria-label", text);
      title.remove();
    } else {
      tip.setAttribute("aria-label", `${tip.textContent}: ${text}`);
      tip.setAttribute("role", "button");
      tip.removeAttribute("title");
    }
    tip.setAttribute("tabindex", place ? -1 : 0);
    const say = () => {
      const box = tip.getBoundingClientRect();
      note.textContent = text;
      note.hidden = false;
      note.style.left = `${Math.max(8, Math.min(box.left, innerWidth - note.offsetWidth - 8)) + scrollX}px`;
      const above = box.top - note.offsetHeight - 6;
      note.style.top = `${(above > 0 ? above : box.bottom + 6) + scrollY}px`;
    };
    for (const event of ["pointerenter", "focus", "click"]) tip.addEventListener(event, say);
    for (const event of ["pointerleave", "blur"]) tip.addEventListener(event, hide);
    tip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step || !tips[place + step]) return;
      event.preventDefault();
      tip.setAttribute("tabindex", -1);
      tips[place + step].setAttribute("tabindex", 0);
      tips[place + step].focus();
    });
  });
}
if (matchMedia("(max-width: 62rem)").matches) document.querySelector(".contents details")?.removeAttribute("open");
