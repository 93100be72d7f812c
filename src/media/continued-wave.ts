/**
 * How a wave that breaks off goes on, fading: the next samples are predicted linearly from the last ones (Burg's
 * method). A mirrored or cut wave would have a bend or an edge at its end, which is heard as a click.
 */

/** How many samples each prediction uses: enough for the formants and the pitch of a voice. */
const ORDER = 24;

/**
 * @param past the last samples before the break
 * @param count how many samples the fade takes
 */
export function continueWave(past: Float32Array, count: number): Float32Array {
  const out = new Float32Array(count);
  if (past.length <= ORDER) return out;
  const weights = predictorOf(past);
  const line = new Float64Array(ORDER + count);
  line.set(past.subarray(past.length - ORDER));
  for (let i = 0; i < count; i++) {
    let value = 0;
    for (let k = 1; k <= ORDER; k++) value -= weights[k]! * line[ORDER + i - k]!;
    line[ORDER + i] = value;
    out[i] = value * (0.5 + 0.5 * Math.cos((Math.PI * (i + 1)) / (count + 1)));
  }
  return out;
}

/** The weights of the prediction error filter, of which the first is 1. Its prediction never grows. */
function predictorOf(past: Float32Array): Float64Array {
  const forward = Float64Array.from(past);
  const backward = Float64Array.from(past);
  let weights = new Float64Array(ORDER + 1);
  weights[0] = 1;
  for (let order = 1; order <= ORDER; order++) {
    let product = 0;
    // Above zero, so that silence is not divided by zero.
    let energy = 1e-12;
    for (let i = order; i < past.length; i++) {
      product += forward[i]! * backward[i - 1]!;
      energy += forward[i]! ** 2 + backward[i - 1]! ** 2;
    }
    const reflection = (-2 * product) / energy;
    const next = Float64Array.from(weights);
    for (let k = 1; k <= order; k++) next[k] = weights[k]! + reflection * weights[order - k]!;
    weights = next;
    for (let i = past.length - 1; i >= order; i--) {
      const before = forward[i]!;
      forward[i] = before + reflection * backward[i - 1]!;
      backward[i] = backward[i - 1]! + reflection * before;
    }
  }
  return weights;
}
