"use strict";

// The table of all cases: a click, Enter or Space on a column's head sorts; undefined numbers stay last.
const table = document.getElementById("cases");
const body = table.tBodies[0];
const rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];
const words = new Intl.Collator("en", { numeric: true });

function compare(column, sign) {
  if (!heads[column].classList.contains("number")) {
    return (a, b) => sign * words.compare(a.cells[column].textContent, b.cells[column].textContent);
  }
  return (a, b) => {
    const [left, right] = [a, b].map((row) => row.cells[column].dataset.value);
    if (left === "" || right === "") return (left === "") - (right === "");
    return sign * (left - right);
  };
}

heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  head.setAttribute("aria-sort", "none");
  button.addEventListener("click", () => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", other === head ? direction : "none"));
    rows.sort(compare(column, direction === "ascending" ? 1 : -1));
    body.append(...rows);
  });
});

// The table's filters: part of the case's name, one structure, one model.
const filters = document.getElementById("filters");
const fields = [...filters.querySelectorAll("[data-column]")];

function filter() {
  let shown = 0;
  for (const row of rows) {
    row.hidden = !fields.every((field) => {
      const text = row.cells[field.dataset.column].textContent;
      if (field.tagName === "SELECT") return field.value === "" || text === field.value;
      return text.toLowerCase().includes(field.value.trim().toLowerCase());
    });
    shown += !row.hidden;
  }
  filters.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
}

filters.hidden = false;
filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filter();

// The slider of a case: it changes every panel's scan and every outline.
for (const section of document.querySelectorAll(".case")) {
  const slider = section.querySelector(".slider");
  if (!slider) continue;
  const input = slider.querySelector("input");
  const { total, slices } = JSON.parse(section.querySelector("script").textContent);
  const pictures = [...section.querySelectorAll(".picture")];

  const show = () => {
    const { number, image, paths } = slices[input.value];
    pictures.forEach((picture, panel) => {
      if (image) picture.querySelector("image").setAttribute("href", image);
      // the first panel is the scan alone
      picture.querySelectorAll(".outline").forEach((path, structure) => {
        path.setAttribute("d", paths[panel - 1][structure]);
      });
      picture.setAttribute("aria-label", picture.getAttribute("aria-label").replace(/, slice \d+/, `, slice ${number}`));
    });
    slider.querySelector("output").textContent = `${number} of ${total}`;
    input.setAttribute("aria-valuetext", `slice ${number} of ${total}`);
  };

  slider.hidden = false;
  section.querySelector(".static").hidden = true;
  input.addEventListener("input", show);
  show();
}
