import {PassThrough} from 'node:stream';

import {describe, expect, it} from 'vitest';

import {createProgressDisplay} from './progress.js';

function stream(isTTY: boolean) {
  const output = Object.assign(new PassThrough(), {isTTY, columns: 100, cursorTo() {}, clearLine() {}, moveCursor() {}});
  return {output: output as unknown as NodeJS.WriteStream, text: () => String((output as PassThrough).read() ?? '')};
}

describe('createProgressDisplay', () => {
  it('writes a line a phase where there is no terminal', () => {
    const {output, text} = stream(false);
    using display = createProgressDisplay(output);
    display.update({phase: 'read', done: 1, unit: 'tensors'});
    display.update({phase: 'read', done: 3, unit: 'tensors'});
    display.update({phase: 'write', done: 500, total: 2000, unit: 'bytes'});
    expect(text()).toMatch(/^read: 3 tensors in \d+ ms\n$/);
    display.update({phase: 'write', done: 2000, total: 2000, unit: 'bytes'});
    display[Symbol.dispose]();
    expect(text()).toMatch(/^write: 2.0 kB in \d+ ms\n$/);
    display[Symbol.dispose]();
    expect(text()).toBe('');
  });

  it('says how far it got when it ends early', () => {
    const {output, text} = stream(false);
    const display = createProgressDisplay(output);
    display.update({phase: 'write', done: 500, total: 2000, unit: 'bytes'});
    display[Symbol.dispose]();
    expect(text()).toMatch(/^write: 500 B of 2.0 kB in /);
    display.update({phase: 'load', done: 1, total: 2, unit: 'steps'});
    display[Symbol.dispose]();
    expect(text()).toMatch(/^load: 1 of 2 steps in /);
  });

  it('draws a bar on a terminal', () => {
    const {output, text} = stream(true);
    const display = createProgressDisplay(output);
    display.update({phase: 'write', done: 500, total: 2000, unit: 'bytes', detail: 'model.onnx'});
    display[Symbol.dispose]();
    expect(text()).toContain('write      ██████░░░░░░░░░░░░░░░░░░ 25% 500 B of 2.0 kB model.onnx');
  });
});
