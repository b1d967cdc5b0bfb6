"use strict";
for (const box of document.querySelectorAll(".lookup")) {
  const table = box.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const search = box.querySelector("input"), found = box.querySelector("output");
  const text = rows.map(row => row.cells[0].textContent.toLowerCase());
  const value = (row, column) => {
    const content = row.cells[column].textContent.trim();
    const number = Number(content.replaceAll(",", ""));
    return column === 0 ? content : Number.isNaN(number) ? -1 : number;
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b);
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, place) => { row.hidden = !text[place].includes(wanted); shown += row.hidden ? 0 : 1; });
    found.value = wanted ? shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en") : "";
  };
  const sort = (head, column) => {
    const isDescending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    const keyed = rows.map((row, place) => [value(row, column), place, row]);
    keyed.sort((a, b) => (isDescending ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1]);
    body.append(...keyed.map(each => each[2]));
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, column));
    head.append(button);
  });
  search.addEventListener("input", filter);
  box.querySelector(".search").hidden = false;
}
