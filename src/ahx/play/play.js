"use strict";
const byId = (id) => document.getElementById(id);
const post = (path, body, signal) =>
  fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0995 ? 2 : 1)} %`;

function fail(message) {
  byId("error").hidden = !message;
  byId("error").textContent = message ?? "";
}

// The objects of a stream, a line each.
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

// ---- A rewriting, step by step. ----
const KINDS = { g: "global", s: "sequence", c: "coupled", p: "program" };
let written = null; // what the server said of it
let at = 0; // tokens that have been written
let timer = null;
let asking = null;

async function ask(text) {
  asking?.abort();
  asking = new AbortController();
  try {
    const answer = await (await post("/write", { input: text }, asking.signal)).json();
    fail(answer.error);
    if (!answer.error) show(answer, timer ? 0 : Math.min(at, answer.steps.length));
  } catch (error) {
    if (error.name !== "AbortError") fail(`The server does not answer: ${error.message}`);
  }
}

function show(answer, step) {
  written = answer;
  at = step;
  byId("tokens").replaceChildren(
    ...answer.tokens.map((name, place) => {
      const token = document.createElement("span");
      token.setAttribute("role", "listitem");
      token.textContent = name;
      token.classList.toggle("input", place < answer.n_input);
      return token;
    }),
  );
  const rows = answer.kinds.flatMap((kinds, layer) => [...kinds].map((kind, head) => [layer, head, kind]));
  byId("heads").replaceChildren(
    ...rows.map(([layer, head, kind]) => {
      const row = document.createElement("div");
      row.className = "head";
      const name = document.createElement("span");
      name.textContent = `layer ${layer + 1}, head ${head + 1}: ${KINDS[kind]}`;
      const strip = document.createElement("canvas");
      strip.setAttribute("role", "img");
      row.append(name, strip);
      return row;
    }),
  );
  draw();
}

function draw() {
  const { tokens, n_input: begin, steps } = written;
  const step = steps[Math.min(at, steps.length - 1)];
  [...byId("tokens").children].forEach((token, place) => {
    token.hidden = place >= begin + at;
    token.classList.toggle("now", place === begin + at - 1);
    token.classList.toggle("cursor", place === step?.cursor);
  });
  byId("next").replaceChildren(...(step?.likeliest ?? []).map(likely));
  const weights = step ? step.heads.flat() : [];
  [...byId("heads").children].forEach((row, number) => strip(row.lastChild, weights[number] ?? [], tokens, begin + at));
  verdict();
  for (const [id, off] of [["first", at === 0], ["back", at === 0], ["step", at >= steps.length], ["last", at >= steps.length]])
    byId(id).disabled = off;
}

function likely([name, share, behind]) {
  const row = document.createElement("tr");
  const cells = [0, 1, 2].map(() => row.appendChild(document.createElement("td")));
  cells[0].textContent = name;
  const bar = document.createElement("i");
  bar.className = "probability";
  bar.style.width = `${6 * share}rem`;
  cells[1].append(bar, percent(share));
  cells[2].textContent = behind.toFixed(2);
  cells[2].className = "n";
  return row;
}

// The weights of one head: a cell for each token so far.
function strip(canvas, keys, tokens, length) {
  [canvas.width, canvas.height] = [Math.max(1, length), 1];
  const context = canvas.getContext("2d");
  for (const [place, weight] of keys) {
    context.fillStyle = `rgba(0, 114, 178, ${weight})`;
    context.fillRect(place, 0, 1, 1);
  }
  const best = [...keys].sort((a, b) => b[1] - a[1]).slice(0, 3);
  canvas.setAttribute("aria-label", best.map(([place, weight]) => `${tokens[place]} at ${place}: ${percent(weight)}`).join(", "));
  canvas.title = canvas.getAttribute("aria-label");
}

function verdict() {
  const { output, expected, stopped, steps, wrong_at: wrong } = written;
  const line = byId("verdict");
  line.className = "";
  if (at < steps.length) {
    const [name, share] = steps[at].likeliest[0];
    line.textContent = `Token ${at + 1} of ${steps.length}: ${name} with ${percent(share)}`;
  } else if (!stopped) {
    line.textContent = `The model does not end its answer: ${output}`;
    line.className = "wrong";
  } else if (expected === null) {
    line.textContent = `Written: ${output || "(nothing)"}`;
  } else if (wrong === null) {
    line.textContent = `Right: ${output || "(nothing)"}`;
  } else {
    line.textContent = `Wrong at symbol ${wrong + 1}: ${output || "(nothing)"}; right is ${expected || "(nothing)"}`;
    line.className = "wrong";
  }
}

function move(to) {
  if (!written) return;
  at = Math.max(0, Math.min(to, written.steps.length));
  draw();
}

function play(on) {
  clearTimeout(timer);
  timer = null;
  byId("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  if (at >= written.steps.length) move(0);
  const next = () => {
    move(at + 1);
    if (at >= written.steps.length) return play(false);
    timer = setTimeout(next, 1000 / byId("speed").value);
  };
  timer = setTimeout(next, 1000 / byId("speed").value);
}

byId("text").addEventListener("input", (event) => ask(event.target.value));
byId("ask").addEventListener("submit", (event) => event.preventDefault());
const moves = {
  first: () => move(0),
  back: () => move(at - 1),
  step: () => move(at + 1),
  last: () => move(Infinity),
  play: () => written && play(!timer),
};
for (const [id, action] of Object.entries(moves)) byId(id).addEventListener("click", action);
const KEYS = { Home: "first", ArrowLeft: "back", ArrowRight: "step", End: "last", " ": "play" };
document.addEventListener("keydown", (event) => {
  if (byId("writing").hidden || !(event.key in KEYS) || event.target.closest("input, textarea, button")) return;
  event.preventDefault();
  moves[KEYS[event.key]]();
});

// ---- The run of a machine. ----
const COLOURS = ["#f4f1ea", "#2b4a6f", "#e0a030", "#4f9a6b", "#8d5a97", "#c56a5a", "#7a7a7a", "#6fb3c8"];
const HEAD = "#d7263d";
let symbols = "";
let running = null;

async function start() {
  running?.abort();
  const own = (running = new AbortController());
  byId("stop").disabled = false;
  fail();
  const cells = [];
  try {
    const response = await post("/run", { program: byId("program").value, input: byId("tape").value }, own.signal);
    for await (const event of lines(response)) {
      if (event.error) return fail(event.error);
      for (const row of event.rows) cells.push(place(row, cells.at(-1)));
      if (event.rows.length) byId("latest").textContent = event.rows.at(-1).slice(-2000);
      diagram(cells);
      const rate = event.steps / Math.max(event.seconds, 0.001);
      const end = { halted: "Halted after", limit: "Stopped after" }[event.end] ?? "Running:";
      byId("status").textContent = `${end} ${event.steps.toLocaleString("en")} steps, ${Math.round(rate).toLocaleString("en")} a second`;
    }
  } catch (error) {
    if (error.name !== "AbortError") fail(`The server does not answer: ${error.message}`);
  } finally {
    if (running === own) byId("stop").disabled = true;
  }
}

// A configuration as numbers: -1 under the head. `begin` is where it begins on the tape.
function place(text, before) {
  const numbers = [];
  let head = false;
  for (const symbol of text) {
    const number = symbols ? symbols.indexOf(symbol) : symbol.codePointAt(0) % COLOURS.length;
    if (number < 0) head = true;
    else {
      numbers.push(head ? -1 : number % COLOURS.length);
      head = false;
    }
  }
  const atLeft = (row) => row && symbols && !symbols.includes(row[0]);
  const grows = before && atLeft(before.text) && atLeft(text) && text.length === before.text.length + 1;
  return { text, numbers, begin: (before?.begin ?? 0) - (grows ? 1 : 0) };
}

function diagram(cells) {
  const left = Math.min(...cells.map((row) => row.begin));
  const width = Math.max(...cells.map((row) => row.begin - left + row.numbers.length));
  const size = Math.max(1, Math.min(8, Math.floor(900 / width), Math.floor(1600 / cells.length)));
  const canvas = byId("diagram");
  [canvas.width, canvas.height] = [Math.min(width * size, 8000), cells.length * size];
  const context = canvas.getContext("2d");
  cells.forEach((row, y) =>
    row.numbers.forEach((number, x) => {
      context.fillStyle = number < 0 ? HEAD : COLOURS[number];
      context.fillRect((x + row.begin - left) * size, y * size, size, size);
    }),
  );
  canvas.setAttribute("aria-label", `Space-time diagram: ${cells.length} configurations, ${width} cells`);
}

byId("start").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
byId("stop").addEventListener("click", () => running?.abort());

// ---- Training. ----
byId("train").addEventListener("submit", async (event) => {
  event.preventDefault();
  fail();
  const points = [];
  const button = byId("train").querySelector("button");
  button.disabled = true;
  byId("curve").hidden = false;
  byId("progress").textContent = "Training begins.";
  try {
    for await (const told of lines(await post("/train", { input: byId("rule").value }))) {
      if (told.error) return fail(told.error);
      if (told.about) return open(told.about);
      points.push(...told.points.map((one) => [one.step / told.total, one.val_exact]));
      byId("line").setAttribute("points", points.map(([x, y]) => `${30 + 360 * x},${130 - 120 * y}`).join(" "));
      const last = told.points.at(-1);
      byId("progress").textContent = `Step ${last.step} of ${told.total}: ${percent(last.val_exact)} exact, loss ${last.val_loss.toFixed(3)}`;
      if (told.rewriting) {
        byId("writing").hidden = false;
        show(told.rewriting, Math.floor(told.rewriting.steps.length / 2));
      }
    }
  } catch (error) {
    fail(`The server does not answer: ${error.message}`);
  } finally {
    button.disabled = false;
  }
});

function open(about) {
  if (about.kind === "none") {
    byId("about").textContent = "There is no model yet.";
    byId("training").hidden = false;
    return;
  }
  const shape = `${about.parameters.toLocaleString("en")} parameters, positions ${about.positions}, heads ${about.heads.join("/")}`;
  byId("about").textContent = `${about.rule || "A model"}: ${shape}${about.certified ? "; certified" : ""}. ${about.folder}`;
  if (about.kind === "rule") {
    byId("writing").hidden = false;
    byId("text").value = about.input;
    ask(about.input);
    return;
  }
  symbols = about.symbols;
  byId("machine").hidden = false;
  byId("program").hidden = byId("program-label").hidden = about.kind === "machine";
  byId("program").value = about.program;
  byId("tape").value = about.input;
  const named = [["under the head", HEAD], ...[...symbols].map((symbol, number) => [symbol, COLOURS[number % COLOURS.length]])];
  byId("legend").replaceChildren(
    ...(symbols ? named : []).map(([name, colour]) => {
      const entry = document.createElement("span");
      const box = document.createElement("i");
      box.style.background = colour;
      entry.append(box, name);
      return entry;
    }),
  );
  start();
}

fetch("/about").then((response) => response.json()).then((about) => (about.error ? fail(about.error) : open(about)));
