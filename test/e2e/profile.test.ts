/** Traces as processes leave them, and as the command line tells them. */

import {readFileSync, statSync, writeFileSync} from 'node:fs';

import {describe, expect, it} from 'vitest';

import {readTrace} from '../../dist/profile/trace_reader.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, runNode} from './helpers/child.js';
import {command} from './helpers/command.js';

const folder = temporaryFolder();
const sample = (name: string) => projectFile(`test/fixtures/traces/${name}.json`);

/** A process that records 20,000 kernels, a millisecond each, and then does `ending`. */
function recorder(path: string, ending: string) {
  const script = `
    const {TraceWriter} = await import(${JSON.stringify(projectFile('dist/profile/trace_writer.js'))});
    const writer = new TraceWriter(${JSON.stringify(path)}, {maxBytes: 2 ** 20});
    for (let i = 0; i < 20_000; i++) writer.add({kind: 'kernel', device: 0, stream: 1, name: 'k', start: i * 1e6, end: i * 1e6 + 9});
    ${ending}`;
  return runNode(['--input-type=module', '-e', script]);
}

describe('a process that ends in the middle of a recording', () => {
  it.each([
    ['exits', 'process.exit(0)', 0],
    ['fails', "throw new Error('planted')", 1],
    ['runs to its end', '', 0],
  ])('leaves a whole file within the limit where it %s', async (name, ending, status) => {
    const path = folder(`${name}.json`);
    expect((await recorder(path, ending)).status).toBe(status);
    expect(statSync(path).size).toBeLessThanOrEqual(2 ** 20);
    const {state, activities} = await readTrace(path);
    expect(state).toMatchObject({ended: true, events: activities.length, dropped: 20_000 - activities.length});
    expect(activities.at(-1)!.start).toBe(19_999 * 1e6);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toBeInstanceOf(Array);
  });

  it('leaves a whole file where it is killed, without its last events', async () => {
    const path = folder('killed.json');
    await recorder(path, "process.kill(process.pid, 'SIGKILL')");
    expect(JSON.parse(readFileSync(path, 'utf8'))).toBeInstanceOf(Array);
    const {state, activities} = await readTrace(path);
    expect(state).toMatchObject({ended: false});
    expect(activities.length).toBeGreaterThan(0);
    const {code, stderr} = await command(['profile', 'summary', path]);
    expect(code).toBe(0);
    expect(stderr).toContain('the recording was not ended');
    expect(stderr).toMatch(/\d+ events were dropped, \d+ stayed; all since [\d.]+ s of the clock are there/);
  });
});

describe('tensorrt-node profile', () => {
  it('summarises for people, and as JSON', async () => {
    const {code, stdout, stderr} = await command(['profile', 'summary', sample('planted')]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(readFileSync(sample('planted').replace(/json$/, 'txt'), 'utf8'));
    const json = await command(['profile', 'summary', sample('planted'), '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({serialCopies: [{stream: 'uploads', bytes: 6e6, idle: 120_000}]});
  });

  it('compares', async () => {
    const {stdout} = await command(['profile', 'compare', sample('decode'), sample('planted')]);
    expect(stdout).toMatch(/copy to device on uploads +0 -> 1 +0 ns -> 120 µs +new/);
    const json = await command(['profile', 'compare', sample('decode'), sample('planted'), '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({serialIdle: {before: 0, after: 120_000}});
    const flag = await command(['profile', '--compare', sample('decode'), sample('planted')]);
    expect([flag.code, flag.stdout]).toEqual([0, stdout]);
    expect(await command(['profile', '--compare', sample('decode')])).toMatchObject({code: 2, stdout: ''});
  });

  it('records a script of yours without being told that it is one', async () => {
    const [script, trace] = [folder('service.mjs'), folder('service.json')];
    writeFileSync(script, 'console.log(process.argv.slice(2).join());');
    const {code, stdout} = await command(['profile', '--trace', trace, script, 'its', '--argument']);
    expect([code, stdout]).toEqual([0, 'its,--argument\n']);
    expect((await readTrace(trace)).state).toMatchObject({ended: true});
  });

  it('draws a page', async () => {
    const page = folder('page.html');
    const {code, stdout, stderr} = await command(['profile', 'page', sample('planted'), page]);
    expect([code, stdout, stderr]).toEqual([0, '', '']);
    expect(readFileSync(page, 'utf8')).toMatch(/^<!doctype html>[\s\S]*<title>planted\.json<\/title>[\s\S]*copy to device/);
  });

  it('cuts a part out, which keeps its times', async () => {
    const part = folder('part.json');
    const {code, stdout, stderr} = await command(['profile', 'cut', sample('planted'), part, '--from', '1.6ms', '--to', '1.8ms']);
    expect([code, stdout, stderr]).toEqual([0, '', '']);
    const [whole, kept] = [await readTrace(sample('planted')), await readTrace(part)];
    expect(kept.info).toEqual(whole.info);
    expect(kept.state).toMatchObject({ended: true, dropped: 0});
    const zero = Math.min(...whole.activities.map(({start}) => start));
    expect(kept.activities).toEqual(whole.activities.filter(({start, end}) => start < zero + 1.8e6 && end > zero + 1.6e6));
    expect(kept.hostEvents.map(({track}) => track)).toContain('tokenizer');
  });

  it.each([
    ['a file that is not there', ['summary', 'nothing.json'], 1, /nothing\.json: there is no such file \[ERR_NOT_FOUND\]/],
    ['a file that is no trace', ['summary', projectFile('package.json')], 1, /give a file that a profile wrote.*\[ERR_TRACE\]/],
    ['a time without a unit', ['cut', sample('planted'), 'none.json', '--from', '3'], 2, /--from must be a number with ns, us, ms or s/],
    [
      'a part that ends before it begins',
      ['cut', sample('planted'), 'none.json', '--from', '3ms', '--to', '1ms'],
      2,
      /--to must be later than/,
    ],
    ['a missing argument', ['compare', sample('decode')], 2, /missing required argument 'after'/],
  ])('says what is wrong with %s', async (_, args, code, message) => {
    const result = await command(['profile', ...args]);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
  });
});
