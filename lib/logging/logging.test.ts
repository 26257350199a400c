import {afterEach, describe, expect, it} from 'vitest';

import {TIMINGS} from '../../test/support/manual_backend.js';
import {AbortError, TensorrtNodeError} from '../errors.js';
import {observeRequest, tellModelEvent} from '../observers.js';
import {jsonLines, type Logger, type LogLevel, logAsEnvironmentSays, setLogging} from './logging.js';

type Line = [LogLevel, Readonly<Record<string, unknown>>, string];

function collected() {
  const lines: Line[] = [];
  const at = (level: LogLevel) => (fields: Line[1], message: string) => void lines.push([level, fields, message]);
  const logger: Logger = {debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error')};
  return {lines, logger};
}

function request(end: 'finish' | Error): void {
  const about = {model: 'm', backend: 'cpu', promptTokens: 3, maxNewTokens: 4, temperature: 0, startedAt: 0, session: undefined} as const;
  const listener = {tokens() {}, finished() {}, failed() {}};
  const observed = observeRequest(about, listener) ?? listener;
  observed.tokens([{token: 1}, {token: 2}]);
  if (end === 'finish') observed.finished('length', {...TIMINGS, queue: 1.23456});
  else observed.failed(end);
}

afterEach(() => setLogging({level: 'off'}));

it('tells of models at info, and of what failed at error', () => {
  const {lines, logger} = collected();
  setLogging({logger});
  tellModelEvent({kind: 'load', model: 'm', seconds: 1.23456, details: {backend: 'cpu'}});
  tellModelEvent({kind: 'suspend', model: 'm', seconds: 1});
  tellModelEvent({kind: 'build', model: 'a.onnx', seconds: 1, details: {cached: true}});
  const error = new TensorrtNodeError('ERR_BACKEND', 'it broke');
  tellModelEvent({kind: 'resume', model: 'm', seconds: 1, error});
  tellModelEvent({kind: 'load', model: 'm', seconds: 1, error: new AbortError()});
  expect(lines).toEqual([
    ['info', {event: 'model.load', model: 'm', seconds: 1.235, backend: 'cpu'}, 'model loaded'],
    ['info', {event: 'model.suspend', model: 'm', seconds: 1}, 'model suspended'],
    ['info', {event: 'engine.build', model: 'a.onnx', seconds: 1, cached: true}, 'engine built'],
    ['error', {event: 'model.resume', model: 'm', seconds: 1, error}, 'resume failed: it broke'],
    ['info', expect.objectContaining({event: 'model.load'}), 'load failed: the operation was aborted'],
  ]);
});

it('tells of requests that fail, as gravely as it is, and of others at debug', () => {
  const {lines, logger} = collected();
  const busy = new TensorrtNodeError('ERR_BUSY', 'too many');
  const broken = new TensorrtNodeError('ERR_BACKEND', 'it broke');
  const all = () => [busy, broken, new AbortError(), 'finish' as const].forEach(request);
  setLogging({logger});
  all();
  expect(lines.map(([level, {outcome}]) => [level, outcome])).toEqual([
    ['warn', 'error'],
    ['error', 'error'],
  ]);
  lines.length = 0;
  setLogging({logger, level: 'debug'});
  all();
  expect(lines.map(([level, {outcome}]) => [level, outcome])).toEqual([
    ['warn', 'error'],
    ['error', 'error'],
    ['debug', 'aborted'],
    ['debug', 'length'],
  ]);
  expect(lines[1]![1]).toMatchObject({event: 'request.end', model: 'm', promptTokens: 3, completionTokens: 2, error: broken});
  expect(lines[3]![1]).toMatchObject({queueMs: 1.235, prefillMs: 0, decodeMs: 0, totalMs: expect.any(Number)});
  lines.length = 0;
  setLogging({logger, level: 'error'});
  all();
  expect(lines).toHaveLength(1);
});

it('leaves a request alone where the logger throws', () => {
  const fail = () => {
    throw new Error('disk full');
  };
  setLogging({level: 'debug', logger: {debug: fail, info: fail, warn: fail, error: fail}});
  expect(() => request('finish')).not.toThrow();
  expect(() => tellModelEvent({kind: 'load', model: 'm', seconds: 1})).not.toThrow();
});

describe('lines of JSON', () => {
  it('have time, level and message first, errors spelled out, and one line each', () => {
    const written: string[] = [];
    const cause = new TypeError('a\nreason');
    const error = new TensorrtNodeError('ERR_BACKEND', 'it "broke"', undefined, {cause});
    jsonLines((line) => written.push(line)).error({event: 'x', error}, 'two\nlines');
    expect(written).toHaveLength(1);
    expect(written[0]!.indexOf('\n')).toBe(written[0]!.length - 1);
    const line = JSON.parse(written[0]!);
    expect(Object.keys(line)).toEqual(['time', 'level', 'message', 'event', 'error']);
    expect(line).toMatchObject({
      level: 'error',
      message: 'two\nlines',
      error: {name: 'TensorrtNodeError', code: 'ERR_BACKEND', message: 'it "broke"', cause: {name: 'TypeError', message: 'a\nreason'}},
    });
    expect(Math.abs(Date.parse(line.time) - Date.now())).toBeLessThan(60_000);
  });

  it('are asked for by the environment too, and a wrong level is said', () => {
    const written: string[] = [];
    const write = (line: string) => void written.push(line);
    logAsEnvironmentSays(undefined, write);
    logAsEnvironmentSays('loud', write);
    tellModelEvent({kind: 'load', model: 'm', seconds: 1});
    expect(written.map((line) => JSON.parse(line).message)).toEqual([expect.stringContaining('TENSORRT_NODE_LOG must be one of debug')]);
    logAsEnvironmentSays('info', write);
    tellModelEvent({kind: 'load', model: 'm', seconds: 1});
    expect(JSON.parse(written[1]!)).toMatchObject({level: 'info', event: 'model.load'});
  });
});

it.each([
  [{level: 'loud'}, 'level'],
  [{logger: {}}, 'logger'],
  [{logger: null}, 'logger'],
  [{levels: 'info'}, 'options.levels'],
])('refuses %o', (options, option) => {
  expect(() => setLogging(options as never)).toThrow(expect.objectContaining({code: 'ERR_OPTION', option}));
});
