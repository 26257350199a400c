import {expect, it} from 'vitest';

import {parseNodeTimes} from './node_times.js';

const node = (name: string, dur: number, op: string) => ({cat: 'Node', name: `${name}_kernel_time`, dur, ts: 0, args: {op_name: op}});
const run = (dur: number) => ({cat: 'Session', name: 'model_run', dur, ts: 0, args: {}});
const parse = (events: object[], skipped?: number) => parseNodeTimes(JSON.stringify(events), skipped);

it('tells each node of each run, what loops run several times together', () => {
  const events = [
    {cat: 'Session', name: 'session_initialization', dur: 900, args: {}},
    node('/fc/MatMul', 40, 'MatMul'),
    node('body', 5, 'Add'),
    node('body', 7, 'Add'),
    {cat: 'Session', name: 'SequentialExecutor::Execute', dur: 60, args: {}},
    run(62),
    node('/fc/MatMul', 30, 'MatMul'),
    run(33),
  ];
  const {layers, runs, information} = parse(events);
  expect(layers.map(({name}) => name)).toEqual(['/fc/MatMul', 'body']);
  expect(layers.map(({milliseconds}) => [...milliseconds].map((each) => Math.round(1000 * each)))).toEqual([
    [40, 30],
    [12, 0],
  ]);
  expect([...runs].map((each) => Math.round(1000 * each))).toEqual([62, 33]);
  expect(JSON.parse(information)).toEqual({
    Layers: [
      {Name: '/fc/MatMul', LayerType: 'MatMul'},
      {Name: 'body', LayerType: 'Add'},
    ],
  });
});

it('leaves out runs that were to warm up, and what no run ended', () => {
  const {layers, runs} = parse([node('first', 9, 'Add'), run(10), node('second', 3, 'Add'), run(4), node('cut', 1, 'Add')], 1);
  expect(layers.map(({name}) => name)).toEqual(['second']);
  expect(runs).toHaveLength(1);
});
