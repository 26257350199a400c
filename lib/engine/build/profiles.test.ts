import {describe, expect, it} from 'vitest';

import {OptionError} from '../../errors.js';
import type {ModelInput} from './model_source.js';
import type {Profile} from './options.js';
import {checkedProfiles, derivedProfiles} from './profiles.js';

const input = (name: string, ...dims: (number | string)[]): ModelInput => ({name, type: 'float32', dims});

describe('derivedProfiles', () => {
  it('is nothing for fixed shapes', () => {
    expect(derivedProfiles([input('x', 1, 3, 224, 224), input('scalar')])).toEqual([]);
  });

  it.each<[string, ModelInput[], Record<string, [number[], number[], number[]]>]>([
    [
      'a batch',
      [input('x', 'batch', 4)],
      {
        x: [
          [1, 4],
          [1, 4],
          [8, 4],
        ],
      },
    ],
    [
      'a batch without a name',
      [input('x', '', 4)],
      {
        x: [
          [1, 4],
          [1, 4],
          [8, 4],
        ],
      },
    ],
    [
      'pictures',
      [input('x', 'N', 3, '', '')],
      {
        x: [
          [1, 3, 32, 32],
          [1, 3, 640, 640],
          [8, 3, 1280, 1280],
        ],
      },
    ],
    [
      'pictures, channels last',
      [input('x', 1, '', '', 3)],
      {
        x: [
          [1, 32, 32, 3],
          [1, 640, 640, 3],
          [1, 1280, 1280, 3],
        ],
      },
    ],
    [
      'sides by name',
      [input('x', 1, 64, 'height', 'W')],
      {
        x: [
          [1, 64, 32, 32],
          [1, 64, 640, 640],
          [1, 64, 1280, 1280],
        ],
      },
    ],
    [
      'lines of text',
      [input('x', '', 3, 48, 'width')],
      {
        x: [
          [1, 3, 48, 48],
          [1, 3, 48, 384],
          [8, 3, 48, 1536],
        ],
      },
    ],
    [
      'tokens',
      [input('ids', 'batch_size', 'sequence_length'), input('mask', 'batch_size', 'sequence_length')],
      {
        ids: [
          [1, 1],
          [1, 128],
          [8, 512],
        ],
        mask: [
          [1, 1],
          [1, 128],
          [8, 512],
        ],
      },
    ],
    [
      'a name that is a batch elsewhere',
      [input('x', 'n', 5), input('state', 2, 'n', 8)],
      {
        x: [
          [1, 5],
          [1, 5],
          [8, 5],
        ],
        state: [
          [2, 1, 8],
          [2, 1, 8],
          [2, 8, 8],
        ],
      },
    ],
    [
      'a state of a recurrent network beside a batch, nothing named',
      [input('x', '', ''), input('state', 2, '', 128)],
      {
        x: [
          [1, 1],
          [1, 128],
          [8, 512],
        ],
        state: [
          [2, 1, 128],
          [2, 1, 128],
          [2, 8, 128],
        ],
      },
    ],
    [
      'features of one recording, which look like a state',
      [input('features', 1, '', 80), input('tokens', 'seq_len')],
      {
        features: [
          [1, 1, 80],
          [1, 128, 80],
          [1, 512, 80],
        ],
        tokens: [[1], [128], [512]],
      },
    ],
    [
      'a first dimension that is a length',
      [input('x', 'seq_len', 4)],
      {
        x: [
          [1, 4],
          [128, 4],
          [512, 4],
        ],
      },
    ],
    [
      'what came before',
      [input('past', 1, 2, 'past_sequence_length', 4)],
      {
        past: [
          [1, 2, 0, 4],
          [1, 2, 128, 4],
          [1, 2, 512, 4],
        ],
      },
    ],
    [
      'a length without a name',
      [input('x', 1, ''), input('fixed', 3)],
      {
        x: [
          [1, 1],
          [1, 128],
          [1, 512],
        ],
      },
    ],
  ])('%s', (_name, inputs, expected) => {
    const profile = Object.fromEntries(Object.entries(expected).map(([name, [min, opt, max]]) => [name, {min, opt, max}]));
    expect(derivedProfiles(inputs)).toEqual([profile]);
  });
});

describe('checkedProfiles', () => {
  const inputs = [input('x', 'n', 4), input('fixed', 2), input('shape', 3)];

  it('takes one shape for all three, values, and leaves out what cannot change', () => {
    const shape = {min: [1, 1, 1], opt: [2, 2, 2], max: [3, 3, 3], values: true};
    expect(checkedProfiles([{x: [2, 4], fixed: [2], shape}], inputs)).toEqual([{x: {min: [2, 4], opt: [2, 4], max: [2, 4]}, shape}]);
  });

  it.each<[string, Profile, string, string]>([
    ['an input that is not there', {y: [1]}, 'profiles[0].y', "one of the model's inputs: x, fixed, shape"],
    ['a missing input', {fixed: [2]}, 'profiles[0]', "'x' [n, 4] too"],
    ['another rank', {x: [1]}, 'profiles[0].x', "shapes that fit 'x' [n, 4]"],
    ['another fixed dimension', {x: {min: [1, 4], opt: [1, 4], max: [1, 5]}}, 'profiles[0].x', "shapes that fit 'x' [n, 4]"],
    ['a fixed shape that is another', {x: [1, 4], fixed: [3]}, 'profiles[0].fixed', "shapes that fit 'fixed' [2]"],
  ])('refuses %s', (_name, profile, option, allowed) => {
    const check = () => checkedProfiles([profile], inputs);
    expect(check).toThrow(OptionError);
    expect(check).toThrow(expect.objectContaining({option, allowed: expect.stringContaining(allowed)}));
  });
});
