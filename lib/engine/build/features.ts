/** Which TensorRT has what: options are refused by the version that is loaded, not by a crash of the builder. */

import {UnsupportedError} from '../../errors.js';

/** First versions, by NVIDIA's release notes; what every TensorRT from 10.6 has is not listed. */
const SINCE = {
  tiling: '10.8',
  "hardwareCompatibility: 'same-compute-capability'": '10.9',
} as const;

export type Feature = keyof typeof SINCE;

/** Throws UnsupportedError that says which version has it. */
export function requireFeature(feature: Feature, version: string): void {
  const since = SINCE[feature];
  if (compare(version, since) >= 0) return;
  throw new UnsupportedError(`${feature} needs TensorRT ${since} or later, and ${version} is loaded`);
}

function compare(version: string, other: string): number {
  const [left, right] = [version, other].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const [index, part] of right.entries()) if (left[index] !== part) return (left[index] ?? 0) - part;
  return 0;
}
