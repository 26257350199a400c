import {expect, it} from 'vitest';

import {checkStepOptions} from './step_options.js';

const limits = {maxBatch: 4, maxContext: 300};

it('times a row of decoding, or as much of a prompt as there is room for', () => {
  expect(checkStepOptions({}, limits)).toEqual({step: 'decode', rows: 1, context: 0, runs: 10, warmUp: 2, signal: undefined});
  expect(checkStepOptions({step: 'prefill', context: 100}, limits)).toMatchObject({rows: 200, context: 100});
  expect(checkStepOptions({step: 'prefill'}, {...limits, maxContext: 9000})).toMatchObject({rows: 512});
});

it.each<[string, object, string]>([
  ['more sequences than run at once', {rows: 5}, 'rows must be an integer from 1 to 4'],
  ['more tokens than a sequence has', {step: 'prefill', rows: 201, context: 100}, 'rows must be an integer from 1 to 200'],
  ['a context without room for a row', {context: 300}, 'context must be an integer from 0 to 299'],
  ['another step', {step: 'sample'}, "step must be 'decode' or 'prefill'"],
  ['no runs', {runs: 0}, 'runs must be'],
  ['a misspelt option', {row: 1}, 'options.row must be one of'],
])('refuses %s', (_, options, message) => {
  expect(() => checkStepOptions(options, limits)).toThrow(
    expect.objectContaining({name: 'OptionError', message: expect.stringContaining(message)}),
  );
});
