// Probabilities of one person smoothed in time, and an answer that does not flicker: video/steady.py in the browser.
// Knows nothing about pictures.

export class Steady {
  /** `threshold` and `steady` are the model's of /v1/model. */
  constructor({ threshold, steady }) {
    Object.assign(this, { threshold, settings: steady, chosen: null });
  }

  /** Probabilities and the chosen class's place, null where it is not sure, after those of a frame. */
  add(seconds, probabilities) {
    const logs = probabilities.map((p) => Math.log(Math.max(p, this.settings.faintest)));
    const share = 1 - Math.exp(Math.min(0, this.seconds - seconds) / this.settings.constant_seconds);
    this.logs = this.logs ? this.logs.map((mean, i) => mean + share * (logs[i] - mean)) : logs;
    this.seconds = seconds;
    const highest = Math.max(...this.logs);
    const shares = this.logs.map((mean) => Math.exp(mean - highest));
    const total = shares.reduce((sum, value) => sum + value, 0);
    const smoothed = shares.map((value) => value / total);
    this.chosen = this.next(smoothed);
    return { probabilities: smoothed, chosen: this.chosen };
  }

  next(smoothed) {
    const best = smoothed.indexOf(Math.max(...smoothed));
    const now = smoothed[this.chosen ?? -1];
    if (now >= this.settings.hold * this.threshold && smoothed[best] <= this.settings.margin * now) return this.chosen;
    return smoothed[best] >= this.threshold ? best : null;
  }
}
