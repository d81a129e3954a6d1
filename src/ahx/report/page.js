"use strict";
// Sort a table by a column.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const compare = (a, b) => (isNaN(a) || isNaN(b) || a === "" || b === "" ? String(a).localeCompare(b) : a - b);
      body.append(...[...body.rows].sort((a, b) => sign * compare(key(a), key(b))));
    });
  });
}

// Save a figure.
const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};
// The drawing by itself, with the page's present colours.
const drawing = (figure) => {
  const style = getComputedStyle(document.documentElement);
  const text = new XMLSerializer().serializeToString(figure.querySelector("svg"));
  return text.replace(/var\((--\w+)\)/g, (_, name) => style.getPropertyValue(name).trim());
};
const savers = {
  svg: (figure, name) => save(new Blob([drawing(figure)], { type: "image/svg+xml" }), `${name}.svg`),
  png: (figure, name) => {
    const box = figure.querySelector("svg").viewBox.baseVal;
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * box.width, 2 * box.height];
      const context = canvas.getContext("2d");
      context.fillStyle = getComputedStyle(document.body).backgroundColor;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, `${name}.png`));
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing(figure))}`;
  },
  csv: (figure, name) => {
    const field = (cell) => `"${(cell.dataset.value ?? cell.textContent).replaceAll('"', '""')}"`;
    const rows = [...figure.querySelectorAll("tr")].map((row) => [...row.cells].map(field).join(","));
    save(new Blob([rows.join("\r\n") + "\r\n"], { type: "text/csv" }), `${name}.csv`);
  },
};
for (const button of document.querySelectorAll("button[data-save]")) {
  const figure = button.closest("figure");
  const name = figure.dataset.name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  button.addEventListener("click", () => savers[button.dataset.save](figure, name));
}
