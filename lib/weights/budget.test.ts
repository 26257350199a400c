import {describe, expect, it} from 'vitest';

import {MemoryBudget, MemoryBudgetError} from './budget.js';

const TOTAL = {gpu: 1000, ram: 2000};

function budget(options = {}): MemoryBudget {
  const made = new MemoryBudget();
  made.setLimits(options);
  return made;
}

describe('what is left', () => {
  it('is what is free, without limits and holders', () => {
    expect(budget().left(0, {gpu: 700, ram: 900}, TOTAL)).toEqual({gpu: 700, ram: 900});
  });

  it('is no more than the limits leave, percentages being of all there is', () => {
    const limited = budget({gpu: '50%', ram: 100});
    expect(limited.left(0, {gpu: 700, ram: 900}, TOTAL)).toEqual({gpu: 500, ram: 100});
    limited.reserve('a', 0, {gpu: 200, ram: 60}, TOTAL).settle();
    expect(limited.left(0, {gpu: 500, ram: 840}, TOTAL)).toEqual({gpu: 300, ram: 40});
  });

  it('does not hold what was promised and is not taken yet', () => {
    const shared = budget();
    const first = shared.reserve('a', 0, {gpu: 400, ram: 10}, TOTAL);
    // A second one is planned while the first is being loaded.
    expect(shared.left(0, TOTAL, TOTAL)).toEqual({gpu: 600, ram: 1990});
    first.settle({gpu: 390, ram: 10});
    expect(shared.left(0, {gpu: 610, ram: 1990}, TOTAL)).toEqual({gpu: 610, ram: 1990});
    expect(shared.reserved(0)).toEqual({gpu: 390, ram: 10});
  });

  it('is of each GPU, and of one host', () => {
    const limited = budget({gpu: 500, ram: 500});
    limited.reserve('a', 0, {gpu: 400, ram: 300}, TOTAL).settle();
    expect(limited.left(1, TOTAL, TOTAL)).toEqual({gpu: 500, ram: 200});
  });

  it('comes back with what is disposed of', () => {
    const limited = budget({gpu: 500});
    {
      using _held = limited.reserve('a', 0, {gpu: 400, ram: 0}, TOTAL);
      expect(limited.left(0, TOTAL, TOTAL).gpu).toBe(100);
    }
    expect(limited.left(0, TOTAL, TOTAL).gpu).toBe(500);
  });
});

describe('more than the budget has', () => {
  it('is refused, and nothing has changed', () => {
    const limited = budget({gpu: 500, ram: 300});
    limited.reserve('a', 0, {gpu: 400, ram: 0}, TOTAL);
    const refused = () => limited.reserve('the model b', 0, {gpu: 200, ram: 0}, TOTAL);
    expect(refused).toThrow(MemoryBudgetError);
    expect(refused).toThrow(
      expect.objectContaining({
        code: 'ERR_OUT_OF_MEMORY',
        memory: 'gpu',
        neededBytes: 200,
        availableBytes: 100,
        message: expect.stringMatching(/^the model b needs 200 B of GPU memory, and the budget has 100 B left \(dispose/),
      }),
    );
    expect(() => limited.reserve('c', 0, {gpu: 0, ram: 301}, TOTAL)).toThrow(expect.objectContaining({memory: 'ram'}));
    expect(limited.reserved(0)).toEqual({gpu: 400, ram: 0});
  });

  it('is refused to who grows, who may always shrink', () => {
    const limited = budget({gpu: 500, ram: 300});
    const held = limited.reserve('a', 0, {gpu: 400, ram: 0}, TOTAL);
    held.settle();
    // As a model that leaves the GPU for RAM, and comes back.
    expect(() => held.resize({gpu: 0, ram: 400})).toThrow(MemoryBudgetError);
    expect(limited.reserved(0)).toEqual({gpu: 400, ram: 0});
    held.resize({gpu: 0, ram: 300});
    limited.reserve('b', 0, {gpu: 200, ram: 0}, TOTAL);
    expect(() => held.resize({gpu: 400, ram: 0})).toThrow(expect.objectContaining({availableBytes: 300}));
    limited.setLimits({gpu: 100});
    held.resize({gpu: 0, ram: 0});
    expect(limited.reserved(0)).toEqual({gpu: 200, ram: 0});
  });

  it('may be there already when the limit comes', () => {
    const late = budget();
    const held = late.reserve('a', 0, {gpu: 400, ram: 0}, TOTAL);
    late.setLimits({gpu: 100});
    expect(late.left(0, TOTAL, TOTAL).gpu).toBe(0);
    held.settle();
    expect(() => held.resize({gpu: 300, ram: 0})).not.toThrow();
  });
});

it.each([
  [{gpu: 'much'}, 'gpu must be bytes'],
  [{vram: 1}, 'options.vram must be one of gpu, ram'],
  [{ram: '101%'}, 'ram must be at most 100%'],
  [null, 'options must be an object'],
])('refuses %o', (options, message) => {
  expect(() => budget(options as never)).toThrow(message);
});
