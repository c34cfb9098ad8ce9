// Where the labels of boxes go, so that they hide as little as can be, as predict/annotate.py places them; where there is
// no room for a label a shorter one stands for it. Knows nothing about faces. A box is [left, top, width, height].

const MOST_HIDDEN = 0.25; // of a label's area, what it may cover of other boxes before a shorter one is tried
const OWN_BOX = 0.3; // how much covering its own box counts beside covering another one

/**
 * The place of each box's label, {box, size}: `sizes` are the [width, height] that its label may have, the preferred
 * first; `size` is the number of the one that has room, or of the last.
 */
export function placeLabels(boxes, sizes, picture) {
  const placed = [];
  boxes.forEach((box, i) => {
    const others = boxes.filter((other) => other !== box);
    placed.push(labelOf(box, sizes[i], others, placed.map((label) => label.box), picture));
  });
  return placed;
}

function labelOf(box, sizes, others, labels, picture) {
  let best;
  for (const [size, [width, height]] of sizes.entries()) {
    const places = around(box, width, height).map((place) => movedInto(place, picture));
    const tried = places.map((place) => ({ box: place, size, ...hidden(place, box, others, labels) }));
    best = tried.reduce((one, other) => (other.cost < one.cost ? other : one));
    if (!best.labels && best.boxes <= MOST_HIDDEN * width * height) break;
  }
  return best;
}

/** Above the box, below it, beside it, in it. */
function around([left, top, boxWidth, boxHeight], width, height) {
  const [right, bottom] = [left + boxWidth, top + boxHeight];
  const corners = [[left, top - height], [left, bottom], [right - width, top - height], [right - width, bottom],
    [right, top], [left - width, top], [left, top], [left, bottom - height]];
  return corners.map(([x, y]) => [x, y, width, height]);
}

function movedInto([left, top, width, height], picture) {
  const x = Math.max(0, Math.min(left, picture.width - width));
  return [x, Math.max(0, Math.min(top, picture.height - height)), width, height];
}

/** How much of the labels that are placed, and of other boxes, a place would cover. */
function hidden(place, own, others, labels) {
  const covered = (boxes) => boxes.reduce((sum, box) => sum + shared(place, box), 0);
  const sums = { labels: covered(labels), boxes: covered(others) };
  return { ...sums, cost: 10 * sums.labels + sums.boxes + OWN_BOX * shared(place, own) };
}

function shared(one, other) {
  const across = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  return Math.max(0, across) * Math.max(0, down);
}
