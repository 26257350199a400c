/** Reading packed activities, where the addon put the numbers by hand. */

import {describe, expect, it} from 'vitest';

import {ActivityReader, packedBytes, readSteps} from './activities.js';

interface Packed {
  times: [start: number, end: number, bytes: number];
  words: number[];
}

function pack(...activities: Packed[]): ArrayBuffer {
  const records = new ArrayBuffer(activities.length * packedBytes);
  activities.forEach(({times, words}, index) => {
    new Float64Array(records, index * packedBytes, 3).set(times);
    new Uint32Array(records, index * packedBytes + 24, words.length).set(words);
  });
  return records;
}

// kind, direction, pageable, device, stream, stream's name, name, graph, correlation, grid, block, shared, registers, phase, layer, step
const kernel: Packed = {times: [10, 20.5, 0], words: [0, 0, 0, 1, 7, 2, 1, 5, 9, 3, 2, 1, 128, 1, 1, 2048, 40]};
const copy: Packed = {times: [30, 40, 4096], words: [1, 2, 1, 0, 8, 0, 3, 0, 11]};

describe('ActivityReader', () => {
  it('reads all that a kernel has', () => {
    const reader = new ActivityReader();
    expect(reader.read({records: pack(kernel), names: ['square', 'compute']})).toEqual([
      {
        ...{kind: 'kernel', start: 10, end: 20.5, device: 1, stream: 7, streamName: 'compute', name: 'square'},
        ...{graph: 5, correlation: 9, grid: [3, 2, 1], block: [128, 1, 1], sharedBytes: 2048, registers: 40},
      },
    ]);
  });

  it('keeps names from batch to batch, and leaves out what is not there', () => {
    const reader = new ActivityReader();
    reader.read({records: pack(kernel), names: ['square', 'compute']});
    const [first, second] = reader.read({records: pack(kernel, copy), names: ['copy to host']});
    expect(first?.name).toBe('square');
    expect(second).toEqual({
      ...{kind: 'copy', start: 30, end: 40, device: 0, stream: 8, name: 'copy to host'},
      ...{bytes: 4096, direction: 'toHost', pageable: true, correlation: 11},
    });
  });

  it('reads which step, phase and layer it is of', () => {
    const words = [...kernel.words, 2, 3, 41];
    const [activity] = new ActivityReader().read({records: pack({...kernel, words}), names: ['square', 'decode', 'layer 3']});
    expect(activity).toMatchObject({name: 'square', phase: 'decode', layer: 'layer 3', step: 41});
  });
});

describe('readSteps', () => {
  it('reads what each served', () => {
    const numbers = [
      ...[7, 1, 0, 15, 100, 200, 4096, 2, 8, 12, 9, 3],
      ...[8, 0, 1, 1, 300.5, 400, 4097, 1, 9, 1],
      // Of nobody.
      ...[9, 0, 2, 64, 500, 600, 4098, 0],
    ];
    expect(readSteps({steps: Float64Array.from(numbers).buffer, models: ['small', 'large']})).toEqual([
      {
        ...{number: 7, model: 'large', phase: 'prefill', rows: 15, start: 100, end: 200, bytesRead: 4096},
        requests: [
          {request: 8, tokens: 12},
          {request: 9, tokens: 3},
        ],
      },
      {
        ...{number: 8, model: 'small', phase: 'decode', rows: 1, start: 300.5, end: 400, bytesRead: 4097},
        requests: [{request: 9, tokens: 1}],
      },
      {number: 9, model: 'small', phase: 'score', rows: 64, start: 500, end: 600, bytesRead: 4098, requests: []},
    ]);
  });
});
