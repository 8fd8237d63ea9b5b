// Keeps the page up to date: when the server says that something changed, the part below the header is fetched anew.
"use strict";

const main = document.getElementById("night");
const day = document.body.dataset.day;
const sorting = { column: -1, descending: true };

function words(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 120) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes >= 10 ? `${minutes} min` : `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, "0")} min`;
}

function tick() {
  for (const shown of main.querySelectorAll("[data-deadline]")) {
    const left = (Date.parse(shown.dataset.deadline) - Date.now()) / 1000;
    if (Math.abs(left) > 48 * 3600) continue; // as the server wrote it
    shown.textContent = left >= 0 ? `in ${words(left)}` : `${words(-left)} ago`;
  }
}

function valueOf(row, column, button) {
  const raw = row.cells[column].dataset.value;
  if (button.dataset.kind === "text") return raw;
  if (raw === "") return null;
  return button.dataset.size ? Math.abs(Number(raw)) : Number(raw);
}

function sort(table, column, descending) {
  const heads = [...table.tHead.rows[0].cells];
  const button = heads[column].querySelector("button");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column, button), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return descending ? -order : order;
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  heads.forEach((head, at) => {
    if (at === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  Object.assign(sorting, { column, descending });
}

function filter() {
  const field = document.getElementById("filter");
  if (!field) return;
  const wanted = field.value.trim().toLowerCase();
  const rows = [...document.getElementById("players").tBodies[0].rows];
  for (const row of rows) row.hidden = !`${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase().includes(wanted);
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("filtered").textContent = wanted ? `${shown} of ${rows.length}` : "";
}

function prepare() {
  const table = document.getElementById("players");
  if (table && sorting.column >= 0) sort(table, sorting.column, sorting.descending);
  filter();
  tick();
}

main.addEventListener("click", (event) => {
  const head = event.target.closest(".sortable th");
  if (!head || !event.target.closest("button")) return;
  const descending = head.getAttribute("aria-sort") === "descending" ? false
    : head.getAttribute("aria-sort") === "ascending" ? true : event.target.dataset.kind !== "text";
  sort(head.closest("table"), head.cellIndex, descending);
});
main.addEventListener("input", (event) => { if (event.target.id === "filter") filter(); });

async function refresh() {
  const answer = await fetch(`/night?day=${encodeURIComponent(day)}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = { says: document.getElementById("says").textContent, focus: document.activeElement.id };
  const field = document.getElementById("filter");
  const kept = field ? [field.value, field.selectionStart] : null;
  const open = [...main.querySelectorAll("details")].map((one) => one.open);
  const scrolled = [...main.querySelectorAll(".scroll")].map((one) => [one.scrollTop, one.scrollLeft]);
  main.replaceChildren(...made.body.childNodes);
  const next = document.getElementById("filter");
  if (next && kept) {
    next.value = kept[0];
    if (before.focus === "filter") { next.focus(); next.setSelectionRange(kept[1], kept[1]); }
  }
  main.querySelectorAll("details").forEach((one, at) => { one.open = open[at] || false; });
  main.querySelectorAll(".scroll").forEach((one, at) => { if (scrolled[at]) [one.scrollTop, one.scrollLeft] = scrolled[at]; });
  prepare();
  const level = main.querySelector(".verdict").dataset.level;
  document.title = `${level.toUpperCase()} · ${day} · courtside`;
  const says = document.getElementById("says").textContent;
  if (says !== before.says) document.getElementById("announce").textContent = `${document.getElementById("verdict").textContent.trim()}. ${says}`;
}

function connected(state, text) {
  const shown = document.getElementById("connection");
  shown.dataset.state = state;
  shown.querySelector(".words").textContent = text;
}

const events = new EventSource(`/events?day=${encodeURIComponent(day)}&seen=${encodeURIComponent(document.body.dataset.version)}`);
events.addEventListener("open", () => connected("live", "live"));
events.addEventListener("error", () => connected("lost", "reconnecting"));
events.addEventListener("changed", (event) => {
  document.getElementById("counted-at").textContent = event.data;
  refresh().then(() => connected("live", "live"), (error) => connected("lost", error.message));
});
setInterval(tick, 1000);
prepare();
