import {expect, it} from 'vitest';

import {TIMINGS} from '../test/support/manual_backend.js';
import {
  addObserver,
  isObserved,
  type ModelEvent,
  type ObservedRequest,
  observed,
  observedWork,
  observeRequest,
  tellModelEvent,
} from './observers.js';

const REQUEST: ObservedRequest = {
  model: 'm',
  backend: 'cpu',
  promptTokens: 1,
  maxNewTokens: 2,
  temperature: 0,
  startedAt: 0,
  session: undefined,
};

function listener() {
  const heard: string[] = [];
  return {
    heard,
    tokens: (batch: readonly unknown[]) => void heard.push(`tokens ${batch.length}`),
    finished: (reason: string) => void heard.push(reason),
    failed: (error: Error) => void heard.push(error.message),
  };
}

it('are told until that is ended, and a request stays as it is where nobody wants to hear of it', () => {
  const heard: string[] = [];
  expect([isObserved(), observeRequest(REQUEST, listener())]).toEqual([false, undefined]);
  const stop = addObserver({model: ({kind}) => void heard.push(kind)});
  const event = {kind: 'load', model: 'm', seconds: 1} as const;
  expect(observeRequest(REQUEST, listener())).toBeUndefined();
  tellModelEvent(event);
  stop();
  tellModelEvent(event);
  expect([isObserved(), heard]).toEqual([false, ['load']]);
});

it('hear the end of a request once, and what they throw is no matter of its own', () => {
  const ends: string[] = [];
  const fail = () => {
    throw new Error("an observer's own");
  };
  const stops = [
    addObserver({request: fail, model: fail}),
    addObserver({request: () => ({tokens: fail, ended: fail})}),
    addObserver({request: () => ({ended: ({outcome}) => void ends.push(outcome)})}),
  ];
  const told = listener();
  const watched = observeRequest(REQUEST, told)!;
  watched.tokens([{token: 1}]);
  watched.stopped();
  watched.finished('aborted', TIMINGS);
  watched.failed(new Error('disposed of'));
  tellModelEvent({kind: 'load', model: 'm', seconds: 1});
  for (const stop of stops) stop();
  expect(ends).toEqual(['stop']);
  expect(told.heard).toEqual(['tokens 1', 'aborted', 'disposed of']);
});

it('hear of work whether it ends well or not, which it does as ever', async () => {
  const events: ModelEvent[] = [];
  const stop = addObserver({model: (event) => void events.push(event)});
  const error = new Error('no');
  expect(
    await observed(
      'load',
      'm',
      async () => 5,
      (result) => ({result}),
    ),
  ).toBe(5);
  await expect(observed('resume', 'm', () => Promise.reject(error))).rejects.toBe(error);
  stop();
  await observed('load', 'm', async () => 6);
  const seconds = expect.any(Number);
  expect(events).toEqual([
    {kind: 'load', model: 'm', seconds, details: {result: 5}},
    {kind: 'resume', model: 'm', seconds, error},
  ]);
});

it("hear of what the caller's thread does for a request, whatever comes of it", () => {
  const heard: string[] = [];
  expect(observedWork('tokenizer', 'encode', () => 1)).toBe(1);
  const stop = addObserver({work: ({by, name, startedAt, endedAt}) => void heard.push(`${by} ${name} ${endedAt >= startedAt}`)});
  expect(observedWork('tokenizer', 'encode', () => 2)).toBe(2);
  expect(() =>
    observedWork('tokenizer', 'chat template', () => {
      throw new Error('no such role');
    }),
  ).toThrow('no such role');
  stop();
  expect(heard).toEqual(['tokenizer encode true', 'tokenizer chat template true']);
});
