// Draws the curves of runs and keeps them fresh while something trains. Needs runs.json and nothing else.

const WIDTH = 220, HEIGHT = 130, LEFT = 34, RIGHT = 6, TOP = 22, BOTTOM = 20;
const SVG = "http://www.w3.org/2000/svg";
const BUSY_MS = 3000, IDLE_MS = 20000;
const list = document.getElementById("all");
const told = document.getElementById("told");
const cards = new Map();
const maker = Object.assign(document.createElement("code"), { textContent: "mien train" });

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function chart(run, kind) {
  const share = kind === "accuracy";
  const lines = { train: run.rows[`train_${kind}`], val: run.rows[`val_${kind}`] };
  const finite = [...lines.train, ...lines.val].filter(Number.isFinite);
  const top = share ? 1 : Math.max(1, ...finite) * 1.05;
  const across = (i) => LEFT + (WIDTH - LEFT - RIGHT) * (run.epochs > 1 ? i / (run.epochs - 1) : 0.5);
  const down = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.min(1, value / top);
  const last = (line) => (line.length ? (share ? percent(line.at(-1)) : line.at(-1).toFixed(3)) : "none");
  const words = `${kind} by epoch; last on train ${last(lines.train)}, on val ${last(lines.val)}`;
  const drawn = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words });
  for (const part of [0, 0.5, 1]) {
    const y = down(top * part);
    drawn.append(element("path", { class: "rule", d: `M${LEFT} ${y}H${WIDTH - RIGHT}` }));
    const text = share ? `${100 * part}%` : (top * part).toFixed(1);
    drawn.append(element("text", { x: LEFT - 5, y: y + 4, "text-anchor": "end" }, text));
  }
  for (const [name, line] of Object.entries(lines)) {
    const points = line.map((value, i) => [across(i), down(value)]).filter(([, y]) => Number.isFinite(y));
    drawn.append(element("polyline", { class: name, points: points.map((p) => p.join(",")).join(" ") }));
    if (name === "val" && points.length) {
      drawn.append(element("circle", { cx: points.at(-1)[0], cy: points.at(-1)[1], r: 3 }));
    }
  }
  drawn.append(element("text", { x: LEFT, y: HEIGHT - 5 }, "1"));
  drawn.append(element("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, `epoch ${run.epochs}`));
  drawn.append(element("text", { x: LEFT, y: 12 }, `${kind}: val, and train dashed`));
  return drawn;
}

function sentence(run) {
  const done = run.rows.val_accuracy.length;
  if (!done) return "no epoch is done yet";
  return `epoch ${done} of ${run.epochs}, val accuracy ${percent(run.rows.val_accuracy.at(-1))}`;
}

function draw(run) {
  const card = document.createElement("li");
  const head = document.createElement("h3");
  head.textContent = `${run.name}, seed ${run.seed}${run.fold === null ? "" : `, fold ${run.fold}`}`;
  const state = document.createElement("p");
  const mark = document.createElement("span");
  mark.className = `state ${run.state}`;
  mark.textContent = run.state === "stopped" ? "not complete" : run.state;
  state.append(mark, `, ${sentence(run)}`);
  const place = document.createElement("p");
  place.className = "quiet";
  place.append(Object.assign(document.createElement("code"), { textContent: run.path }));
  card.append(head, state, place);
  if (run.rows.val_loss.length) {
    const charts = document.createElement("div");
    charts.className = "charts";
    charts.append(chart(run, "loss"), chart(run, "accuracy"));
    card.append(charts);
  }
  return card;
}

async function refresh() {
  let wait = IDLE_MS;
  try {
    const answer = await fetch("runs.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const runs = await answer.json();
    told.replaceChildren(...(runs.length ? [] : ["None yet. ", maker, " makes them."]));
    for (const run of runs) {
      const drawn = cards.get(run.path);
      const stamp = `${run.changed} ${run.state}`;
      if (drawn?.stamp !== stamp) {
        const card = draw(run);
        drawn?.card.replaceWith(card);
        cards.set(run.path, { card, stamp });
      }
    }
    const wanted = runs.map((run) => cards.get(run.path).card);
    const same = wanted.length === list.children.length && wanted.every((card, i) => card === list.children[i]);
    if (!same) list.replaceChildren(...wanted); // the newest first, without those that are gone
    if (runs.some((run) => run.state === "training")) wait = BUSY_MS;
  } catch {
    told.textContent = "The server does not answer; this is what it said last.";
  }
  setTimeout(refresh, document.hidden ? IDLE_MS : wait);
}

refresh();
