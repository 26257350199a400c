import {describe, expect, it} from 'vitest';

import type {NativeTensorInfo} from '../native/engine_addon.js';
import {InputCheck} from './input_check.js';

function info(name: string, type: NativeTensorInfo['type'], dims: number[], more: Partial<NativeTensorInfo> = {}): NativeTensorInfo {
  return {name, mode: 'input', type, dims, location: 'device', isShapeTensor: false, profiles: [], ...more};
}

function profile(min: number[], max: number[]) {
  return {min, opt: max, max};
}

const dynamic = new InputCheck([
  info('x', 'float32', [-1, 3, -1], {profiles: [profile([1, 3, 32], [8, 3, 640]), profile([16, 3, 32], [32, 3, 64])]}),
  info('mask', 'bool', [-1], {profiles: [profile([1], [8]), profile([16], [32])]}),
  {...info('y', 'float32', [-1]), mode: 'output'},
]);
const fixed = new InputCheck([info('x', 'float32', [2, 3])]);

const x = (dims: number[], data: unknown = new Float32Array(dims.reduce((a, b) => a * b, 1))) => ({type: 'float32', dims, data});
const mask = (count: number) => ({type: 'bool', dims: [count], data: new Uint8Array(count)});

describe('tensors', () => {
  it.each([
    ['the first profile', 2, 640],
    ['the second', 16, 64],
    ['their smallest', 1, 32],
  ])('takes shapes of %s, in the order of the engine', (_name, batch, width) => {
    const given = {mask: mask(batch), x: x([batch, 3, width])};
    const found = dynamic.tensors(given as never);
    expect(found.map(({dims, byteLength}) => [dims, byteLength])).toEqual([
      [[batch, 3, width], batch * 3 * width * 4],
      [[batch], batch],
    ]);
    expect(found[0]!.buffer).toBe((given.x.data as Float32Array).buffer);
  });

  it('takes elements alone where the shape is fixed, at any offset', () => {
    const array = new Float32Array(10).subarray(2, 8);
    expect(fixed.tensors({x: array})).toEqual([{buffer: array.buffer, byteOffset: 8, byteLength: 24, dims: [2, 3]}]);
  });

  it('takes a picture’s clamped bytes', () => {
    const picture = new InputCheck([info('x', 'uint8', [4])]);
    expect(picture.tensors({x: new Uint8ClampedArray(4)})).toHaveLength(1);
  });

  const shared = new Float32Array(new SharedArrayBuffer(24));
  const detached = new Float32Array(6);
  structuredClone(detached.buffer, {transfer: [detached.buffer]});
  const shape = '\\[1 to 8 or 16 to 32, 3, 32 to 640 or 32 to 64\\]';

  it.each<[string, InputCheck, unknown, string, RegExp]>([
    ['nothing', dynamic, undefined, 'inputs', /^inputs must be an object with a tensor by the name of each input, got undefined/],
    ['a missing input', dynamic, {x: x([1, 3, 32])}, 'inputs.mask', /must be a tensor, bool \[1 to 8 or 16 to 32\], got undefined/],
    [
      'an unknown input',
      dynamic,
      {x: x([1, 3, 32]), mask: mask(1), y: mask(1)},
      'inputs.y',
      /left out: the engine's inputs are 'x', 'mask'/,
    ],
    ['no tensor', dynamic, {x: 5, mask: mask(1)}, 'inputs.x', /must be a tensor, float32/],
    ['another type', dynamic, {x: {...x([1, 3, 32]), type: 'float16'}, mask: mask(1)}, 'inputs.x.type', /must be 'float32', got 'float16'/],
    ['no dims', dynamic, {x: {type: 'float32', data: new Float32Array(96)}, mask: mask(1)}, 'inputs.x', /of shape .*got undefined/],
    ['another rank', dynamic, {x: x([1, 3]), mask: mask(1)}, 'inputs.x', new RegExp(`of shape ${shape}, 3 dimensions, got \\[ 1, 3 \\]`)],
    ['a fixed dimension', dynamic, {x: x([1, 4, 32]), mask: mask(1)}, 'inputs.x', /with dims\[1\] 3 and not 4, got \[ 1, 4, 32 \]/],
    ['beyond each profile', dynamic, {x: x([1, 3, 641]), mask: mask(1)}, 'inputs.x', /with dims\[2\] 32 to 640 or 32 to 64 and not 641/],
    ['between two profiles', dynamic, {x: x([9, 3, 32]), mask: mask(9)}, 'inputs.x', /with dims\[0\] 1 to 8 or 16 to 32 and not 9/],
    [
      'dimensions of two profiles',
      dynamic,
      {x: x([16, 3, 640]), mask: mask(16)},
      'inputs.x',
      /\[1 to 8, 3, 32 to 640\] in profile 0 or \[16 to 32, 3, 32 to 64\] in profile 1, got/,
    ],
    [
      'inputs of two profiles',
      dynamic,
      {x: x([2, 3, 32]), mask: mask(16)},
      'inputs.mask',
      /no profile allows it together with inputs\.x, got \[ 16 \]/,
    ],
    ['a fraction', dynamic, {x: x([1.5, 3, 32], new Float32Array(144)), mask: mask(1)}, 'inputs.x', /and not 1.5/],
    ['a dimension below zero', dynamic, {x: x([-1, 3, -32], new Float32Array(96)), mask: mask(1)}, 'inputs.x', /and not -1/],
    ['too few elements', fixed, {x: x([2, 3], new Float32Array(5))}, 'inputs.x.data', /must be 6 elements for dims \[2, 3\], got 5/],
    ['too many elements alone', fixed, {x: new Float32Array(7)}, 'inputs.x.data', /must be 6 elements for dims \[2, 3\], got 7/],
    ['another array', fixed, {x: x([2, 3], new Float64Array(6))}, 'inputs.x.data', /must be Float32Array, got Float64Array/],
    ['a plain array', fixed, {x: x([2, 3], [1, 2, 3, 4, 5, 6])}, 'inputs.x.data', /must be Float32Array/],
    ['a DataView', fixed, {x: new DataView(new ArrayBuffer(24))}, 'inputs.x.data', /must be Float32Array/],
    ['shared memory', fixed, {x: shared}, 'inputs.x.data', /over an ArrayBuffer that no other thread shares/],
    [
      'a detached array',
      fixed,
      {x: detached},
      'inputs.x.data',
      /must be 6 elements .*an array is empty once its buffer was transferred, got 0/,
    ],
    [
      'elements alone for a dynamic shape',
      dynamic,
      {x: new Float32Array(96), mask: mask(1)},
      'inputs.x',
      /a tensor \{type, dims, data\}, as its shape is dynamic/,
    ],
  ])('refuses %s', (_name, check, given, option, message) => {
    expect(() => check.tensors(given as never)).toThrow(
      expect.objectContaining({name: 'OptionError', option, message: expect.stringMatching(message)}),
    );
  });
});

describe('shape tensors', () => {
  const values = {min: [1, 1], opt: [4, 4], max: [8, 8]};
  const check = new InputCheck([info('size', 'int64', [2], {isShapeTensor: true, profiles: [{...profile([2], [2]), values}]})]);
  const size = (...each: bigint[]) => ({type: 'int64' as const, dims: [2], data: BigInt64Array.from(each)});

  it('are in a profile with their values', () => {
    expect(check.tensors({size: size(1n, 8n)})).toHaveLength(1);
    expect(() => check.tensors({size: size(1n, 9n)})).toThrow(
      /inputs\.size must be a shape with values \[1 to 8, 1 to 8\], got \[ 1, 9 \]/,
    );
  });

  it('have no values yet when they are bound', () => {
    expect(check.shapes({})).toEqual([[2]]);
  });
});

describe('shapes', () => {
  it('may leave out what is fixed', () => {
    expect(fixed.shapes({})).toEqual([[2, 3]]);
    expect(dynamic.shapes({x: [8, 3, 640], mask: [8]})).toEqual([[8, 3, 640], [8]]);
  });

  it.each<[string, unknown, RegExp]>([
    ['what is dynamic', {x: [1, 3, 32]}, /inputs\.mask must be of shape \[1 to 8 or 16 to 32\], got undefined/],
    ['an unknown name', {x: [1, 3, 32], mask: [1], z: [1]}, /inputs\.z must be left out/],
    ['two profiles', {x: [1, 3, 32], mask: [16]}, /inputs\.mask .*together with inputs\.x/],
    ['no array', {x: 3, mask: [1]}, /inputs\.x must be of shape/],
    ['null', null, /inputs must be an object with dims/],
  ])('refuses without or with %s', (_name, given, message) => {
    expect(() => dynamic.shapes(given as never)).toThrow(message);
  });
});
