// Small faces in large pictures: when these are searched enlarged, in which tiles, and how the faces join the others, as
// faces/small.py has it. Knows no network. `settings` is `small_faces` of /v1/model.

import { distinct } from "./finder.js";

/** The faces smaller than so many pixels of a view, which is `scale` times as large as the picture. */
export const hints = (faces, scale, small) => faces.filter(({ box }) => Math.max(box[2], box[3]) * scale < small);

/** How many times as large a picture is searched for small faces. */
export const enlargement = (longSide, settings) => Math.min(settings.most_times, settings.enlarged / longSide);

/** The parts, {left, top, width, height, owns(face)}, of a picture that is searched `scale` times as large. */
export function tiles({ width, height }, scale, settings) {
  return stretches(height, scale, settings).flatMap((down) =>
    stretches(width, scale, settings).map((across) => ({
      left: across.first,
      top: down.first,
      width: across.last - across.first,
      height: down.last - down.first,
      owns: ({ box }) => across.owns(middle(box)[0]) && down.owns(middle(box)[1]),
    })),
  );
}

/** Overlapping stretches of a length, and which places are each one's own. */
function stretches(length, scale, { tile, overlap }) {
  const number = Math.max(1, Math.ceil((length * scale - overlap) / (tile - overlap)));
  const [step, reach] = [length / number, overlap / scale / 2];
  return Array.from({ length: number }, (_, place) => {
    const [begin, end] = [place * step, (place + 1) * step];
    const [low, high] = [place ? begin : -Infinity, place === number - 1 ? Infinity : end];
    return {
      first: Math.max(0, Math.floor(begin - reach)),
      last: Math.min(length, Math.ceil(end + reach)),
      owns: (at) => low <= at && at < high,
    };
  });
}

/** Faces of a whole picture with the small ones of its enlarged parts, the surest of these first. */
export function joined(faces, enlarged, scale, mostOverlap, settings) {
  const largest = (2 * settings.small) / scale;
  const isLarge = ({ box }) => Math.max(box[2], box[3]) > largest;
  const large = faces.filter(isLarge);
  const small = enlarged.filter((face) => !isLarge(face) && !large.some(({ box }) => inside(middle(face.box), box)));
  return distinct([...small.sort((one, other) => other.score - one.score), ...faces], mostOverlap);
}

const middle = ([left, top, width, height]) => [left + width / 2, top + height / 2];

const inside = ([x, y], [left, top, width, height]) => left <= x && x < left + width && top <= y && y < top + height;
