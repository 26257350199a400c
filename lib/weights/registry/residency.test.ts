import {describe, expect, it} from 'vitest';

import {createRandom} from '../../../test/support/random.js';
import {type Decision, type Memory, type ModelState, type Needs, Residency, type Ticket} from './residency.js';

/** A model of `size` that leaves the GPU for RAM. */
const onGpu = (size: number): Needs => ({ready: {gpu: size, ram: 0}, suspended: {gpu: 0, ram: size}});
const onCpu = (size: number): Needs => ({ready: {gpu: 0, ram: size}});

/** A registry whose work is done at once. */
class Instant {
  readonly log: string[] = [];
  readonly policy: Residency;
  now = 0;
  private readonly names = new Map<Ticket, string>();

  constructor(budget: Memory, models: Record<string, Needs>, turn = 100) {
    this.policy = new Residency({budget, turn});
    for (const [id, needs] of Object.entries(models)) this.policy.add(id, needs);
  }

  ask(model: string, name = model): Ticket {
    const ticket = this.policy.request(model, this.now);
    this.names.set(ticket, name);
    return ticket;
  }

  use(model: string): void {
    this.ask(model);
    this.settle();
    this.now++;
    this.policy.release(model, this.now);
  }

  /** Decides and does until nothing is left to do; what happened since the last call. */
  run(): string[] {
    this.settle();
    return this.log.splice(0);
  }

  private settle(): void {
    for (let decision = this.policy.next(this.now); decision !== undefined; decision = this.policy.next(this.now)) this.do(decision);
  }

  private do(decision: Decision): void {
    if (decision.kind === 'grant' || decision.kind === 'refuse') {
      this.log.push(`${decision.kind} ${this.names.get(decision.ticket)}`);
      return;
    }
    const {kind, model} = decision;
    this.log.push(`${kind} ${model}`);
    const {ready, suspended} = this.policy.status(model).needs;
    const memory = kind === 'suspend' ? suspended! : kind === 'unload' ? {gpu: 0, ram: 0} : ready;
    this.policy.finished(model, memory, this.now);
  }
}

describe('a model', () => {
  it('is loaded with the first request and shared by all', () => {
    const registry = new Instant({gpu: 10, ram: 10}, {a: onGpu(4)});
    registry.ask('a', 'first');
    registry.ask('a', 'second');
    expect(registry.run()).toEqual(['load a', 'grant first', 'grant second']);
    registry.ask('a', 'third');
    expect(registry.run()).toEqual(['grant third']);
    expect(registry.policy.status('a')).toMatchObject({users: 3, waiting: 0, state: 'ready'});
  });

  it('stays where it is while nobody needs its room', () => {
    const registry = new Instant({gpu: 10, ram: 0}, {a: onGpu(4), b: onGpu(6)});
    registry.use('a');
    registry.use('b');
    registry.run();
    registry.now += 1e6;
    expect(registry.run()).toEqual([]);
    expect(registry.policy.held).toEqual({gpu: 10, ram: 0});
  });

  it('that is larger than a budget is refused, and costs nobody anything', () => {
    const registry = new Instant({gpu: 10, ram: 4}, {a: onGpu(4), gpu: onGpu(11), ram: onCpu(5)});
    registry.use('a');
    registry.run();
    registry.ask('gpu');
    registry.ask('ram');
    expect(registry.run()).toEqual(['refuse gpu', 'refuse ram']);
    expect(registry.policy.held).toEqual({gpu: 4, ram: 0});
  });
});

describe('room', () => {
  it('is made by the least recently used: off the GPU, then out of RAM', () => {
    const registry = new Instant({gpu: 8, ram: 8}, {a: onGpu(4), b: onGpu(4), c: onGpu(4), d: onGpu(4), e: onGpu(4)});
    for (const each of ['a', 'b', 'a', 'c']) registry.use(each);
    expect(registry.run()).toEqual(['load a', 'grant a', 'load b', 'grant b', 'grant a', 'suspend b', 'load c', 'grant c']);
    registry.use('d');
    expect(registry.run()).toEqual(['suspend a', 'load d', 'grant d']);
    registry.use('e');
    expect(registry.run()).toEqual(['unload b', 'suspend c', 'load e', 'grant e']);
    // Back from RAM, while what it held there is its own still.
    registry.use('a');
    expect(registry.run()).toEqual(['unload c', 'suspend d', 'resume a', 'grant a']);
    expect(registry.policy.held).toEqual({gpu: 8, ram: 4});
  });

  it('is made by unloading what can only be that', () => {
    const registry = new Instant({gpu: 0, ram: 8}, {a: onCpu(4), b: onCpu(4), c: onCpu(4)});
    for (const each of ['a', 'b', 'c', 'b', 'a']) registry.use(each);
    expect(registry.run().filter((each) => !each.startsWith('grant'))).toEqual([
      'load a',
      'load b',
      'unload a',
      'load c',
      'unload c',
      'load a',
    ]);
  });

  it('is not made in RAM for a copy that never fits there', () => {
    const registry = new Instant({gpu: 10, ram: 4}, {small: onGpu(4), large: onGpu(6), other: onGpu(10)});
    registry.use('small');
    registry.use('large');
    registry.run();
    registry.use('other');
    expect(registry.run()).toEqual(['unload large', 'suspend small', 'load other', 'grant other']);
  });

  it('never comes from a model in use', () => {
    const registry = new Instant({gpu: 4, ram: 4}, {a: onGpu(4), b: onGpu(4)});
    registry.ask('a');
    registry.run();
    registry.ask('b');
    registry.now = 1e6;
    expect(registry.run()).toEqual([]);
    registry.policy.release('a', registry.now);
    expect(registry.run()).toEqual(['suspend a', 'load b', 'grant b']);
  });

  it('waits for copies under way before more is copied', () => {
    const policy = new Residency({budget: {gpu: 4, ram: 4}, turn: 0});
    for (const each of ['a', 'b', 'c']) policy.add(each, onGpu(4));
    const load = (id: string) => {
      policy.request(id, 0);
      for (let decision = policy.next(0); decision?.kind !== 'load'; decision = policy.next(0)) {
        if (decision === undefined || !('model' in decision)) throw new Error(`cannot load: ${JSON.stringify(decision)}`);
        policy.finished(decision.model, decision.kind === 'suspend' ? {gpu: 0, ram: 4} : {gpu: 0, ram: 0}, 0);
      }
      policy.finished(id, {gpu: 4, ram: 0}, 0);
      expect(policy.next(0)).toMatchObject({kind: 'grant'});
      policy.release(id, 0);
    };
    load('a');
    load('b');
    policy.request('c', 1);
    expect(policy.next(1)).toEqual({kind: 'unload', model: 'a'});
    // The GPU's memory of b is not to be copied where a's still is.
    expect(policy.next(1)).toBeUndefined();
    policy.finished('a', {gpu: 0, ram: 0}, 1);
    expect(policy.next(1)).toEqual({kind: 'suspend', model: 'b'});
    expect(policy.next(1)).toBeUndefined();
    expect(policy.held).toEqual({gpu: 4, ram: 4});
  });
});

describe('turns', () => {
  it('end a while after another model waits, for new requests', () => {
    const registry = new Instant({gpu: 4, ram: 4}, {a: onGpu(4), b: onGpu(4)}, 100);
    registry.ask('a', 'a1');
    registry.run();
    registry.ask('b');
    registry.now = 99;
    registry.ask('a', 'a2');
    expect(registry.run()).toEqual(['grant a2']);
    expect(registry.policy.wakeAt(registry.now)).toBe(100);
    registry.now = 100;
    registry.ask('a', 'a3');
    expect(registry.run()).toEqual([]);
    registry.policy.release('a', 100);
    expect(registry.run()).toEqual([]);
    registry.policy.release('a', 101);
    expect(registry.run()).toEqual(['suspend a', 'load b', 'grant b']);
    registry.now = 250;
    registry.policy.release('b', 250);
    expect(registry.run()).toEqual(['unload b', 'resume a', 'grant a3']);
  });

  it('end for one of several that could go, the one longest there', () => {
    const registry = new Instant({gpu: 8, ram: 8}, {a: onGpu(4), b: onGpu(4), c: onGpu(4)}, 100);
    registry.ask('a', 'a1');
    registry.run();
    registry.now = 1;
    registry.ask('b', 'b1');
    registry.run();
    registry.ask('c');
    registry.now = 200;
    registry.ask('a', 'a2');
    registry.ask('b', 'b2');
    expect(registry.run()).toEqual(['grant b2']);
    // Whoever waits for a does not make b end for it.
    registry.ask('b', 'b3');
    expect(registry.run()).toEqual(['grant b3']);
    registry.policy.release('a', 201);
    expect(registry.run()).toEqual(['suspend a', 'load c', 'grant c']);
  });

  it('go on once nobody waits any more', () => {
    const registry = new Instant({gpu: 4, ram: 4}, {a: onGpu(4), b: onGpu(4)}, 100);
    registry.ask('a', 'a1');
    registry.run();
    const waiting = registry.ask('b');
    registry.now = 200;
    registry.ask('a', 'a2');
    expect(registry.run()).toEqual([]);
    registry.policy.cancel(waiting);
    registry.policy.cancel(waiting);
    expect(registry.run()).toEqual(['grant a2']);
  });

  it('do not part somebody from a model it uses', () => {
    const registry = new Instant({gpu: 4, ram: 4}, {a: onGpu(4), b: onGpu(4)}, 0);
    registry.ask('a');
    registry.run();
    registry.ask('b');
    registry.policy.join('a');
    registry.policy.release('a', 1);
    expect(registry.run()).toEqual([]);
    registry.policy.release('a', 2);
    expect(registry.run()).toEqual(['suspend a', 'load b', 'grant b']);
    expect(() => registry.policy.join('a')).toThrow('nobody uses the model');
  });

  it('are for all that waited when the model came in', () => {
    const registry = new Instant({gpu: 4, ram: 4}, {a: onGpu(4), b: onGpu(4)}, 0);
    registry.ask('a', 'a1');
    registry.run();
    registry.now = 1;
    for (const name of ['b1', 'a2', 'b2', 'a3', 'b3']) registry.ask(name[0]!, name);
    registry.policy.release('a', 1);
    expect(registry.run()).toEqual(['suspend a', 'load b', 'grant b1', 'grant b2', 'grant b3']);
    registry.now = 2;
    registry.ask('b', 'b4');
    expect(registry.run()).toEqual([]);
    for (let each = 0; each < 3; each++) registry.policy.release('b', 2);
    expect(registry.run()).toEqual(['unload b', 'resume a', 'grant a2', 'grant a3']);
  });

  it('keep the order of arrival between models, also where a later one would fit', () => {
    const registry = new Instant({gpu: 8, ram: 0}, {a: onGpu(6), b: onGpu(6), c: onGpu(2)}, 1000);
    registry.ask('a');
    registry.run();
    registry.ask('b');
    registry.ask('c');
    expect(registry.run()).toEqual([]);
    registry.policy.release('a', 1);
    expect(registry.run()).toEqual(['unload a', 'load b', 'grant b', 'load c', 'grant c']);
  });
});

describe('failures', () => {
  const setUp = () => {
    const policy = new Residency({budget: {gpu: 8, ram: 8}, turn: 0});
    policy.add('a', onGpu(8));
    policy.add('b', onGpu(8));
    return policy;
  };
  const load = (policy: Residency, id: string) => {
    policy.request(id, 0);
    policy.next(0);
    policy.finished(id, {gpu: 8, ram: 0}, 0);
    policy.next(0);
    policy.release(id, 0);
  };

  it('to load leave the budget as it was', () => {
    const policy = setUp();
    const ticket = policy.request('a', 0);
    expect(policy.next(0)).toEqual({kind: 'load', model: 'a'});
    expect(policy.held).toEqual({gpu: 8, ram: 0});
    policy.failed('a');
    expect(policy.held).toEqual({gpu: 0, ram: 0});
    expect(policy.waitingFor('a')).toEqual([ticket]);
    policy.cancel(ticket);
    expect(policy.next(0)).toBeUndefined();
    load(policy, 'b');
    expect(policy.status('b').state).toBe('ready');
  });

  it('to suspend make it be unloaded', () => {
    const policy = setUp();
    load(policy, 'a');
    policy.request('b', 1);
    expect(policy.next(1)).toEqual({kind: 'suspend', model: 'a'});
    policy.failed('a');
    expect(policy.next(1)).toEqual({kind: 'unload', model: 'a'});
    policy.failed('a');
    expect(policy.held).toEqual({gpu: 0, ram: 0});
    expect(policy.next(1)).toEqual({kind: 'load', model: 'b'});
  });

  it('to resume leave it suspended', () => {
    const policy = setUp();
    load(policy, 'a');
    const ticket = policy.request('b', 1);
    policy.next(1);
    policy.finished('a', {gpu: 0, ram: 8}, 1);
    policy.cancel(ticket);
    policy.request('a', 2);
    expect(policy.next(2)).toEqual({kind: 'resume', model: 'a'});
    expect(policy.held).toEqual({gpu: 8, ram: 8});
    policy.failed('a');
    expect(policy.held).toEqual({gpu: 0, ram: 8});
    expect(policy.next(2)).toEqual({kind: 'resume', model: 'a'});
  });

  it('are told of mistakes in the calls', () => {
    const policy = setUp();
    expect(() => policy.finished('a', {gpu: 0, ram: 0}, 0)).toThrow('nothing is under way: the model is unloaded');
    expect(() => policy.failed('a')).toThrow('nothing is under way: the model is unloaded');
    expect(() => policy.release('a', 0)).toThrow('nobody uses the model');
    expect(() => policy.request('c', 0)).toThrow('there is no model c');
    policy.request('a', 0);
    expect(() => policy.delete('a')).toThrow('1 wait for it');
    policy.delete('b');
    expect(policy.has('b')).toBe(false);
  });
});

describe('what a model turns out to take', () => {
  const measure = (policy: Residency, id: string, gpu: number, now = 0) => {
    expect(policy.next(now)).toEqual({kind: 'load', model: id});
    policy.finished(id, {gpu, ram: 0}, now);
  };

  it('counts from then on', () => {
    const policy = new Residency({budget: {gpu: 8, ram: 0}, turn: 0});
    policy.add('a', onGpu(8));
    policy.add('b', onGpu(4));
    policy.request('a', 0);
    measure(policy, 'a', 3);
    expect(policy.next(0)).toMatchObject({kind: 'grant'});
    policy.request('b', 0);
    measure(policy, 'b', 4);
    expect(policy.next(0)).toMatchObject({kind: 'grant'});
    expect(policy.held).toEqual({gpu: 7, ram: 0});
  });

  it('is made room for where others are idle', () => {
    const policy = new Residency({budget: {gpu: 8, ram: 0}, turn: 0});
    for (const id of ['a', 'b']) policy.add(id, {ready: {gpu: 4, ram: 0}});
    policy.request('a', 0);
    measure(policy, 'a', 4);
    policy.next(0);
    policy.release('a', 0);
    policy.request('b', 1);
    measure(policy, 'b', 6, 1);
    expect(policy.next(1)).toEqual({kind: 'unload', model: 'a'});
    expect(policy.next(1)).toBeUndefined();
    policy.finished('a', {gpu: 0, ram: 0}, 1);
    expect(policy.next(1)).toMatchObject({kind: 'grant'});
  });

  it('is given back where others are in use, and the model waits its turn', () => {
    const policy = new Residency({budget: {gpu: 8, ram: 0}, turn: 0});
    for (const id of ['a', 'b']) policy.add(id, {ready: {gpu: 4, ram: 0}});
    policy.request('a', 0);
    measure(policy, 'a', 4);
    policy.next(0);
    policy.request('b', 1);
    measure(policy, 'b', 6, 1);
    expect(policy.next(1)).toEqual({kind: 'unload', model: 'b'});
    policy.finished('b', {gpu: 0, ram: 0}, 1);
    expect(policy.next(1)).toBeUndefined();
    policy.release('a', 2);
    expect(policy.next(2)).toEqual({kind: 'unload', model: 'a'});
    policy.finished('a', {gpu: 0, ram: 0}, 2);
    measure(policy, 'b', 6, 2);
    expect(policy.next(2)).toMatchObject({kind: 'grant'});
  });

  it('is refused when it is more than the budget, and when it grows with each load', () => {
    const policy = new Residency({budget: {gpu: 8, ram: 0}, turn: 0});
    policy.add('a', {ready: {gpu: 4, ram: 0}});
    policy.request('a', 0);
    measure(policy, 'a', 9);
    expect(policy.next(0)).toEqual({kind: 'unload', model: 'a'});
    policy.finished('a', {gpu: 0, ram: 0}, 0);
    expect(policy.next(0)).toMatchObject({kind: 'refuse', needs: {gpu: 9}});
    expect(policy.next(0)).toBeUndefined();

    for (const id of ['b', 'c']) policy.add(id, {ready: {gpu: 1, ram: 0}});
    policy.request('b', 0);
    measure(policy, 'b', 1);
    policy.next(0);
    policy.request('c', 0);
    let loads = 0;
    for (;;) {
      const decision = policy.next(0);
      if (decision?.kind === 'refuse') break;
      expect(decision).toEqual({kind: 'load', model: 'c'});
      if (++loads > 10) throw new Error('loaded for ever');
      policy.finished('c', {gpu: policy.budget.gpu, ram: 0}, 0);
      expect(policy.next(0)).toEqual({kind: 'unload', model: 'c'});
      policy.finished('c', {gpu: 0, ram: 0}, 0);
      policy.budget = {gpu: policy.budget.gpu + 4, ram: 0};
    }
    expect(loads).toBeGreaterThan(1);
  });
});

describe('a lowered budget', () => {
  it('sends idle models away at once, and those in use when they are done', () => {
    const registry = new Instant({gpu: 12, ram: 12}, {a: onGpu(4), b: onGpu(4), c: onGpu(4)});
    registry.use('a');
    registry.use('b');
    registry.ask('c', 'c1');
    registry.run();
    registry.policy.budget = {gpu: 3, ram: 4};
    expect(registry.run()).toEqual(['unload a', 'suspend b']);
    registry.now = 5;
    registry.ask('c', 'c2');
    expect(registry.run()).toEqual([]);
    registry.policy.release('c', 5);
    expect(registry.run()).toEqual(['unload b', 'suspend c', 'refuse c2']);
    registry.policy.budget = {gpu: 4, ram: 2};
    expect(registry.run()).toEqual(['unload c']);
    registry.ask('c', 'c3');
    expect(registry.run()).toEqual(['load c', 'grant c3']);
  });
});

describe('relief', () => {
  it('is one idle model at a time, the least recently used of those that hold what is short', () => {
    const registry = new Instant({gpu: 12, ram: 12}, {a: onGpu(4), b: onGpu(4), c: onCpu(4), d: onGpu(4)});
    for (const each of ['c', 'a', 'b']) registry.use(each);
    registry.ask('d');
    registry.run();
    const {policy} = registry;
    expect(policy.relieve('gpu')).toEqual({kind: 'suspend', model: 'a'});
    // It is on its way.
    expect(policy.relieve('gpu')).toBeUndefined();
    policy.finished('a', {gpu: 0, ram: 4}, 9);
    expect(policy.relieve('gpu')).toEqual({kind: 'suspend', model: 'b'});
    policy.finished('b', {gpu: 0, ram: 4}, 9);
    expect(policy.relieve('gpu')).toBeUndefined();
    expect(policy.relieve('ram')).toEqual({kind: 'unload', model: 'c'});
    policy.finished('c', {gpu: 0, ram: 0}, 9);
    expect(registry.run()).toEqual([]);
  });
});

describe('random schedules', () => {
  interface Use {
    model: string;
    ends: number;
  }
  interface Step {
    model: string;
    kind: 'load' | 'resume' | 'suspend' | 'unload';
    ends: number;
    fails: boolean;
  }
  interface Waiter {
    ticket: Ticket;
    gives: number;
  }

  /** Plays one schedule against the policy and checks every promise at every step. */
  function play(seed: number): {grants: number; refusals: number; evictions: number} {
    const {below} = createRandom(seed);
    const random = () => below(2 ** 20) / 2 ** 20;
    const turn = below(50);
    const budget = {gpu: 20 + below(30), ram: 20 + below(30)};
    const failing = random() < 0.5 ? 0 : 0.2;
    const surprising = random() < 0.7 ? 0 : 0.3;
    const policy = new Residency({budget, turn});
    const truth = new Map<string, Needs>();
    for (let index = 1 + below(9); index >= 0; index--) {
      const size = 1 + below(random() < 0.1 ? 60 : 18);
      const needs: Needs = random() < 0.3 ? onCpu(size) : random() < 0.5 ? onGpu(size) : {ready: {gpu: size, ram: below(8)}};
      truth.set(`m${index}`, needs);
      const guess =
        random() < surprising ? {ready: {gpu: Math.floor(needs.ready.gpu / 2), ram: needs.ready.ram}, suspended: needs.suspended} : needs;
      policy.add(`m${index}`, guess);
    }
    const ids = [...truth.keys()];
    let now = 0;
    let waiting: Waiter[] = [];
    let uses: Use[] = [];
    let steps: Step[] = [];
    const totals = {grants: 0, refusals: 0, evictions: 0};
    const LONGEST = {use: 30, step: 40};

    // Hundreds of thousands of times, for which `expect` is slow.
    const must = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`seed ${seed} at ${now}: ${what}: ${JSON.stringify(ids.map((id) => [id, policy.status(id)]))}`);
    };
    const check = () => {
      const {held} = policy;
      if (surprising === 0) must(held.gpu <= budget.gpu && held.ram <= budget.ram, 'over budget');
      for (const id of ids) {
        const {users, state, waiting: count} = policy.status(id);
        must(users === uses.filter(({model}) => model === id).length, 'users');
        must(count === waiting.filter(({ticket}) => ticket.model === id).length, 'waiting');
        must(users === 0 || state === 'ready', 'used while it is not ready');
      }
    };
    const decide = () => {
      for (let decision = policy.next(now); decision !== undefined; decision = policy.next(now)) {
        if (decision.kind === 'grant' || decision.kind === 'refuse') {
          const {ticket} = decision;
          const {model} = ticket;
          // First come, first served, of each model.
          must(waiting.find(({ticket}) => ticket.model === model)?.ticket === ticket, 'out of order');
          waiting = waiting.filter((each) => each.ticket !== ticket);
          if (decision.kind === 'grant') {
            totals.grants++;
            uses.push({model, ends: now + 1 + below(LONGEST.use)});
          } else {
            totals.refusals++;
            const {gpu, ram} = truth.get(model)!.ready;
            must(surprising > 0 || gpu > budget.gpu || ram > budget.ram, 'refused what fits');
          }
        } else {
          const {kind, model} = decision;
          if (kind === 'suspend' || kind === 'unload') {
            totals.evictions++;
            // Nobody is sent away but for somebody.
            must(!uses.some((use) => use.model === model), 'evicted while in use');
            must(waiting.length > 0 || surprising > 0, 'evicted for nobody');
          }
          steps.push({model, kind, ends: now + 1 + below(LONGEST.step), fails: kind !== 'unload' && random() < failing});
        }
        check();
      }
    };

    let requests = 40 + below(40);
    for (let events = 0; requests > 0 || waiting.length > 0 || uses.length > 0 || steps.length > 0; events++) {
      must(events < 5000, 'does not end');
      const arrival = requests > 0 ? now + below(20) : Infinity;
      const due = [
        arrival,
        policy.wakeAt(now) ?? Infinity,
        ...uses.map(({ends}) => ends),
        ...steps.map(({ends}) => ends),
        ...waiting.map(({gives}) => gives),
      ];
      const next = Math.min(...due);
      // Somebody waits, and nothing will ever happen.
      must(next < Infinity, 'stuck');
      now = next;
      if (now === arrival) {
        requests--;
        const model = ids[below(random() < 0.5 ? Math.min(2, ids.length) : ids.length)]!;
        waiting.push({ticket: policy.request(model, now), gives: random() < 0.1 ? now + below(100) : Infinity});
      }
      for (const waiter of waiting.filter(({gives}) => gives <= now)) {
        waiting = waiting.filter((each) => each !== waiter);
        policy.cancel(waiter.ticket);
      }
      for (const use of uses.filter(({ends}) => ends <= now)) {
        uses = uses.filter((each) => each !== use);
        policy.release(use.model, now);
      }
      for (const step of steps.filter(({ends}) => ends <= now)) {
        steps = steps.filter((each) => each !== step);
        const {ready, suspended} = truth.get(step.model)!;
        const before = policy.status(step.model).memory;
        if (step.fails) {
          policy.failed(step.model);
          must(policy.status(step.model).memory === before, 'changed by a failure');
          if (step.kind === 'suspend') continue;
          // As a registry does: those who wait get the error.
          waiting = waiting.filter(({ticket}) => ticket.model !== step.model);
          for (const ticket of policy.waitingFor(step.model)) policy.cancel(ticket);
        } else {
          const memory = step.kind === 'suspend' ? suspended! : step.kind === 'unload' ? {gpu: 0, ram: 0} : ready;
          policy.finished(step.model, memory, now);
          const state: ModelState = step.kind === 'suspend' ? 'suspended' : step.kind === 'unload' ? 'unloaded' : 'ready';
          must(policy.status(step.model).state === state, `not ${state}`);
        }
      }
      check();
      decide();
      // The one that waits longest waits for turns and work of those before it, and for nothing else.
      const [oldest] = waiting;
      if (oldest !== undefined) {
        const bound = (ids.length + 1) * (turn + LONGEST.use + 4 * LONGEST.step) * (surprising > 0 ? 4 : 1);
        must(now - oldest.ticket.since <= bound, `waited since ${oldest.ticket.since}`);
      }
    }
    return totals;
  }

  it('keep every promise, four thousand of them', () => {
    const totals = {grants: 0, refusals: 0, evictions: 0};
    for (let seed = 1; seed <= 4000; seed++) {
      const played = play(seed);
      for (const each of ['grants', 'refusals', 'evictions'] as const) totals[each] += played[each];
    }
    expect(totals.grants).toBeGreaterThan(100_000);
    expect(totals.evictions).toBeGreaterThan(25_000);
    expect(totals.refusals).toBeGreaterThan(1000);
  }, 60_000);
});
